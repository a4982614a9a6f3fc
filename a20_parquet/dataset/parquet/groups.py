"""The flat columns of many small row groups at once.

Where a file holds some dozen rows, calling numpy or Arrow for each column of each file takes longer
than copying its embeddings. Here they are called for a batch of files, and only slices are taken
for each. What is chosen for a row group still follows from its own rows alone.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from a20_parquet.dataset.parquet.columns import FlatColumn, FlatGroup, validity
from a20_parquet.dataset.parquet.encoding import Array, run
from a20_parquet.dataset.parquet.numbers import NumberType, encode_numbers, float_bounds
from a20_parquet.dataset.parquet.strings import encode_strings
from a20_parquet.dataset.parquet.values import NO_VALUES, Values, index_width, pays, zeros


class _Bounds(NamedTuple):
    """Where row groups begin and end in a batch."""

    starts: Array
    """First row of each, shape (groups,), int64."""
    spans: list[tuple[int, int]]
    """First row of each, and the row behind its last."""


def encode_groups(
    columns: Sequence[FlatColumn], arrays: Sequence[Any], rows: Sequence[int]
) -> list[FlatGroup]:
    """Encodes consecutive row groups of all flat columns.

    Args:
        columns: the flat columns.
        arrays: their Arrow arrays, of as many rows as all groups have; they may be slices.
        rows: of each group, 1 or more.

    Raises:
        DatasetError: an array has nulls, and its column must not.
    """
    ends = np.cumsum(np.asarray(rows, np.int64))
    starts = ends - rows
    bounds = _Bounds(starts, list(zip(starts.tolist(), ends.tolist(), strict=True)))
    encoded = [_encode_column(*pair, bounds) for pair in zip(columns, arrays, strict=True)]
    return [FlatGroup(*group) for group in zip(rows, zip(*encoded, strict=True), strict=True)]


def _encode_column(
    column: FlatColumn, array: Any, bounds: _Bounds
) -> Iterator[tuple[Values, int, Array | None]]:
    """Of each group the values, how many nulls there are, and what is not null."""
    valid = validity(array, column.name, nullable=column.nullable)
    groups = _numbers(column.number, array, bounds) if column.number else _strings(array, bounds)
    if valid is None:
        for values in groups:
            yield values, 0, None
        return
    counts = np.add.reduceat(valid, bounds.starts, dtype=np.int64).tolist()
    for values, count, (start, end) in zip(groups, counts, bounds.spans, strict=True):
        nulls = end - start - count
        if not nulls:
            yield values, 0, None
        elif not count:
            yield NO_VALUES, nulls, valid[start:end]
        else:
            part, present = array.slice(start, end - start), valid[start:end]
            if column.number:
                mixed = encode_numbers([(column.number, part, present)])[0]
            else:
                mixed = encode_strings(part, present)
            yield mixed, nulls, present


def _numbers(kind: NumberType, array: Any, bounds: _Bounds) -> Iterator[Values]:
    """PLAIN, or a dictionary of one value; nulls are taken for numbers."""
    start = array.offset * kind.arrow.itemsize
    bits: Array = np.frombuffer(array.buffers()[1], kind.arrow, len(array), start)
    size = kind.size
    body = bits.astype(f"<i{size}", copy=False).tobytes()
    values = bits.view(np.float64) if kind.is_float else bits.astype(np.int64)
    lows = np.minimum.reduceat(values, bounds.starts).tolist()
    highs = np.maximum.reduceat(values, bounds.starts).tolist()
    for low, high, (first, end) in zip(lows, highs, bounds.spans, strict=True):
        plain = body[first * size : end * size]
        if kind.is_float:
            yield Values(plain, *float_bounds(low, high))
            continue
        low_bytes = low.to_bytes(size, "little", signed=True)
        if low == high:
            indices = zeros(end - first)
            if pays(size, len(indices), len(plain)):
                yield Values(indices, low_bytes, low_bytes, low_bytes, 1)
                continue
        yield Values(plain, low_bytes, high.to_bytes(size, "little", signed=True))


def _strings(array: Any, bounds: _Bounds) -> Iterator[Values]:
    """A dictionary and its runs, or PLAIN; nulls are taken for the first string."""
    encoded = array.dictionary_encode()
    texts: list[bytes] = encoded.dictionary.cast(pa.binary()).to_pylist() or [b""]
    sized = [len(text).to_bytes(4, "little") + text for text in texts]
    codes: Array = encoded.indices.fill_null(0).to_numpy()
    ranks = np.empty(len(texts), np.int64)
    by_rank = sorted(range(len(texts)), key=texts.__getitem__)
    ranks[by_rank] = np.arange(len(texts))
    lows = np.minimum.reduceat(ranks[codes], bounds.starts).tolist()
    highs = np.maximum.reduceat(ranks[codes], bounds.starts).tolist()
    lengths = np.array(list(map(len, sized)))
    plain_sizes = np.add.reduceat(lengths[codes], bounds.starts).tolist()

    begins = np.empty(len(codes), np.bool_)
    np.not_equal(codes[1:], codes[:-1], out=begins[1:])
    begins[bounds.starts] = True
    run_starts = begins.nonzero()[0]
    run_codes = codes[run_starts].tolist()
    run_lengths = np.diff(run_starts, append=len(codes)).tolist()
    run_bounds = [*np.searchsorted(run_starts, bounds.starts).tolist(), len(run_starts)]

    for group, plain_size in enumerate(plain_sizes):
        runs = slice(run_bounds[group], run_bounds[group + 1])
        group_codes = run_codes[runs]
        places = {code: place for place, code in enumerate(dict.fromkeys(group_codes))}
        low, high = texts[by_rank[lows[group]]], texts[by_rank[highs[group]]]
        dictionary = b"".join([sized[code] for code in places])
        if pays(len(dictionary), 0, plain_size):
            width = index_width(len(places))
            pairs = zip(group_codes, run_lengths[runs], strict=True)
            body = [run(places[code], length, width) for code, length in pairs]
            indices = bytes((width,)) + b"".join(body)
            if pays(len(dictionary), len(indices), plain_size):
                yield Values(indices, low, high, dictionary, len(places))
                continue
        first, end = bounds.spans[group]
        plain = b"".join([sized[code] for code in codes[first:end].tolist()])
        yield Values(plain, low, high)
