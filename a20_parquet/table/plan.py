"""Planning the merge: which output files there are, and which of them one unit of work writes.

Files follow from the partitions' rows alone, so neither memory nor workers change the result.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.table.order import Partitions, find_partitions, order_by
from a20_parquet.table.partition import PartitionKey


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One Parquet file that the merge writes."""

    site: str
    period: int | None
    """See ``partition.periods``."""
    part: int
    """Its number within the partition, from 0."""
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeUnit:
    """Whole partitions that one worker merges and writes."""

    number: int
    files: tuple[OutputFile, ...]
    slices: tuple[tuple[int, int], ...]
    """For each run the rows ``(start, stop)`` that belong to these files."""

    @property
    def rows(self) -> int:
        """Rows of all its files."""
        return sum(file.rows for file in self.files)


def plan_merge(
    runs: Sequence[Partitions],
    *,
    rows_per_file: int,
    rows_per_unit: int,
    next_parts: Mapping[PartitionKey, int] | None = None,
) -> list[MergeUnit]:
    """Divide the merge of ``runs`` into units.

    Args:
        runs: the partitions of each run.
        rows_per_file: a partition with more rows is split into several files.
        rows_per_unit: consecutive partitions share a unit until it holds this many rows.
        next_parts: for each site and period that has files already the number of its next one.

    Returns:
        Units in the order of their partitions; each row of each run is in exactly one of them.
    """
    total, numbers = _combine(runs)
    # A unit begins with the partition in which the rows before it reach a multiple of its size.
    unit_of_partition = total.starts // rows_per_unit
    firsts = np.flatnonzero(np.diff(unit_of_partition, prepend=-1))
    lasts = np.append(firsts, len(total))[1:]
    sites, period_values = total.site.to_pylist(), total.period.to_pylist()
    units = []
    for number, (first, last) in enumerate(zip(firsts.tolist(), lasts.tolist(), strict=True)):
        files = tuple(
            OutputFile(site=sites[p], period=period_values[p], part=part, rows=rows)
            for p in range(first, last)
            for part, rows in enumerate(
                split_rows(int(total.rows[p]), rows_per_file),
                (next_parts or {}).get((sites[p], period_values[p]), 0),
            )
        )
        slices = tuple(
            _slice(run, run_numbers, first, last)
            for run, run_numbers in zip(runs, numbers, strict=True)
        )
        units.append(MergeUnit(number=number, files=files, slices=slices))
    return units


def split_rows(rows: int, most: int) -> Iterator[int]:
    """Split ``rows`` into pieces of ``most`` rows, the last one with what is left."""
    for start in range(0, rows, most):
        yield min(most, rows - start)


def group_files(
    files: Sequence[OutputFile], most_rows: int, small_rows: int
) -> Iterator[list[OutputFile]]:
    """Put consecutive small files together; every other file stands alone.

    Args:
        files: in order.
        most_rows: of the small files of one group together, unless a single one has more.
        small_rows: a small file has no more rows than this; not more than ``most_rows``.
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


def _slice(
    run: Partitions, numbers: npt.NDArray[np.int64], first: int, last: int
) -> tuple[int, int]:
    """The rows of ``run`` in the partitions ``first`` to before ``last`` of all."""
    bounds = np.append(run.starts, run.rows.sum())
    start, stop = bounds[np.searchsorted(numbers, [first, last])]
    return int(start), int(stop)


def _combine(runs: Sequence[Partitions]) -> tuple[Partitions, list[npt.NDArray[np.int64]]]:
    """Add up the partitions of all runs; number each run's partitions among them."""
    sites = pa.chunked_array([run.site for run in runs], pa.string()).combine_chunks()
    periods = pa.chunked_array([run.period for run in runs], pa.int32()).combine_chunks()
    each = pa.record_batch([sites, periods], names=["site", "period"])
    order = order_by(each, each.schema.names)
    found = find_partitions(each.take(pa.array(order)))
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.repeat(np.arange(len(found)), found.rows)
    rows = np.zeros(len(found), np.int64)
    np.add.at(rows, numbers, np.concatenate([np.zeros(0, np.int64), *(run.rows for run in runs)]))
    ends = np.cumsum([len(run) for run in runs])
    return Partitions(found.site, found.period, rows), np.split(numbers, ends)[: len(runs)]
