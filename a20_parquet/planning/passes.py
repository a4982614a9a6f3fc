"""Forecasts units, runs, slices and requests of a conversion's two passes, by arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.planning.partitions import KeyForecast
from a20_parquet.runs.locations import LOCATION
from a20_parquet.runs.merge_plan import COMPARED_ROWS, UNIT_BYTES, divide_shards, unit_rows

_PAGE = 1000
"""Objects that a store lists per request."""
_PUT_BYTES = 8 << 20
"""Larger objects are uploaded in parts of this size."""
_FILES_A_RUN = 3
_LAST_FILES = 6
"""The plan of the conversion, what it commits, and the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SortForecast:
    """Forecast of the first pass."""

    units: int
    runs: int
    """Sorted runs on scratch disk; 0 if all windows stay in memory."""
    bytes: int
    """Of these runs."""
    merged: int
    """Runs to merge, with one of the windows that stay in memory, if there are any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeForecast:
    """Forecast of reading all runs in the order of partitions."""

    ranges: int
    """Units of work, each a range of partitions, or of files of one."""
    slices: int
    """Parts of runs: for each range, one of every run that has rows in it."""
    slice_rows: float
    """Average rows of a slice."""

    def reads(self, rows: int) -> int:
        """Number of reads of at most ``rows`` rows for all slices."""
        return self.slices * max(1, ceil(self.slice_rows / rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """Requests to stores, if runs and dataset are there, and shards whose embeddings are copied."""

    lists: int
    reads: int
    writes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Size of the input."""

    shard_bytes: Sequence[int]
    """Stored size of each shard."""
    records: int
    windows: int
    most_windows: Sequence[int]
    """For each shard the most windows that it can have, as a conversion computes it."""
    embedding_bytes: int
    """Of one window."""
    metadata_bytes: float
    """Of one window, in a run."""

    copied: Sequence[float] = ()
    """For each shard the part of its windows that is copied if the others' embeddings stay in the
    shards: those of compressed shards and of long records. None if empty."""

    @property
    def located_bytes(self) -> int:
        """Bytes of shards whose embeddings can stay there."""
        copied = self.copied or [0.0] * len(self.shard_bytes)
        return round(
            sum(size * (1 - part) for size, part in zip(self.shard_bytes, copied, strict=True))
        )

    def sort(self, memory: MemoryPlan, *, slots: int = 1) -> SortForecast:
        """Divide the first pass.

        Args:
            memory: how the budget is divided.
            slots: least number of units.
        """
        if memory.holds_all and not memory.locates:
            return SortForecast(units=len(self.shard_bytes), runs=0, bytes=0, merged=1)
        all_windows = sum(self.most_windows)
        units = list(divide_shards(self.most_windows, memory.unit_rows_of(all_windows, slots)))
        share = self.windows / max(all_windows, 1)
        runs = 0
        copied = located = 0.0
        for first, end in units:
            some, others = self._copied_and_located(first, end, memory)
            copied, located = copied + some * share, located + others * share
            runs += ceil(some * share / memory.gather_rows)
            if not memory.holds_all:
                runs += ceil(others * share / max(memory.located_rows, 1))
        size = copied * (self.embedding_bytes + self.metadata_bytes)
        if not memory.holds_all:
            size += located * (self.metadata_bytes + LOCATION.itemsize)
        in_memory = bool(memory.holds_all and located)
        return SortForecast(
            units=len(units), runs=runs, bytes=round(size), merged=max(1, runs + in_memory)
        )

    def _copied_and_located(self, first: int, end: int, memory: MemoryPlan) -> tuple[float, float]:
        """Return the most windows of some shards that are copied, and that stay there."""
        windows = self.most_windows[first:end]
        copied = self.copied[first:end] or [0.0] * len(windows)
        some = sum(
            count * (part if memory.locates else 1)
            for count, part in zip(windows, copied, strict=True)
        )
        return some, sum(windows) - some

    def merge(self, runs: int, most: int, rows: int | None = None) -> MergeForecast:
        """Divide a pass over the runs into ranges.

        Args:
            runs: number of runs, with one of the windows in memory.
            most: ranges at the most: files of the merge, or partitions where they stay whole.
            rows: rows of a range if there are few runs; those of the merge itself by default.
        """
        rows = UNIT_BYTES // self.embedding_bytes if rows is None else rows
        ranges = max(1, min(most, ceil(self.windows / unit_rows(rows, runs))))
        # Records are in runs at random: not every run has one of the few records of a range.
        slices = max(1, round(ranges * runs * (1 - (1 - 1 / runs) ** (self.records / ranges))))
        return MergeForecast(ranges=ranges, slices=slices, slice_rows=self.windows / slices)

    def requests(
        self, sort: SortForecast, merge: MergeForecast, key: KeyForecast, memory: MemoryPlan
    ) -> Requests:
        """Count requests.

        Args:
            sort: the first pass.
            merge: the second pass.
            key: the files that it writes.
            memory: how the budget is divided, which limits the size of reads.
        """
        shards = len(self.shard_bytes)
        lists = reads = 0
        if not memory.locates:
            lists = ceil(shards / _PAGE)
            reads = sum(1 + max(1, ceil(size / memory.batch_bytes)) for size in self.shard_bytes)
        writes = sort.units + merge.ranges + _LAST_FILES
        writes += key.files * _puts(key.mean_file_bytes)
        if sort.runs:
            compared = self.merge(sort.merged, key.partitions, COMPARED_ROWS)
            on_disk = sort.runs / sort.merged
            slice_rows = memory.slice_rows_of(sort.merged)
            metadata = compared.reads(slice_rows) + merge.reads(slice_rows)
            embeddings = merge.reads(memory.block_rows_of(sort.merged))
            reads += sort.runs + round((metadata + embeddings) * on_disk)
            writes += sort.runs * (_FILES_A_RUN - 1 + _puts(sort.bytes // sort.runs))
        return Requests(lists=lists, reads=reads, writes=writes)


def _puts(size: int) -> int:
    """Requests to upload an object; a multipart upload is also started and completed."""
    return 1 if size <= _PUT_BYTES else 2 + ceil(size / _PUT_BYTES)
