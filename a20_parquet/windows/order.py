"""The order of windows: by partition, then time; equal windows keep their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.windows.schema import Feature, metadata_schema

SORT_KEYS = (
    "site",
    "period",
    "window_start",
    "filename",
    "recording_offset_in_file",
    "channel",
    # Equal windows keep the order of shards and records.
    "shard",
    "record",
)

_KEYED = pa.schema(
    [
        pa.field("site", pa.string(), nullable=False),
        pa.field("period", pa.int32()),
        pa.field("shard", pa.int32(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
    ]
)
KEYED_ONLY = tuple(_KEYED.names)
"""Sort keys that are not metadata columns."""
_LEADING = frozenset(SORT_KEYS[:3])
_ROW = "row"
_MOST_RANKS = np.iinfo(np.int64).max


@lru_cache
def keyed_schema(features: tuple[Feature, ...] = ()) -> Any:
    """The metadata with the other sort keys, which only runs contain."""
    return pa.schema([*metadata_schema(features), *_KEYED])


def sort_order(keyed: Any) -> npt.NDArray[np.int64]:
    """Return the row numbers that sort a table of ``keyed_schema()`` by ``SORT_KEYS``."""
    return order_by(keyed, SORT_KEYS)


def first_out_of_order(metadata: Any) -> int | None:
    """Find the first row, of one partition, that belongs before the previous row, or None."""
    order = order_by(metadata, [key for key in SORT_KEYS if key in metadata.column_names])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    falls = np.flatnonzero(np.diff(rank) < 0)
    return int(falls[0]) + 1 if len(falls) else None


def order_by(table: Any, keys: Sequence[str]) -> npt.NDArray[np.int64]:
    """Sort rows by some columns: texts by their bytes, nulls first, stable.

    Almost all windows differ in partition or start; only the others are compared by more columns.

    Args:
        table: a record batch or table.
        keys: some of ``SORT_KEYS``, in order.

    Returns:
        Row numbers, shape ``(rows,)``.
    """
    leading = [_ranks(table.column(key)) for key in keys if key in _LEADING]
    order = _sort_by_ranks(leading)
    is_first = np.arange(len(order)) == 0
    for ranks in leading:
        in_order = ranks[order]
        is_first[1:] |= in_order[1:] != in_order[:-1]
    for key in (*(key for key in keys if key not in _LEADING), _ROW):
        is_alone = is_first & np.append(is_first[1:], True)
        unsorted = np.flatnonzero(~is_alone)
        if not len(unsorted):
            break
        rows = order[unsorted]
        ranks = rows if key == _ROW else _ranks(table.column(key).take(pa.array(rows)))
        inner = np.lexsort((ranks, np.cumsum(is_first)[unsorted]))
        order[unsorted] = rows[inner]
        in_order = ranks[inner]
        is_first[unsorted[1:]] |= in_order[1:] != in_order[:-1]
    return order


def _sort_by_ranks(keys: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """An order by several keys, not stable."""
    spans = [int(ranks.max(initial=0)) + 1 for ranks in keys]
    if prod(spans) > _MOST_RANKS:
        return np.lexsort(keys[::-1])
    # Sorting one integer per row is many times faster than comparing rows.
    packed = np.zeros(len(keys[0]), np.int64)
    for ranks, span in zip(keys, spans, strict=True):
        packed *= span
        packed += ranks
    return np.argsort(packed)


def _ranks(column: Any) -> npt.NDArray[Any]:
    """Numbers in the order of a column's values, null first; from 0 on except for floats."""
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_string(values.type):
        encoded = values.dictionary_encode()
        by_bytes = pc.array_sort_indices(encoded.dictionary).to_numpy()
        rank_of = np.zeros(len(by_bytes) + 1, np.int64)
        rank_of[by_bytes] = np.arange(1, len(by_bytes) + 1)
        ranks: npt.NDArray[np.int64] = rank_of[encoded.indices.fill_null(len(by_bytes)).to_numpy()]
        return ranks
    if pa.types.is_floating(values.type):
        floats: npt.NDArray[np.float64] = values.fill_null(-np.inf).to_numpy()
        return floats
    numbers: npt.NDArray[np.int64] = values.cast(pa.int64()).fill_null(0).to_numpy()
    bounds = pc.min_max(values.cast(pa.int64())).as_py()
    low, high = bounds["min"] or 0, bounds["max"] or 0
    if high - low < _MOST_RANKS:
        ranks = numbers - low + 1
    else:
        ranks = np.unique(numbers, return_inverse=True)[1] + 1
    return np.where(values.is_null(), 0, ranks) if values.null_count else ranks


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partitions of sorted windows, in order."""

    site: Any
    """string array"""
    period: Any
    """int32 array, see ``partition.periods``; null if the recording has no date."""
    rows: npt.NDArray[np.int64]
    """Rows of each partition."""

    def __len__(self) -> int:
        """Count the partitions."""
        return len(self.rows)

    @property
    def starts(self) -> npt.NDArray[np.int64]:
        """First row of each partition."""
        return np.cumsum(self.rows) - self.rows


def find_partitions(keyed: Any) -> Partitions:
    """Find the partitions of sorted windows."""
    site = keyed.column("site")
    period = keyed.column("period")
    ends = np.flatnonzero(_changes(site) | _changes(period)) + 1
    bounds = np.concatenate([[0], ends, [len(keyed)] if len(keyed) else []]).astype(np.int64)
    first = pa.array(bounds[:-1])
    return Partitions(site.take(first), period.take(first), np.diff(bounds))


def _changes(values: Any) -> npt.NDArray[np.bool_]:
    before, after = values[:-1], values[1:]
    same = pc.fill_null(pc.equal(before, after), False)
    both_null = pc.and_(pc.is_null(before), pc.is_null(after))
    changed: npt.NDArray[np.bool_] = pc.invert(pc.or_(same, both_null)).to_numpy(
        zero_copy_only=False
    )
    return changed
