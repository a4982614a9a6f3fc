"""Forecasts units, runs, slices and requests of a conversion's two passes, by arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.planning.partitions import KeyForecast
from a20_parquet.runs.merge_plan import COMPARED_ROWS, UNIT_BYTES, divide_shards, unit_rows
from a20_parquet.runs.shard_reader import LOCATION

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
    """Requests to stores, if shards, runs and dataset are there."""

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

    @property
    def run_bytes(self) -> int:
        """Bytes of all windows in runs."""
        return round(self.windows * (self.embedding_bytes + self.metadata_bytes))

    def run_bytes_of(self, memory: MemoryPlan, compressed: float) -> int:
        """Return the bytes of the runs that are written to scratch.

        Args:
            memory: how the budget is divided.
            compressed: part of the windows that is in compressed shards, and is always copied.
        """
        if not memory.locates:
            return 0 if memory.holds_all else self.run_bytes
        metadata = self.windows * (1 - compressed) * (self.metadata_bytes + LOCATION.itemsize)
        return round(self.run_bytes * compressed + metadata * (not memory.holds_all))

    def sort(self, gather_rows: int, *, holds_all: bool, slots: int = 1) -> SortForecast:
        """Divide the first pass.

        Args:
            gather_rows: most windows in a run.
            holds_all: whether all windows stay in memory.
            slots: least number of units.
        """
        if holds_all:
            return SortForecast(units=len(self.shard_bytes), runs=0)
        most = min(gather_rows, ceil(sum(self.most_windows) / slots))
        units = list(divide_shards(self.most_windows, most))
        share = self.windows / max(sum(self.most_windows), 1)
        runs = sum(
            max(1, ceil(sum(self.most_windows[first:end]) * share / gather_rows))
            for first, end in units
        )
        return SortForecast(units=len(units), runs=runs)

    def merge(self, runs: int, most: int, rows: int | None = None) -> MergeForecast:
        """Divide a pass over the runs into ranges.

        Args:
            runs: number of runs; windows in memory are one.
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
        reads = shards + sum(max(1, ceil(size / memory.batch_bytes)) for size in self.shard_bytes)
        writes = sort.units + merge.ranges + _LAST_FILES
        writes += key.files * _puts(key.mean_file_bytes)
        if sort.runs:
            compared = self.merge(sort.runs, key.partitions, COMPARED_ROWS)
            slice_rows = memory.slice_rows_of(sort.runs)
            reads += sort.runs + compared.reads(slice_rows)
            reads += merge.reads(slice_rows) + merge.reads(memory.block_rows_of(sort.runs))
            writes += sort.runs * (_FILES_A_RUN - 1 + _puts(self.run_bytes // sort.runs))
        return Requests(lists=ceil(shards / _PAGE), reads=reads, writes=writes)


def _puts(size: int) -> int:
    """Requests to upload an object; a multipart upload is also started and completed."""
    return 1 if size <= _PUT_BYTES else 2 + ceil(size / _PUT_BYTES)
