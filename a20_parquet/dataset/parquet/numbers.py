"""Integers, floats and times of a row group, all columns at once.

A call of numpy costs more than what it does to the 80 rows of a small file; a table with a row a
column takes a fraction of the calls. Source: apache/parquet-format, ``Encodings.md``, and
``parquet.thrift`` on the bounds of floats.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from a20_parquet.dataset.parquet.encoding import Array, bounds_of
from a20_parquet.dataset.parquet.values import (
    NO_VALUES,
    RUN_LENGTH,
    Values,
    indices,
    indices_of_runs,
    pays,
    zeros,
)

_INT64 = np.dtype("<i8")
# With fewer rows a dictionary saves some hundred bytes beside the embeddings' 100,000 or more, and
# takes longer to find than all else of the column.
_ROWS_TO_HASH = 256

_Pages: TypeAlias = tuple[bytes, bytes | None, int]
"""Body of the data page, dictionary if there is one, number of values in it."""


class NumberType(NamedTuple):
    """How a number lies in Arrow's buffers and in Parquet's pages."""

    arrow: Any
    """numpy's type of the bits in Arrow: a signed integer, for floats too."""
    size: int
    """Bytes a value in Parquet, which has no integers of 16 bits."""
    is_float: bool = False


def encode_numbers(columns: Sequence[tuple[NumberType, Any, Array | None]]) -> list[Values]:
    """Encodes all number columns of a row group.

    Args:
        columns: of each its type, its Arrow array of shape (rows,), rows > 0, which may be a slice,
            and a bool array of the same shape that tells what is not null, or None.

    Returns:
        What to put in each column's pages.
    """
    encoded = [NO_VALUES] * len(columns)
    full: list[tuple[int, NumberType, Array]] = []
    for index, (kind, array, valid) in enumerate(columns):
        start = array.offset * kind.arrow.itemsize
        bits: Array = np.frombuffer(array.buffers()[1], kind.arrow, len(array), start)
        if valid is None:
            full.append((index, kind, bits))
        elif valid.any():
            encoded[index] = _encode_table([kind], [bits[valid]])[0]
    if full:
        places, kinds, table = zip(*full, strict=True)
        for index, values in zip(places, _encode_table(kinds, table), strict=True):
            encoded[index] = values
    return encoded


def _encode_table(types: Sequence[NumberType], columns: Sequence[Array]) -> list[Values]:
    """Encodes columns of one length without nulls."""
    table = np.empty((len(columns), len(columns[0])), _INT64)
    for row, column in zip(table, columns, strict=True):
        row[:] = column
    before, after = table[:, :-1], table[:, 1:]
    changes = before != after
    change_counts = np.add.reduce(changes, axis=1, dtype=np.int64).tolist()
    rises = np.logical_and.reduce(before < after, axis=1).tolist()
    lows = np.minimum.reduce(table, axis=1).tolist()
    highs = np.maximum.reduce(table, axis=1).tolist()
    encoded = []
    for index, kind in enumerate(types):
        row = table[index]
        runs = change_counts[index] + 1
        size = kind.size
        if runs == 1:
            body, dictionary, entries = _constant(row, size)
        elif rises[index]:
            body, dictionary, entries = _plain(row, size), None, 0
        elif RUN_LENGTH * runs <= len(row):
            body, dictionary, entries = _in_runs(row, size, bounds_of(changes[index]))
        else:
            body, dictionary, entries = _in_any_order(row, size)
        low, high = lows[index], highs[index]
        if kind.is_float:
            floats = row.view(np.float64)
            bounds = float_bounds(floats.min(keepdims=True), floats.max(keepdims=True))[0]
        else:
            bounds = _integer_bytes(low, size), _integer_bytes(high, size)
        encoded.append(Values(body, *bounds, dictionary, entries))
    return encoded


def _constant(row: Array, size: int) -> _Pages:
    body = zeros(len(row))
    if pays(size, len(body), size * len(row)):
        return body, _plain(row[:1], size), 1
    return _plain(row, size), None, 0


def _in_runs(row: Array, size: int, bounds: Array) -> _Pages:
    entries, count, body = indices_of_runs(row[bounds[:-1]].tolist(), bounds)
    if pays(count * size, len(body), size * len(row)):
        return body, _plain(np.fromiter(entries, _INT64, count), size), count
    return _plain(row, size), None, 0


def _in_any_order(row: Array, size: int) -> _Pages:
    if len(row) < _ROWS_TO_HASH:
        return _plain(row, size), None, 0
    buffers = [None, pa.py_buffer(row)]
    encoded = pa.Array.from_buffers(pa.int64(), len(row), buffers).dictionary_encode()
    entries = encoded.dictionary
    if pays(len(entries) * size, 0, size * len(row)):
        body = indices(encoded)
        if pays(len(entries) * size, len(body), size * len(row)):
            distinct = np.frombuffer(entries.buffers()[1], _INT64, len(entries))
            return body, _plain(distinct, size), len(entries)
    return _plain(row, size), None, 0


def _plain(numbers: Array, size: int) -> bytes:
    """PLAIN encoding: the numbers' lower ``size`` bytes, little-endian."""
    return numbers.astype(f"<i{size}", copy=False).tobytes()


def _integer_bytes(number: int, size: int) -> bytes:
    return number.to_bytes(size, "little", signed=True)


def float_bounds(lows: Array, highs: Array) -> list[tuple[bytes | None, bytes | None]]:
    """The bounds of floats as PLAIN encodes them.

    Args:
        lows: the least of each row group, NaN where there is any; shape (groups,), float64.
        highs: the greatest, likewise.
    """
    # The format wants no bounds where there is NaN, and readers may tell 0.0 from -0.0, of which
    # the values may hold both.
    low_bytes = np.where(lows == 0, -0.0, lows).astype("<f8").tobytes()
    high_bytes = np.where(highs == 0, 0.0, highs).astype("<f8").tobytes()
    return [
        (None, None) if unknown else (low_bytes[place : place + 8], high_bytes[place : place + 8])
        for place, unknown in zip(range(0, len(low_bytes), 8), np.isnan(lows), strict=True)
    ]
