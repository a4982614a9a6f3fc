"""Damaged shards: nothing is lost or wrong, and the next whole frame is found."""

import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.errors import RecordError, SourceError
from a20_parquet.tfrecord.compression import StreamDamage, open_content
from a20_parquet.tfrecord.frames import FrameReader, read_records, read_shard
from a20_parquet.tfrecord.records import PIECE_BYTES, Damage, Records
from a20_parquet.tfrecord.shard import Codec, Shard
from a20_parquet.windows.rejection import Reason
from tests.helpers.damage import (
    ALL,
    FOOTER_BYTES,
    HEADER_BYTES,
    IN_PLACE,
    Range,
    Whole,
    damaged,
    join,
    payload_lists,
    read_all,
    read_naively,
)
from tests.helpers.shards import frame, open_shard, write_content

DEFAULT_BATCH_BYTES = 8 << 20
compressions = st.sampled_from(["", "GZIP", "ZLIB"])
small_batches = st.one_of(st.integers(1, 300), st.integers(300, 5_000))
A, B, C = frame(b"first" * 9), frame(b"second" * 9), frame(b"third" * 9)


def without_message(found: list[Range | Whole]) -> list[Range | Whole]:
    return [
        Range(item.number, item.offset, item.reason, item.content)
        if isinstance(item, Range)
        else item
        for item in found
    ]


@pytest.mark.slow
@settings(max_examples=150)
@given(payload_lists, compressions, small_batches, st.data())
def test_any_damage_is_what_the_rules_say(
    folder: Path, payloads: list[bytes], compression: str, batch_bytes: int, data: st.DataObject
) -> None:
    """Records and ranges are those of a naive reader, whatever the compression and the buffer."""
    content = data.draw(damaged(payloads, ALL))
    path = write_content(folder / "shard", content)
    found = read_all(path, DEFAULT_BATCH_BYTES)
    assert without_message(found) == read_naively(content)
    assert join(found) == content
    write_content(path, content, compression)
    assert read_all(path, batch_bytes) == found


@pytest.mark.slow
@settings(max_examples=200)
@given(payload_lists, small_batches, st.data())
def test_untouched_records_are_found(
    folder: Path, payloads: list[bytes], batch_bytes: int, data: st.DataObject
) -> None:
    """Of damage that moves nothing, every record whose bytes are as they were comes through."""
    content = data.draw(damaged(payloads, IN_PLACE))
    found = read_all(write_content(folder / "shard", content), batch_bytes)
    offsets = {item.offset: item for item in found if isinstance(item, Whole)}
    start = 0
    for payload in payloads:
        stop = start + len(frame(payload))
        if content[start:stop] == frame(payload):
            assert offsets[start].payload == payload
        start = stop


@settings(max_examples=50)
@given(payload_lists, small_batches, st.data())
def test_damaged_length_that_reaches_to_the_end_of_another_record(
    folder: Path, payloads: list[bytes], batch_bytes: int, data: st.DataObject
) -> None:
    """If a wrong length matches its checksum, the records that it reaches over come through."""
    frames = [*map(frame, payloads), frame(b"last")]
    first = data.draw(st.integers(0, len(frames) - 2))
    last = data.draw(st.integers(first + 1, len(frames) - 1))
    reached = b"".join(frames[first : last + 1])
    longer = frame(bytes(len(reached) - HEADER_BYTES - FOOTER_BYTES))[:HEADER_BYTES]
    before = b"".join(frames[:first])
    content = b"".join([before, longer, reached[HEADER_BYTES:], *frames[last + 1 :]])
    found = read_all(write_content(folder / "shard", content), batch_bytes)
    assert without_message(found) == read_naively(content)
    whole = {item.offset: frame(item.payload) for item in found if isinstance(item, Whole)}
    start = 0
    for index, each in enumerate(frames):
        assert whole.get(start) == each or index == first
        start += len(each)


@pytest.mark.slow
@settings(max_examples=20)
@given(payload_lists, compressions, st.data())
def test_records_before_the_damage_are_tensorflows(
    folder: Path, payloads: list[bytes], compression: str, data: st.DataObject
) -> None:
    """Up to the first damage, TensorFlow reads the same records, and there it stops."""
    content = data.draw(damaged(payloads, ALL))
    path = write_content(folder / "shard", content, compression)
    found = read_all(path, DEFAULT_BATCH_BYTES)
    before = [item.payload for item in found if isinstance(item, Whole)]
    ranges = [item for item in found if isinstance(item, Range)]
    if ranges:
        before = before[: ranges[0].number]
    theirs = []
    error: Exception | None = None
    try:
        theirs.extend(tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator())
    except tf.errors.DataLossError as stopped:
        error = stopped
    if error is None:
        assert theirs == before
        # TensorFlow passes over a header that was cut.
        assert all(len(item.content) < HEADER_BYTES for item in ranges)
    # With an error TensorFlow does not return what it had read: so record by record.
    iterator = tf.data.TFRecordDataset(str(path), compression).take(len(before))
    assert list(iterator.as_numpy_iterator()) == before


