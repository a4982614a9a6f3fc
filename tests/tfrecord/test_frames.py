"""Framing, compared with TensorFlow's own reader and writer."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.errors import RecordError, SourceError
from a20_parquet.tfrecord.compression import open_content
from a20_parquet.tfrecord.frames import FrameReader, read_records
from a20_parquet.tfrecord.records import strict
from tests.helpers.shards import COMPRESS, frame, open_shard, write_content, write_shard

DEFAULT_BATCH_BYTES = 8 << 20
HEADER_BYTES = 12

payload_lists = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.builds(bytes.__mul__, st.binary(min_size=1, max_size=3), st.integers(1, 20_000)),
    ),
    max_size=8,
)
batch_sizes = st.one_of(st.integers(1, 200), st.sampled_from([5_000, DEFAULT_BATCH_BYTES]))
compressions = st.sampled_from(["", "GZIP", "ZLIB"])


@dataclass
class Read:
    """What was handed on, until the end or the first error."""

    payloads: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    checksum: str = ""
    content_bytes: int = 0
    error: RecordError | SourceError | None = None


def read(path: Path, batch_bytes: int = DEFAULT_BATCH_BYTES) -> Read:
    shard = open_shard(path)
    result = Read()
    with open_content(shard) as content:
        reader = FrameReader(shard, content, batch_bytes)
        try:
            for records in strict(reader.read()):
                assert records.payload_bytes == sum(map(len, records.payloads))
                result.payloads += map(bytes, records.payloads)
                result.numbers += range(records.first, records.first + len(records.payloads))
                result.offsets += records.offsets
        except (RecordError, SourceError) as error:
            result.error = error
        result.checksum = reader.checksum
        result.content_bytes = reader.content_bytes
        assert reader.records == len(result.payloads)
    return result


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One folder for all examples that hypothesis tries; they overwrite each other's files."""
    with TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.slow
@settings(max_examples=50)
@given(payload_lists, batch_sizes, compressions)
def test_records_equal_tensorflows(
    folder: Path, payloads: list[bytes], batch_bytes: int, compression: str
) -> None:
    """Any records, written by TensorFlow, are read as TensorFlow reads them."""
    path = write_shard(folder / "shard", payloads, compression)
    found = read(path, batch_bytes)
    assert found.error is None
    assert found.payloads == list(
        tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator()
    )
    assert found.payloads == payloads
    assert found.numbers == list(range(len(payloads)))


@settings(max_examples=60)
@given(payload_lists, batch_sizes, compressions)
def test_offsets_are_where_frames_start(
    folder: Path, payloads: list[bytes], batch_bytes: int, compression: str
) -> None:
    """The bytes at a record's offset in the decompressed shard are its frame."""
    content = b"".join(map(frame, payloads))
    found = read(write_content(folder / "shard", content, compression), batch_bytes)
    assert len(found.offsets) == len(payloads)
    for payload, offset in zip(payloads, found.offsets, strict=True):
        expected = frame(payload)
        assert content[offset : offset + len(expected)] == expected
    assert found.content_bytes == len(content)


@settings(max_examples=60)
@given(payload_lists, batch_sizes, batch_sizes, compressions, st.data())
def test_checksum_tells_records_apart(  # noqa: PLR0913, PLR0917 -- one argument a strategy
    folder: Path,
    payloads: list[bytes],
    one: int,
    other: int,
    compression: str,
    data: st.DataObject,
) -> None:
    """Equal records give equal checksums however they are stored and read; others do not."""
    plain = read(write_shard(folder / "plain", payloads), one)
    stored = read(write_shard(folder / "stored", payloads, compression), other)
    assert plain.checksum == stored.checksum

    changed = list(payloads)
    index = data.draw(st.integers(0, len(payloads)))
    changed[index : index + 1] = [data.draw(st.binary(max_size=40))]
    differs = read(write_shard(folder / "changed", changed), one).checksum != plain.checksum
    assert differs == (changed != payloads)


@pytest.mark.parametrize("payloads", [[b"ab", b"c"], [b"a", b"bc"], [b"abc"], [b"c", b"ab"]])
def test_checksum_knows_boundaries_and_order(tmp_path: Path, payloads: list[bytes]) -> None:
    """The same bytes cut or ordered differently have another checksum."""
    reference = read(write_shard(tmp_path / "reference", [b"abc", b""])).checksum
    assert read(write_shard(tmp_path / "shard", payloads)).checksum != reference


