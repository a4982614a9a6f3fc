"""How values and levels become bytes.

Source: apache/parquet-format, ``Encodings.md``.
"""

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from a20_parquet.parquet.format.thrift import varint

Array: TypeAlias = npt.NDArray[Any]

_BITS_A_BYTE = 8


# All columns of a row group have as many rows.
@lru_cache(maxsize=1 << 10)
def run(value: int, count: int, width: int) -> bytes:
    """Encode ``count`` times one value of ``width`` bits as a run of the RLE/bit-packing hybrid."""
    return varint(count << 1) + value.to_bytes(_whole_bytes(width), "little")


def bounds_of(changes: Array) -> Array:
    """Return the starts of runs of equal values, and the end of the last.

    Args:
        changes: shape (n - 1,), bool: whether each value but the first differs from the one before.

    Returns:
        Shape (runs + 1,), int64: 0, ..., n.
    """
    places = changes.nonzero()[0]
    bounds = np.empty(len(places) + 2, np.int64)
    bounds[0] = 0
    np.add(places, 1, out=bounds[1:-1])
    bounds[-1] = len(changes) + 1
    return bounds


def hybrid(values: Array, width: int) -> bytes:
    """Encode small numbers as runs or as one bit-packed run, whichever is shorter.

    Args:
        values: shape (n,), n > 0, non-negative integers below ``2**width``.
        width: bits per value, 1 to 32.
    """
    changes = values[1:] != values[:-1]
    if not _may_be_short(int(np.count_nonzero(changes)) + 1, len(values), width):
        return _packed(values, width)
    bounds = bounds_of(changes)
    return _short_runs(values[bounds[:-1]], bounds, width) or _packed(values, width)


def hybrid_runs(values: Array, bounds: Array, width: int) -> bytes:
    """Encode values whose runs are known like ``hybrid``.

    Args:
        values: shape (runs,), one value per run.
        bounds: shape (runs + 1,), from ``bounds_of``.
        width: bits per value, 1 to 32.
    """
    runs = _short_runs(values, bounds, width)
    return runs or _packed(np.repeat(values, np.diff(bounds)), width)


def packed_header(count: int) -> bytes:
    """Return the head of ``count`` bit-packed values, which are padded to a multiple of 8."""
    return varint(_whole_bytes(count) << 1 | 1)


def _packed(values: Array, width: int) -> bytes:
    word = 1 << (_whole_bytes(width) - 1).bit_length()
    # With an axis numpy unpacks word by word, which takes three times as long.
    bits = np.unpackbits(values.astype(f"<u{word}").view(np.uint8), bitorder="little")
    bits = bits.reshape(-1, _BITS_A_BYTE * word)[:, :width]
    size = _whole_bytes(len(values)) * width
    body = np.packbits(bits, bitorder="little").tobytes()
    return packed_header(len(values)) + body.ljust(size, b"\x00")


def _short_runs(values: Array, bounds: Array, width: int) -> bytes:
    """Return RLE runs, or nothing if one bit-packed run is shorter."""
    count = int(bounds[-1])
    if len(values) == 1:
        return run(int(values[0]), count, width)
    if not _may_be_short(len(values), count, width):
        return b""
    runs = _runs(values, bounds, width)
    return runs if len(runs) < _whole_bytes(count) * width else b""


def _may_be_short(runs: int, count: int, width: int) -> bool:
    """Whether runs can be shorter than one bit-packed run, or there is only one run."""
    # The shortest run takes one byte and its value.
    return runs == 1 or runs * (1 + _whole_bytes(width)) < _whole_bytes(count) * width


def _runs(values: Array, bounds: Array, width: int) -> bytes:
    """Encode all runs at once in a table with one row per run, whose used bytes are kept."""
    heads = (bounds[1:] - bounds[:-1]) << 1
    head_bytes = (int(heads.max()).bit_length() + 6) // 7
    value_bytes = _whole_bytes(width)
    repeated = values.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :value_bytes]
    table = np.empty((len(heads), head_bytes + value_bytes), np.uint8)
    table[:, head_bytes:] = repeated
    if head_bytes == 1:
        table[:, 0] = heads
        return table.tobytes()
    used = np.ones(table.shape, np.bool_)
    for index in range(head_bytes):
        group = heads >> 7 * index
        table[:, index] = group & 0x7F | (group > 0x7F) * 0x80  # noqa: PLR2004 - seven bits
        used[:, index] = (group > 0) | (index == 0)
    return table[used].tobytes()


def plain_strings(offsets: Array, text: memoryview) -> bytes:
    """Encode PLAIN strings: each after its length in bytes.

    Args:
        offsets: shape (n + 1,), int32: the start of each, and the end of the last.
        text: the bytes from the first offset to the last.
    """
    lengths = np.diff(offsets)
    plain = np.empty(len(text) + 4 * len(lengths), np.uint8)
    heads = np.arange(len(lengths)) * 4 + (offsets[:-1] - offsets[0])
    heads = heads[:, None] + np.arange(4)
    is_text = np.ones(len(plain), np.bool_)
    is_text[heads] = False
    plain[heads] = lengths.astype("<u4").view(np.uint8).reshape(-1, 4)
    plain[is_text] = np.frombuffer(text, np.uint8)
    return plain.tobytes()


def byte_stream_split(values: Array, out: Array) -> None:
    """Encode BYTE_STREAM_SPLIT: first the lowest byte of every value, then the next, and so on.

    Args:
        values: shape (n,), uint32.
        out: shape (4, n), uint8, is overwritten.
    """
    np.copyto(out[0], values, casting="unsafe")
    for index in (1, 2, 3):
        # numpy shifts and narrows in blocks that stay in the cache: twice as fast as a transpose.
        np.right_shift(values, _BITS_A_BYTE * index, out=out[index], casting="unsafe")


def join_byte_streams(streams: Array, out: Array) -> None:
    """Decode BYTE_STREAM_SPLIT.

    Args:
        streams: shape (4, n), uint8.
        out: shape (n, 4), uint8, is overwritten.
    """
    for index, stream in enumerate(streams):
        out[:, index] = stream


def _whole_bytes(bits: int) -> int:
    return -(-bits // _BITS_A_BYTE)