BAD_LENGTH_A = bytes([A[0] ^ 1]) + A[1:]
BAD_PAYLOAD_A = A[:20] + b"!" + A[21:]
# The header of a frame as long as A and B together.
LONG_HEADER = frame(bytes(len(A + B) - 16))[:HEADER_BYTES]


@pytest.mark.parametrize("batch_bytes", [1, DEFAULT_BATCH_BYTES])
@pytest.mark.parametrize(
    ("content", "expected", "message"),
    [
        pytest.param(
            BAD_PAYLOAD_A + B,
            [Range(0, 0, Reason.BAD_PAYLOAD, BAD_PAYLOAD_A), b"second" * 9],
            r"the payload's masked CRC32C is 0x\w{8}, its frame says 0x\w{8}$",
            id="payload",
        ),
        pytest.param(
            BAD_PAYLOAD_A + BAD_PAYLOAD_A,
            [
                Range(0, 0, Reason.BAD_PAYLOAD, BAD_PAYLOAD_A),
                Range(1, len(A), Reason.BAD_PAYLOAD, BAD_PAYLOAD_A),
            ],
            r"its frame says 0x\w{8}$",
            id="two payloads",
        ),
        pytest.param(
            BAD_PAYLOAD_A[:-5] + B + C,
            [Range(0, 0, Reason.BAD_PAYLOAD, BAD_PAYLOAD_A[:-5]), b"second" * 9, b"third" * 9],
            "and no frame follows it$",
            id="payload that lost bytes",
        ),
        pytest.param(
            BAD_LENGTH_A + B,
            [Range(0, 0, Reason.BAD_LENGTH, BAD_LENGTH_A), b"second" * 9],
            r"the frame's length \(44\) and its CRC32C do not agree$",
            id="length",
        ),
        pytest.param(
            LONG_HEADER + A[12:] + B,
            [Range(0, 0, Reason.BAD_PAYLOAD, LONG_HEADER + A[12:]), b"second" * 9],
            "and a whole frame is inside it$",
            id="length that reaches to the shard's end",
        ),
        pytest.param(
            LONG_HEADER + A[12:] + B + C,
            [Range(0, 0, Reason.BAD_PAYLOAD, LONG_HEADER + A[12:]), b"second" * 9, b"third" * 9],
            "and a whole frame is inside it$",
            id="length that reaches to another frame",
        ),
        pytest.param(
            A + B[:40] + b"!" + B[41:],
            [b"first" * 9, Range(1, len(A), Reason.BAD_PAYLOAD, B[:40] + b"!" + B[41:])],
            r"its frame says 0x\w{8}$",
            id="last payload",
        ),
        pytest.param(
            A[:30] + C,
            [Range(0, 0, Reason.BAD_PAYLOAD, A[:30]), b"third" * 9],
            "and no frame follows it$",
            id="frame that lost its end",
        ),
        pytest.param(
            frame(bytes(500))[:30] + C,
            [Range(0, 0, Reason.BAD_LENGTH, frame(bytes(500))[:30]), b"third" * 9],
            r"the frame's 516 bytes reach 425 bytes behind the shard's end, and whole frames stand",
            id="frame that lost bytes at the end",
        ),
        pytest.param(
            A + B[:-1],
            [b"first" * 9, Range(1, len(A), Reason.TRUNCATED, B[:-1])],
            f"the shard ends {len(B) - 1} bytes into a frame$",
            id="cut",
        ),
        pytest.param(
            A + B[:5],
            [b"first" * 9, Range(1, len(A), Reason.TRUNCATED, B[:5])],
            "the shard ends 5 bytes into a frame$",
            id="cut header",
        ),
    ],
)
def test_reasons(
    tmp_path: Path,
    content: bytes,
    expected: list[Range | bytes],
    message: str,
    batch_bytes: int,
) -> None:
    """Each damage has its reason, its bytes and a message with what was found."""
    found = read_all(write_content(tmp_path / "shard", content), batch_bytes)
    plain = [i.payload if isinstance(i, Whole) else i for i in without_message(found)]
    assert plain == expected
    messages = [item.message for item in found if isinstance(item, Range)]
    assert all(re.search(message, each) for each in messages)
    assert join(found) == content