@given(payload_lists.filter(bool), batch_sizes, st.data())
def test_any_damaged_byte_is_found(
    folder: Path, payloads: list[bytes], batch_bytes: int, data: st.DataObject
) -> None:
    """A changed byte is an error of the record that holds it, after all records before it."""
    frames = [frame(payload) for payload in payloads]
    content = bytearray(b"".join(frames))
    record = data.draw(st.integers(0, len(frames) - 1))
    start = sum(map(len, frames[:record]))
    within = data.draw(
        st.one_of(
            st.integers(0, HEADER_BYTES - 1),
            st.integers(0, len(frames[record]) - 1),
        )
    )
    content[start + within] ^= data.draw(st.integers(1, 255))

    found = read(write_content(folder / "shard", bytes(content)), batch_bytes)
    assert isinstance(found.error, RecordError)
    assert (found.error.record, found.error.offset) == (record, start)
    assert found.error.shard == str(folder / "shard")
    assert found.payloads == payloads[:record]


@given(payload_lists.filter(bool), batch_sizes, st.data())
def test_cut_inside_a_frame_is_found(
    folder: Path, payloads: list[bytes], batch_bytes: int, data: st.DataObject
) -> None:
    """A plain shard that ends inside a frame is an error of that record."""
    frames = [frame(payload) for payload in payloads]
    record = data.draw(st.integers(0, len(frames) - 1))
    start = sum(map(len, frames[:record]))
    kept = data.draw(st.integers(1, len(frames[record]) - 1))
    content = b"".join(frames)[: start + kept]

    found = read(write_content(folder / "shard", content), batch_bytes)
    assert isinstance(found.error, RecordError)
    assert (found.error.record, found.error.offset) == (record, start)
    assert found.error.reason == f"the shard ends {kept} bytes into a frame"
    assert found.payloads == payloads[:record]


@given(payload_lists.filter(bool), batch_sizes, st.sampled_from(["GZIP", "ZLIB"]), st.data())
def test_cut_compressed_shard_is_found(
    folder: Path, payloads: list[bytes], batch_bytes: int, compression: str, data: st.DataObject
) -> None:
    """A compressed shard that was cut anywhere is an error, never a shorter shard."""
    stored = COMPRESS[compression](b"".join(map(frame, payloads)))
    path = folder / "shard"
    path.write_bytes(stored[: data.draw(st.integers(1, len(stored) - 1))])
    found = read(path, batch_bytes)
    assert found.error is not None
    assert "shard" in str(found.error)
    assert found.payloads == payloads[: len(found.payloads)]


@given(payload_lists.filter(bool), batch_sizes, st.sampled_from(["GZIP", "ZLIB"]), st.data())
def test_damaged_compressed_shard_hands_on_nothing_wrong(
    folder: Path, payloads: list[bytes], batch_bytes: int, compression: str, data: st.DataObject
) -> None:
    """A changed byte in a compressed shard is an error or, in the header's remarks, harmless."""
    stored = bytearray(COMPRESS[compression](b"".join(map(frame, payloads))))
    stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    path = folder / "shard"
    path.write_bytes(stored)
    found = read(path, batch_bytes)
    expected = payloads if found.error is None else payloads[: len(found.payloads)]
    assert found.payloads == expected


@pytest.mark.parametrize("length", [2**31, 2**40, 2**64 - 1])
def test_length_beyond_a_protobuf_is_damage(tmp_path: Path, length: int) -> None:
    """A length that no record can have is an error, although its checksum is right."""
    header = _header(length)
    found = read(write_content(tmp_path / "shard", frame(b"good") + header + b"rest"), 64)
    assert isinstance(found.error, RecordError)
    assert (found.error.record, found.error.offset) == (1, len(frame(b"good")))
    assert f"{length} bytes" in found.error.reason
    assert found.payloads == [b"good"]


