"""Plans the merge: the output files, and the units of work that write them.

Files follow from the partitions' rows alone, so neither memory nor workers change the result.
No array has an item for each run and partition: an archive has a hundred million of these pairs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt

from a20_parquet.runs.partition_totals import PartitionNumbers, add_up
from a20_parquet.runs.run import HasPartitions
from a20_parquet.windows.order import Partitions
from a20_parquet.windows.partition import PartitionKey

Numbers = npt.NDArray[np.int64]

UNIT_BYTES = 64 << 20
"""Bytes of embeddings per unit of the merge if there are few runs."""

COMPARED_ROWS = 1 << 18
"""Rows per unit of the search for duplicates if there are few runs."""

_FEW_RUNS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One Parquet file that the merge writes."""

    site: str
    period: int | None
    """See ``partition.periods``."""
    part: int
    """Number within the partition, from 0."""
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MergeUnit:
    """Consecutive files that one worker merges and writes."""

    number: int
    files: tuple[OutputFile, ...]
    slices: Numbers
    """Rows ``(start, stop)`` of each run in the partitions of these files, shape ``(runs, 2)``."""
    skipped: int = 0
    """Rows of the first partition that are in files of other units, which come first."""

    @property
    def rows(self) -> int:
        """Rows of all its files."""
        return sum(file.rows for file in self.files)


@dataclass(frozen=True, slots=True, eq=False)
class MergePlan(Sequence[MergeUnit]):
    """Units in the order of their partitions, each built when it is read."""

    partitions: Partitions
    """The partitions of all runs together."""
    firsts: Numbers
    """Index of each unit's first partition, then the number of partitions; shape
    ``(units + 1,)``."""
    skipped: Numbers
    """Rows of these partitions that are in files of earlier units, shape ``(units + 1,)``."""
    edges: Numbers
    """Indices of the partitions at which slices begin or end, ascending."""
    bounds: Numbers
    """First row of these partitions in each run, shape ``(edges, runs)``."""
    rows_per_file: int
    next_parts: Mapping[PartitionKey, int]
    """Number of the next file of each partition that already has files."""

    def __len__(self) -> int:
        """Count the units."""
        return len(self.firsts) - 1

    @overload
    def __getitem__(self, index: int) -> MergeUnit: ...
    @overload
    def __getitem__(self, index: slice) -> list[MergeUnit]: ...
    def __getitem__(self, index: int | slice) -> MergeUnit | list[MergeUnit]:
        """Build one unit, or several."""
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self._unit(numbers)
        return [self._unit(number) for number in numbers]

    @property
    def rows(self) -> Numbers:
        """Rows of each unit."""
        starts = np.append(0, np.cumsum(self.partitions.rows))
        rows: Numbers = np.diff(starts[self.firsts] + self.skipped)
        return rows

    def _unit(self, number: int) -> MergeUnit:
        first, last = self.firsts[number : number + 2].tolist()
        skipped, rest = self.skipped[number : number + 2].tolist()
        # The next unit may begin in this unit's last partition.
        end = last + (rest > 0)
        mine = slice(first, end)
        stops = self.partitions.rows[mine].tolist()
        if rest:
            stops[-1] = rest
        starts = [skipped] + [0] * (len(stops) - 1)
        keys = zip(
            self.partitions.site[mine].to_pylist(),
            self.partitions.period[mine].to_pylist(),
            starts,
            stops,
            strict=True,
        )
        most = self.rows_per_file
        files = tuple(
            OutputFile(site=site, period=period, part=part, rows=rows)
            for site, period, start, stop in keys
            for part, rows in enumerate(
                split_rows(stop - start, most),
                self.next_parts.get((site, period), 0) + start // most,
            )
        )
        slices = self.bounds[np.searchsorted(self.edges, [first, end])].T
        return MergeUnit(number=number, files=files, slices=slices, skipped=skipped)