def test_strict_reading_stops_at_damage(tmp_path: Path) -> None:
    """Records before the damage are handed on, then the reason is raised."""
    path = write_content(tmp_path / "shard", A + BAD_PAYLOAD_A + B)
    records = read_records(open_shard(path), DEFAULT_BATCH_BYTES)
    assert next(records).payloads == [b"first" * 9]
    with pytest.raises(RecordError) as caught:
        next(records)
    error = caught.value
    assert (error.record, error.offset, error.code) == (1, len(A), Reason.BAD_PAYLOAD)
    assert str(error).endswith(Reason.BAD_PAYLOAD.fix)


def test_frame_found_in_the_shards_own_garbage(tmp_path: Path) -> None:
    """Garbage longer than any buffer comes in pieces, and the record behind it is found."""
    garbage = bytes(range(1, 256)) * 20_000
    content = A + garbage + B
    path = write_content(tmp_path / "shard", content)
    items = list(read_shard(open_shard(path), DEFAULT_BATCH_BYTES))
    pieces = [item for item in items if isinstance(item, Damage)]
    assert [item.more for item in pieces] == [True] * (len(pieces) - 1) + [False]
    assert {item.number for item in pieces} == {1}
    assert [item.offset for item in pieces] == [
        len(A) + PIECE_BYTES * index for index in range(len(pieces))
    ]
    assert b"".join(item.content for item in pieces) == garbage
    last = items[-1]
    assert isinstance(last, Records)
    assert (last.first, last.offsets) == (2, [len(A) + len(garbage)])


class _Zeros:
    """A shard of zeros that is not stored anywhere."""

    codec = Codec.NONE
    damage: StreamDamage | None = None

    def __init__(self, size: int) -> None:
        self.stored_bytes = 0
        self._size = size

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), self._size - self.stored_bytes)
        # Their buffer is counted as well.
        for start in range(0, count, 1 << 16):
            piece = buffer[start : min(start + (1 << 16), count)]
            piece[:] = bytes(len(piece))
        self.stored_bytes += count
        return count

    def rest(self) -> Iterator[bytes]:
        yield from ()


def test_memory_is_bounded_whatever_is_damaged() -> None:
    """A hundred megabytes of damage take a few."""
    content = _Zeros(100_000_000)
    shard = Shard("zeros", "zeros", 0, "zeros", 100_000_000, None)
    tracemalloc.start()
    reader = FrameReader(shard, content, DEFAULT_BATCH_BYTES)
    size = sum(len(item.content) for item in reader.read() if isinstance(item, Damage))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 100_000_000
    assert peak < 2 * DEFAULT_BATCH_BYTES
    assert (reader.records, reader.damaged_ranges) == (0, 1)


@settings(max_examples=50)
@given(payload_lists, small_batches, st.data())
def test_checksum_covers_damage(
    folder: Path, payloads: list[bytes], batch_bytes: int, data: st.DataObject
) -> None:
    """A changed byte changes the checksum, in damage too; the buffer's size does not."""

    def checksum(content: bytes, size: int) -> str:
        shard = open_shard(write_content(folder / "shard", content))
        with open_content(shard) as opened:
            reader = FrameReader(shard, opened, size)
            for _ in reader.read():
                pass
            return reader.checksum

    content = data.draw(damaged(payloads, ALL).filter(bool))
    changed = bytearray(content)
    changed[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    reference = checksum(content, DEFAULT_BATCH_BYTES)
    assert checksum(content, batch_bytes) == reference
    assert checksum(bytes(changed), batch_bytes) != reference


@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize("change", ["grows", "shrinks"])
def test_shard_that_changed_while_it_was_read(
    tmp_path: Path, compression: str, change: str
) -> None:
    """A file of another size than when it was found is no damage, but an error of the source."""
    path = write_content(tmp_path / "shard", A + B + C, compression)
    shard = open_shard(path)
    stored = path.read_bytes()
    path.write_bytes(stored + stored if change == "grows" else stored[:-1])
    with pytest.raises(SourceError, match=rf"expected {len(stored)} as when it was found: it chan"):
        list(read_records(shard, DEFAULT_BATCH_BYTES))