@pytest.mark.parametrize("length", [100, 2**31 - 1])
@pytest.mark.parametrize("batch_bytes", [1, DEFAULT_BATCH_BYTES])
def test_length_beyond_the_shard_is_a_cut(tmp_path: Path, length: int, batch_bytes: int) -> None:
    """A believable length that the file does not hold is read as far as the file goes."""
    content = frame(b"good") + _header(length) + b"rest"
    found = read(write_content(tmp_path / "shard", content), batch_bytes)
    assert isinstance(found.error, RecordError)
    assert found.error.reason == "the shard ends 16 bytes into a frame"
    assert found.payloads == [b"good"]


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_empty_shard_has_no_records(tmp_path: Path, compression: str) -> None:
    """A shard without records is no error, compressed or not."""
    found = read(write_shard(tmp_path / "shard", [], compression))
    assert found == Read(checksum=read(write_content(tmp_path / "empty", b"")).checksum)


@pytest.mark.parametrize("batch_bytes", [1, 100, DEFAULT_BATCH_BYTES])
@pytest.mark.parametrize("padding", [0, 7, 600_000])
def test_gzip_members_are_one_shard(tmp_path: Path, batch_bytes: int, padding: int) -> None:
    """Members are read one after another, also where a frame spans two, and over zero padding."""
    payloads = [b"one", b"two" * 50_000, b"", b"four"]
    content = b"".join(map(frame, payloads))
    cuts = [0, 10, 10, 90_000, len(content)]
    members = [
        gzip.compress(content[start:stop]) + bytes(padding) for start, stop in pairwise(cuts)
    ]
    path = tmp_path / "shard"
    path.write_bytes(b"".join(members))
    found = read(path, batch_bytes)
    assert found.error is None
    assert found.payloads == payloads


def test_members_equal_tensorflows(tmp_path: Path) -> None:
    """TensorFlow, too, takes several members for one shard."""
    path = tmp_path / "shard"
    path.write_bytes(gzip.compress(frame(b"one")) + gzip.compress(frame(b"two")))
    assert read(path).payloads == list(
        tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator()
    )


@pytest.mark.parametrize("garbage", [b"\0", b"garbage", bytes(12), bytes(100), b"\xff" * 30])
@pytest.mark.parametrize("batch_bytes", [1, DEFAULT_BATCH_BYTES])
def test_garbage_behind_a_plain_shard_is_damage(
    tmp_path: Path, garbage: bytes, batch_bytes: int
) -> None:
    """Bytes behind the last frame, zeros too, are an error after all records."""
    content = frame(b"one") + frame(b"two")
    found = read(write_content(tmp_path / "shard", content + garbage), batch_bytes)
    assert isinstance(found.error, RecordError)
    assert (found.error.record, found.error.offset) == (2, len(content))
    assert found.payloads == [b"one", b"two"]


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_garbage_behind_a_compressed_shard_is_damage(tmp_path: Path, compression: str) -> None:
    """Bytes behind the compressed stream that begin no further member are an error."""
    path = tmp_path / "shard"
    path.write_bytes(COMPRESS[compression](frame(b"one")) + b"garbage")
    assert isinstance(read(path).error, RecordError)


@pytest.mark.parametrize("length", [248, 0x1F8B, 0x8B1F, 0x0178])
def test_damaged_length_is_not_taken_for_compression(tmp_path: Path, length: int) -> None:
    """A damaged header whose length looks like another format's magic is named as damage."""
    content = bytearray(frame(bytes(length)))
    content[9] ^= 1
    found = read(write_content(tmp_path / "shard", bytes(content)))
    assert isinstance(found.error, RecordError)
    assert (found.error.record, found.error.offset) == (0, 0)


def test_read_records_reads_all(tmp_path: Path) -> None:
    """The short way opens the shard and reads it in batches."""
    path = write_shard(tmp_path / "shard", [b"one", b"two", b"three"], "ZLIB")
    payloads = [
        list(map(bytes, records.payloads)) for records in read_records(open_shard(path), 30)
    ]
    assert len(payloads) > 1
    assert list(chain.from_iterable(payloads)) == [b"one", b"two", b"three"]


def _header(length: int) -> bytes:
    """A frame header with a right checksum."""
    # The checksum of a payload that is the length's bytes is the length's checksum.
    packed = length.to_bytes(8, "little")
    return packed + frame(packed)[-4:]
