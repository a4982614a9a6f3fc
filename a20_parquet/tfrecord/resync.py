"""Finds the next whole frame in bytes whose frame boundaries are lost.

A frame starts with a length of eight bytes, its masked CRC32C, and a payload that matches its own
CRC32C. Any real length is below 2**31, so all offsets are tested at once: the length's upper half
must be zero, and the CRC32C of its lower half, which is linear in the bits, is looked up in two
tables of 65,536 values.
"""

from functools import lru_cache

import crc32c
import numpy as np
import numpy.typing as npt

from a20_parquet.tfrecord.shard import (
    CRC_MASK_DELTA,
    FOOTER_BYTES,
    HEADER_BYTES,
    masked_crc,
    starts_with_frame,
)

MAX_PAYLOAD_BYTES = 2**31 - 1
LENGTH_OF_CRC_ZERO = 0x0DE7AA85
"""The only 32-bit length whose masked CRC32C is 0."""
_FIRST_BLOCK_BYTES = 1 << 10
_BLOCK_BYTES = 1 << 17
_WORD_BYTES = 4
_HALF_BITS = 16


def find_frame(data: memoryview, start: int, *, is_all: bool) -> int:
    """Find where the next frame starts.

    Args:
        data: bytes of a decompressed shard.
        start: first offset to test.
        is_all: whether the shard ends with ``data``.

    Returns:
        Offset of the first whole frame from ``start`` on; ``len(data)`` if there is none. Unless
        ``is_all``, an earlier offset at which a frame might start if more bytes were known.
    """
    begin, block_bytes = start, _FIRST_BLOCK_BYTES
    while begin <= len(data) - HEADER_BYTES:
        block = data[begin : begin + block_bytes + HEADER_BYTES - 1]
        for offset in find_headers(block).tolist():
            frame = data[begin + offset :]
            size = HEADER_BYTES + int.from_bytes(frame[:8], "little") + FOOTER_BYTES
            if is_frame(frame[:size]) if size <= len(frame) else not is_all:
                return int(begin + offset)
        begin += block_bytes
        # Blocks start small because the next frame is usually near; many small damages stay cheap.
        block_bytes = min(4 * block_bytes, _BLOCK_BYTES)
    return len(data) if is_all else max(start, len(data) - HEADER_BYTES + 1)


def is_frame(data: memoryview) -> bool:
    """Whether ``data`` is one whole frame."""
    if not starts_with_frame(data) or len(data) < HEADER_BYTES + FOOTER_BYTES:
        return False
    payload = data[HEADER_BYTES:-FOOTER_BYTES]
    if len(payload) != int.from_bytes(data[:8], "little"):
        return False
    return masked_crc(payload) == int.from_bytes(data[-FOOTER_BYTES:], "little")


def find_headers(data: memoryview) -> npt.NDArray[np.int64]:
    """Find all offsets at which 12 bytes are a possible length and its masked CRC32C."""
    low_table, high_table = _tables()
    found = [np.zeros(0, np.int64)]
    for phase in range(_WORD_BYTES):
        count = (len(data) - phase) // _WORD_BYTES
        if count * _WORD_BYTES < HEADER_BYTES:
            continue
        words = np.frombuffer(data, np.uint8, count * _WORD_BYTES, phase).copy().view("<u4")
        length, upper, stored = words[:-2], words[1:-1], words[2:]
        has_length = (upper == 0) & (length <= MAX_PAYLOAD_BYTES)
        if not has_length.any():
            continue
        # In runs of zeros each offset would be a candidate, but only one length has the CRC 0.
        has_length &= (stored != 0) | (length == LENGTH_OF_CRC_ZERO)
        at = np.flatnonzero(has_length)
        if len(at):
            length = length[at]
            crc = low_table[length & 0xFFFF] ^ high_table[length >> _HALF_BITS]
            masked = ((crc >> 15) | (crc << 17)) + np.uint32(CRC_MASK_DELTA)
            found.append(at[masked == stored[at]] * _WORD_BYTES + phase)
    return np.sort(np.concatenate(found))


@lru_cache(maxsize=1)
def _tables() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """CRC32C of a 32-bit number in eight bytes, as tables of its two halves to XOR."""
    nothing = crc32c.crc32c(bytes(8))
    bits = [crc32c.crc32c((1 << bit).to_bytes(8, "little")) ^ nothing for bit in range(32)]
    low, high = np.array([nothing], np.uint32), np.zeros(1, np.uint32)
    for bit in range(_HALF_BITS):
        low = np.concatenate([low, low ^ np.uint32(bits[bit])])
        high = np.concatenate([high, high ^ np.uint32(bits[_HALF_BITS + bit])])
    return low, high