def plan_merge(
    runs: Sequence[HasPartitions],
    *,
    rows_per_file: int,
    rows_per_unit: int,
    next_parts: Mapping[PartitionKey, int] | None = None,
    buffered_partitions: int = 1 << 21,
) -> MergePlan:
    """Divide the merge of ``runs`` into units.

    Args:
        runs: the runs. All their partitions may take gigabytes, so those of one run at a time are
            in memory; each run's are read twice.
        rows_per_file: a partition with more rows is split into several files.
        rows_per_unit: consecutive partitions share a unit until it has this many rows; see
            ``unit_rows``. A partition with more rows is divided between its files.
        next_parts: number of the next file of each partition that already has files.
        buffered_partitions: partitions of runs to buffer before they are added up.

    Returns:
        Units in the order of their partitions; each row of each run is in exactly one unit.
    """
    numbering = PartitionNumbers()
    keys, rows = add_up(runs, numbering, buffered_partitions)
    order = np.argsort(numbering.in_order(keys))
    keys, rows = keys[order], rows[order]
    total = Partitions(*numbering.partitions(keys), rows)
    firsts, skipped = _divide(total, rows_per_file, rows_per_unit)
    edges = np.unique([*firsts, *(firsts + (skipped > 0))])
    edge_keys = numbering.in_order(keys[edges[:-1]])
    bounds = np.empty((len(edges), len(runs)), np.int64)
    for number, run in enumerate(runs):
        partitions = run.partitions
        in_run = numbering.in_order(numbering.keys(partitions))
        ends = np.append(partitions.starts, partitions.rows.sum())
        bounds[:-1, number] = ends[np.searchsorted(in_run, edge_keys)]
        bounds[-1, number] = ends[-1]
    return MergePlan(total, firsts, skipped, edges, bounds, rows_per_file, next_parts or {})


def _divide(total: Partitions, rows_per_file: int, rows_per_unit: int) -> tuple[Numbers, Numbers]:
    """Return where units begin, and where the last one ends.

    Only partitions that are larger than a unit are divided, because it takes reads to find where
    their files begin in the runs.

    Returns:
        Indices of partitions, and for each the rows of it that come before.
    """
    # A unit begins with the partition in which the rows before it reach a multiple of its size.
    firsts = np.flatnonzero(np.diff(total.starts // rows_per_unit, prepend=-1))
    step = max(1, rows_per_unit // rows_per_file) * rows_per_file
    large = np.flatnonzero(total.rows > max(rows_per_unit, rows_per_file))
    inner = [np.arange(step, rows, step) for rows in total.rows[large].tolist()]
    first = np.concatenate([firsts, np.repeat(large, [len(each) for each in inner]), [len(total)]])
    before = np.concatenate([np.zeros(len(firsts), np.int64), *inner, [0]])
    order = np.lexsort((before, first))
    return first[order], before[order]


def unit_rows(rows: int, runs: int) -> int:
    """Compute the rows per unit for a number of runs.

    Units are small, so that workers share them evenly and little is repeated when a worker dies.
    But a unit reads a slice of every run, and a request for a small slice costs more than its
    bytes. So units grow in proportion to the runs if there are more than 64.

    Args:
        rows: rows per unit if there are few runs.
        runs: number of runs.
    """
    return max(1, rows * max(runs, _FEW_RUNS) // _FEW_RUNS)


def divide_shards(windows: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Divide shards into units of the first pass.

    Args:
        windows: most windows that each shard can have.
        most: most windows per unit, unless a single shard has more.

    Yields:
        The ``(start, stop)`` positions of each unit's shards.
    """
    first = filled = 0
    for position, count in enumerate(windows):
        if filled and filled + count > most:
            yield first, position
            first, filled = position, 0
        filled += count
    if windows:
        yield first, len(windows)


def split_rows(rows: int, most: int) -> Iterator[int]:
    """Split ``rows`` into pieces of ``most`` rows; the last one may be shorter."""
    for start in range(0, rows, most):
        yield min(most, rows - start)


def group_files(
    files: Sequence[OutputFile], most_rows: int, small_rows: int
) -> Iterator[list[OutputFile]]:
    """Group consecutive small files; every other file is a group of its own.

    Args:
        files: the files, in order.
        most_rows: most rows per group of small files.
        small_rows: most rows of a small file; at most ``most_rows``.
    """
    group: list[OutputFile] = []
    rows = 0
    for file in files:
        if group and (file.rows > small_rows or rows + file.rows > most_rows):
            yield group
            group, rows = [], 0
        if file.rows > small_rows:
            yield [file]
        else:
            group.append(file)
            rows += file.rows
    if group:
        yield group
