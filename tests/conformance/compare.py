"""Tells how a table that a reader gives differs from the rows that it must give.

Each difference is one line that begins with the column's name. Differences of a known kind, such as
times cut to milliseconds, have words of their own, so that a known limit never hides another fault.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

IDENTITY = ("filename", "recording_offset_in_file", "channel")
"""The columns that tell a window from all others."""
_QUIET_BIT = np.uint32(0x00400000)
_BITS = {
    np.dtype(np.float16): np.dtype(np.uint16),
    np.dtype(np.float32): np.dtype(np.uint32),
    np.dtype(np.float64): np.dtype(np.uint64),
}
_VIEWS = {"string_view": pa.large_string(), "binary_view": pa.large_binary()}


class Values(NamedTuple):
    """A column in a form that compares bit for bit."""

    valid: npt.NDArray[np.bool_]
    """Shape (rows,); false where the row is null."""
    values: npt.NDArray[Any]
    """Shape (rows,), of lists (rows, length); floats as integers, nulls as zeros."""


def differences(found: Any, expected: Any) -> list[str]:
    """Compare two tables, whatever the order of their rows and columns; both ``pyarrow.Table``."""
    if found.num_rows != expected.num_rows:
        return [f"rows: {found.num_rows} instead of {expected.num_rows}"]
    missing = [name for name in expected.column_names if name not in found.column_names]
    further = [name for name in found.column_names if name not in expected.column_names]
    lines = [f"{name}: no such column" for name in missing]
    lines += [f"{name}: not expected" for name in further]
    if set(missing) & set(IDENTITY):
        return lines
    found_order, expected_order = _order(found), _order(expected)
    for name in expected.column_names:
        if name in missing:
            continue
        column, wanted = _decoded(found[name]), expected[name]
        lines += [f"{name}: {line}" for line in _type_differences(column.type, wanted.type, name)]
        try:
            lines += [
                f"{name}: {line}"
                for line in _compare(column.take(found_order), wanted.take(expected_order))
            ]
        except (pa.ArrowException, ValueError, TypeError) as error:
            lines.append(f"{name}: {column.type} cannot be compared: {error}")
    return lines


def _decoded(column: Any) -> Any:
    """A chunked array without dictionaries and views, for which Arrow lacks functions."""
    if str(column.type) in _VIEWS:
        return column.cast(_VIEWS[str(column.type)])
    if not pa.types.is_dictionary(column.type):
        return column
    # Chunk by chunk: Arrow cannot unify dictionaries that hold nulls.
    chunks = [chunk.dictionary_decode() for chunk in column.chunks]
    return pa.chunked_array(chunks, column.type.value_type)


def _order(table: Any) -> Any:
    """The rows sorted by what tells them apart."""
    columns = [np.array(table[name].to_pylist()) for name in reversed(IDENTITY)]
    return pa.array(np.lexsort(columns))


def _kind(kind: Any) -> str:
    """What a type can hold, whatever the reader's way to lay it out."""
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        return "string"
    if pa.types.is_large_binary(kind):
        return "binary"
    if _is_list(kind):
        return f"list of {kind.value_type}"
    if pa.types.is_timestamp(kind):
        return f"{'wall clock' if kind.tz is None else 'instant'} in {kind.unit}"
    return str(kind)


def _is_list(kind: Any) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def _type_differences(found: Any, expected: Any, name: str) -> Iterator[str]:
    kind, wanted = _kind(found), _kind(expected)
    # What is finer holds all, and a folder's name does not tell how wide an integer is.
    if kind in (wanted, wanted.replace("in us", "in ns"), "int32" if name == "year" else wanted):
        return
    yield f"{kind} instead of {wanted}"


