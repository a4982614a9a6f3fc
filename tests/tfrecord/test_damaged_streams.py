"""Damaged GZIP and ZLIB shards: no stored byte is lost, and no record is a wrong one."""

import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.rejection import Reason
from tests.helpers.damage import (
    HEADER_BYTES,
    Range,
    Whole,
    cut,
    flip,
    insert,
    join,
    overwrite,
    plain_payload_lists,
    read_all,
    remove,
    zero,
)
from tests.helpers.shards import COMPRESS, frame

DEFAULT_BATCH_BYTES = 8 << 20
small_batches = st.one_of(st.integers(1, 300), st.integers(300, 5_000))
A, B = frame(b"first" * 9), frame(b"second" * 9)


@pytest.mark.slow
@settings(max_examples=200)
@given(plain_payload_lists, st.sampled_from(["GZIP", "ZLIB"]), small_batches, st.data())
def test_damaged_compression_loses_no_stored_byte(
    folder: Path, payloads: list[bytes], compression: str, batch_bytes: int, data: st.DataObject
) -> None:
    """Bytes of a compressed stream that cannot be inflated are kept; no record is a wrong one."""
    content = b"".join(map(frame, payloads))
    stored = bytearray(COMPRESS[compression](content))
    for _ in range(data.draw(st.integers(1, 2))):
        if len(stored) > HEADER_BYTES:
            mutate = data.draw(st.sampled_from([flip, zero, overwrite, insert, remove, cut]))
            at = data.draw(st.integers(HEADER_BYTES, len(stored) - 1))
            mutate(stored, at, data.draw(st.integers(1, 20)), data.draw(st.integers(0, 10_000)))
    path = folder / "shard"
    path.write_bytes(stored)
    found = read_all(path, DEFAULT_BATCH_BYTES)
    assert read_all(path, batch_bytes) == found
    assert {item.payload for item in found if isinstance(item, Whole)} <= set(payloads)
    assert all(
        item.content and stored.endswith(item.content) and item is found[-1]
        for item in found
        if isinstance(item, Range) and item.reason is Reason.BAD_STREAM
    )
    inflated = zlib.decompressobj(47)
    whole = b""
    for byte in stored:
        try:
            whole += inflated.decompress(bytes([byte]))
        except zlib.error:
            break
    # What zlib hands out byte by byte lacks the output of the byte that fails.
    assert join(found)[: len(whole)] == whole[: len(join(found))]
    assert len(join(found)) >= len(whole) - 1


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
@pytest.mark.parametrize("batch_bytes", [1, 1000, DEFAULT_BATCH_BYTES])
def test_cut_stream(tmp_path: Path, compression: str, batch_bytes: int) -> None:
    """Whole records of a cut stream come first, then what was inflated, then what was stored."""
    payloads = [bytes(range(256)) * 3, b"x" * 5000, bytes(reversed(range(256)))]
    content = b"".join(map(frame, payloads))
    stored = COMPRESS[compression](content)[:-30]
    path = tmp_path / "shard"
    path.write_bytes(stored)
    *records, last, stream = read_all(path, batch_bytes)
    assert [item.payload for item in records if isinstance(item, Whole)] == payloads[:2]
    assert isinstance(last, Range)
    assert isinstance(stream, Range)
    assert last.reason is Reason.TRUNCATED
    assert last.message == f"what can be inflated ends {len(last.content)} bytes into a frame"
    assert content.startswith(join([*records, last]))
    assert (stream.reason, stream.offset, stream.content) == (Reason.BAD_STREAM, 0, stored)
    assert "is cut: it ends before its end mark" in stream.message
    assert "from 0 on, in the shard as it is stored" in stream.message


@pytest.mark.parametrize("compression", ["GZIP", "ZLIB"])
def test_stream_cut_behind_its_records(tmp_path: Path, compression: str) -> None:
    """A stream that lost only its own checksum has all records, and is still called damaged."""
    path = tmp_path / "shard"
    path.write_bytes(COMPRESS[compression](A + B)[:-2])
    *records, stream = read_all(path, 100)
    assert len(records) == 2
    assert isinstance(stream, Range)
    assert (stream.number, stream.reason) == (2, Reason.BAD_STREAM)


def test_damage_in_a_late_block_keeps_stored_bytes_from_there(tmp_path: Path) -> None:
    """Of a long stream only the stored bytes from the block that failed are kept."""
    payloads = [bytes([n]) + zlib.compress(bytes([n]) * n) * 40_000 for n in range(1, 9)]
    stored = bytearray(zlib.compress(b"".join(map(frame, payloads)), 0))
    stored[len(stored) // 2 :] = bytes(1000)
    path = tmp_path / "shard"
    path.write_bytes(stored)
    found = read_all(path, DEFAULT_BATCH_BYTES)
    stream = found[-1]
    assert isinstance(stream, Range)
    assert stream.reason is Reason.BAD_STREAM
    assert 1_000_000 < stream.offset < len(stored)
    assert stream.content == stored[stream.offset :]
    assert read_all(path, 100_000) == found
