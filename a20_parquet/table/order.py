"""The order of windows: by partition, then time, and never left to chance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

SORT_KEYS = (
    "site",
    "period",
    "window_start",
    "filename",
    "recording_offset_in_file",
    "channel",
    # Equal windows keep the order in which the shards hold them.
    "shard",
    "record",
)


def sort_order(keyed: Any) -> npt.NDArray[np.int64]:
    """Find the order that sorts windows by ``SORT_KEYS``, nulls first.

    Args:
        keyed: a record batch or table of ``keyed_schema()``.

    Returns:
        Row numbers, shape ``(rows,)``.
    """
    frame = pl.DataFrame(pl.from_arrow(keyed.select(list(SORT_KEYS))))
    order = frame.select(
        pl.arg_sort_by(list(SORT_KEYS), nulls_last=False, maintain_order=True).cast(pl.Int64)
    )
    indices: npt.NDArray[np.int64] = order.to_series().to_numpy()
    return indices


def first_out_of_order(metadata: Any) -> int | None:
    """Find the first window of one partition that should stand before the one above it.

    Args:
        metadata: a table that holds the columns of ``metadata_schema()``.

    Returns:
        Its row, none where all windows are sorted.
    """
    starts = metadata["window_start"]
    if not starts.null_count:
        # Where each window starts later than the one above, no other key counts.
        steps = np.diff(starts.cast(pa.int64()).to_numpy())
        if (steps > 0).all():
            return None
    keys = [key for key in SORT_KEYS if key in metadata.column_names]
    frame = pl.DataFrame(pl.from_arrow(metadata.select(keys)))
    order = frame.select(pl.arg_sort_by(keys, nulls_last=False, maintain_order=True)).to_series()
    rank = np.empty(len(order), np.int64)
    rank[order.to_numpy()] = np.arange(len(order))
    falls = np.flatnonzero(np.diff(rank) < 0)
    return int(falls[0]) + 1 if len(falls) else None


@dataclass(frozen=True, slots=True)
class Partitions:
    """The partitions of sorted windows, in order, with how many rows each has."""

    site: Any
    """string array"""
    period: Any
    """int32 array, see ``partition.periods``; null where the recording has no date."""
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
    """Find the partitions of windows that are already sorted."""
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