def _compare(found: Any, expected: Any) -> Iterator[str]:
    """How the values of two columns with the same order of rows differ."""
    if pa.types.is_date32(expected.type) and pa.types.is_timestamp(found.type):
        expected = expected.cast(found.type)
    if _kind(expected.type) == "binary":
        found = found.cast(pa.binary())
    elif "string" in (_kind(found.type), _kind(expected.type)) and found.type != expected.type:
        found, expected = found.cast(pa.string()), expected.cast(pa.string())
    values, wanted = _values(found, expected.type), _values(expected, expected.type)
    if values.values.shape != wanted.values.shape:
        yield f"lists of other lengths: {values.values.shape} instead of {wanted.values.shape}"
        return
    spurious = values.valid & ~wanted.valid
    if spurious.any():
        instead = {str(value) for value in found.filter(pa.array(spurious)).to_pylist()}
        yield f"{_some(instead)} instead of null"
    if (lost := ~values.valid & wanted.valid).any():
        yield f"null instead of {lost.sum()} values"
    both = values.valid & wanted.valid
    left, right = values.values[both], wanted.values[both]
    if not np.array_equal(left, right):
        yield _explain(left, right, expected.type)


def _some(texts: set[str]) -> str:
    return ", ".join(sorted(texts)[:3])


def _explain(found: npt.NDArray[Any], expected: npt.NDArray[Any], kind: Any) -> str:
    """Put a difference into words, those of a known kind where one is all there is."""
    where = found != expected
    if found.dtype == np.uint32:
        floats, wanted = found[where].view(np.float32), expected[where].view(np.float32)
        if np.isnan(wanted).all():
            if np.array_equal(found[where], expected[where] | _QUIET_BIT):
                return "signalling NaN become quiet"
            if np.isnan(floats).all():
                return "NaN lose their payload"
    if pa.types.is_timestamp(kind) and np.array_equal(found, expected // 1000 * 1000):
        return "cut to milliseconds"
    is_whole = pa.types.is_int64(kind.value_type if _is_list(kind) else kind)
    if is_whole and np.array_equal(found, expected.astype(np.float64).astype(np.int64)):
        return "rounded to float64"
    first = tuple(np.argwhere(where)[0])
    return f"{where.sum()} values differ, such as {found[first]} instead of {expected[first]}"


def _values(column: Any, wanted: Any) -> Values:
    """A chunked array's values, read as ``wanted`` where that is another type of number."""
    array = column.combine_chunks()
    array = array if isinstance(array, pa.Array) else pa.concat_arrays(array.chunks)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    kind = array.type
    if _is_list(kind):
        return _list_values(array, valid, wanted)
    if _kind(kind) == "string":
        return Values(valid, np.array([text or "" for text in array.to_pylist()], object))
    if _kind(kind) == "binary":
        return Values(valid, np.array([content or b"" for content in array.to_pylist()], object))
    if pa.types.is_timestamp(kind):
        numbers = array.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
    elif pa.types.is_date32(kind):
        numbers = array.cast(pa.int32())
    elif pa.types.is_float64(kind) and pa.types.is_float64(wanted):
        numbers = array.view(pa.int64())
    elif pa.types.is_float32(kind):
        numbers = array.view(pa.int32()).cast(pa.int64())
    else:
        numbers = array.cast(pa.int64(), safe=False)
    return Values(valid, pc.fill_null(numbers, 0).to_numpy().astype(np.int64))


def _list_values(array: Any, valid: npt.NDArray[np.bool_], wanted: Any) -> Values:
    """Lists of one length; those that are null are zeros."""
    lists = array.drop_null()
    lengths = set(pc.list_value_length(lists).to_pylist())
    if empty := 0 in lengths and len(lengths) > 1:
        # The empty ones would be no rows of the matrix.
        is_empty = pc.fill_null(pc.equal(pc.list_value_length(array), 0), False)
        lists = array.filter(pc.invert(is_empty)).drop_null()
        lengths.discard(0)
    if len(lengths) != 1:
        raise ValueError(f"lists of {sorted(lengths)} values")
    elements = lists.flatten()
    if elements.null_count:
        raise ValueError(f"{elements.null_count} of the lists' values are null")
    if _is_list(wanted):
        elements = elements.cast(wanted.value_type, safe=False)
    bits = elements.to_numpy(zero_copy_only=False)
    bits = bits.view(_BITS.get(bits.dtype, bits.dtype))
    matrix = np.zeros((len(array), lengths.pop()), bits.dtype)
    filled = valid.copy()
    if empty:
        filled &= ~is_empty.to_numpy(zero_copy_only=False)
    matrix[filled] = bits.reshape(-1, matrix.shape[1])
    return Values(valid, matrix)
