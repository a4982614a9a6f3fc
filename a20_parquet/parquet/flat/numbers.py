"""Integers, floats and times of a row group.

Source: apache/parquet-format, ``Encodings.md``, and ``parquet.thrift`` on the bounds of floats.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from a20_parquet.parquet.flat.values import (
    NO_VALUES,
    RUN_LENGTH,
    Values,
    indices,
    indices_of_runs,
    pays,
    zeros,
)
from a20_parquet.parquet.format.encodings import Array, bounds_of

# With fewer rows a dictionary saves some hundred bytes beside the embeddings' 100,000 or more, and
# takes longer to find than the rest of the column.
_ROWS_TO_HASH = 256

_Dictionary: TypeAlias = tuple[Array, bytes]
"""Distinct values in the order they first appear, and all rows' indices into them."""


class NumberType(NamedTuple):
    """A number's type in Arrow's buffers and in Parquet's pages."""

    arrow: Any
    """numpy's type of the bits in Arrow: a signed integer, for floats too."""
    size: int
    """Bytes per value in Parquet, which has no 16-bit integers."""
    is_float: bool = False

    @property
    def floats(self) -> Any:
        """numpy's type of the same bits as floats, little-endian."""
        return np.dtype(f"<f{self.size}")


def encode_numbers(kind: NumberType, array: Any, valid: Array | None) -> Values:
    """Encode an Arrow array of numbers, with one row or more, and its ``validity``."""
    start = array.offset * kind.arrow.itemsize
    bits: Array = np.frombuffer(array.buffers()[1], kind.arrow, len(array), start)
    if valid is not None:
        bits = bits[valid]
        if not len(bits):
            return NO_VALUES
    size = kind.size
    found = _dictionary(bits, size)
    if found is None:
        return Values(_plain(bits, size), *_bounds(bits, kind))
    entries, body = found
    bounds = _bounds(entries, kind)
    if pays(len(entries) * size, len(body), len(bits) * size):
        return Values(body, *bounds, _plain(entries, size), len(entries))
    return Values(_plain(bits, size), *bounds)


def _dictionary(bits: Array, size: int) -> _Dictionary | None:
    """Return the distinct values, or None if a dictionary cannot pay."""
    rows = len(bits)
    changes = bits[1:] != bits[:-1]
    runs = int(np.count_nonzero(changes)) + 1
    if runs == 1:
        return bits[:1], zeros(rows)
    if RUN_LENGTH * runs <= rows:
        bounds = bounds_of(changes)
        keys, count, body = indices_of_runs(bits[bounds[:-1]].tolist(), bounds)
        return np.fromiter(keys, bits.dtype, count), body
    if rows < _ROWS_TO_HASH or (runs == rows and (bits[1:] > bits[:-1]).all()):
        return None
    encoded = pa.array(bits).dictionary_encode()
    if not pays(len(encoded.dictionary) * size, 0, rows * size):
        return None
    return encoded.dictionary.to_numpy(), indices(encoded)


def _bounds(values: Array, kind: NumberType) -> tuple[bytes | None, bytes | None]:
    """Return the smallest and the greatest as PLAIN encodes them."""
    if kind.is_float:
        floats = values.view(kind.floats)
        return float_bounds(
            np.minimum.reduce(floats, keepdims=True),
            np.maximum.reduce(floats, keepdims=True),
            kind,
        )[0]
    if len(values) == 1:
        only = _plain(values, kind.size)
        return only, only
    limits = np.array((np.minimum.reduce(values), np.maximum.reduce(values)))
    plain = _plain(limits, kind.size)
    return plain[: kind.size], plain[kind.size :]


def _plain(numbers: Array, size: int) -> bytes:
    """Encode the numbers' lower ``size`` bytes, little-endian."""
    return numbers.astype(f"<i{size}", copy=False).tobytes()


def float_bounds(
    lows: Array, highs: Array, kind: NumberType
) -> list[tuple[bytes | None, bytes | None]]:
    """Return the bounds of floats as PLAIN encodes them.

    Args:
        lows: the least of each row group, NaN if there is any; shape (groups,).
        highs: the greatest, likewise.
        kind: their type.
    """
    # The format forbids bounds if there is NaN. Values may be 0.0 and -0.0, which readers may
    # compare as different.
    size = kind.size
    low_bytes = np.where(lows == 0, -0.0, lows).astype(kind.floats).tobytes()
    high_bytes = np.where(highs == 0, 0.0, highs).astype(kind.floats).tobytes()
    places = range(0, len(low_bytes), size)
    return [
        (None, None)
        if unknown
        else (low_bytes[place : place + size], high_bytes[place : place + size])
        for place, unknown in zip(places, np.isnan(lows), strict=True)
    ]
