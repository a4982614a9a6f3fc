"""The search for whole frames, compared with trying each place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.tfrecord.resync import (
    LENGTH_OF_CRC_ZERO,
    MAX_PAYLOAD_BYTES,
    find_frame,
    find_headers,
    is_frame,
)
from a20_parquet.tfrecord.shard import masked_crc, starts_with_frame
from tests.helpers.shards import frame

HEADER_BYTES = 12
FIRST_BLOCK_BYTES = 1 << 10

lengths = st.one_of(
    st.integers(0, 300),
    st.integers(0, 2**33),
    st.sampled_from([LENGTH_OF_CRC_ZERO, MAX_PAYLOAD_BYTES, 2**31, 2**32 - 1, 2**64 - 1]),
)


def header(length: int) -> bytes:
    """A frame header with a right checksum."""
    packed = length.to_bytes(8, "little")
    return packed + frame(packed)[-4:]


parts = st.one_of(
    st.binary(max_size=30),
    st.integers(0, 60).map(bytes),
    lengths.map(header),
    st.binary(max_size=20).map(frame),
    st.binary(max_size=8).map(lambda payload: frame(frame(payload))),
)
contents = st.lists(parts, max_size=8).map(b"".join)


@given(contents)
def test_headers_are_found_everywhere(data: bytes) -> None:
    """Every place with a possible length and its checksum is found, whatever its alignment."""
    expected = [
        at
        for at in range(len(data) - HEADER_BYTES + 1)
        if starts_with_frame(data[at : at + HEADER_BYTES])
        and int.from_bytes(data[at : at + 8], "little") <= MAX_PAYLOAD_BYTES
    ]
    assert find_headers(memoryview(data)).tolist() == expected


def test_one_length_has_the_checksum_zero() -> None:
    """The length that the search treats apart is the one, and is found among zeros."""
    assert masked_crc(LENGTH_OF_CRC_ZERO.to_bytes(8, "little")) == 0
    data = bytes(100) + header(LENGTH_OF_CRC_ZERO) + bytes(100)
    assert find_headers(memoryview(data)).tolist() == [100]


@settings(max_examples=200)
@given(contents, st.data())
def test_first_whole_frame_is_found(data: bytes, draw: st.DataObject) -> None:
    """Of a whole shard, it is the first place at which a whole frame starts."""
    start = draw.draw(st.integers(0, len(data)))
    view = memoryview(data)
    whole = [at for at in range(start, len(data)) if _starts_whole(data, at)]
    assert find_frame(view, start, is_all=True) == min(whole, default=len(data))

    # With more to come, no place that may turn out to be one is passed over.
    more = draw.draw(contents)
    whole = [at for at in range(start, len(data)) if _starts_whole(data + more, at)]
    assert start <= find_frame(view, start, is_all=False) <= max(start, len(data))
    assert find_frame(view, start, is_all=False) <= min(whole, default=len(data))


def _starts_whole(data: bytes, at: int) -> bool:
    length = int.from_bytes(data[at : at + 8], "little")
    return length < 2**31 and data[at : at + length + 16] == frame(
        data[at + HEADER_BYTES : at + HEADER_BYTES + length]
    )


@pytest.mark.parametrize("behind", range(FIRST_BLOCK_BYTES - 14, FIRST_BLOCK_BYTES + 3))
@pytest.mark.parametrize("filling", ["zeros", "random"])
def test_frame_across_blocks(behind: int, filling: str) -> None:
    """A frame is found at any position on the border of two blocks of the search."""
    noise = np.random.default_rng(0).integers(1, 255, behind, dtype=np.uint8).tobytes()
    data = (bytes(behind) if filling == "zeros" else noise) + frame(b"found")
    assert find_frame(memoryview(data), 0, is_all=True) == behind
    assert find_frame(memoryview(data), 0, is_all=False) == behind


@given(st.binary(max_size=30), st.data())
def test_is_frame(payload: bytes, data: st.DataObject) -> None:
    """A whole frame is one; with any other byte, a byte more or a byte less it is none."""
    whole = frame(payload)
    assert is_frame(memoryview(whole))
    assert not is_frame(memoryview(whole + b"\0"))
    assert not is_frame(memoryview(whole[:-1]))
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    assert not is_frame(memoryview(changed))
