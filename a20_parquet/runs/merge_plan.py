"""Planning the merge: which output files there are, and which of them one unit of work writes.

Files follow from the partitions' rows alone, so neither memory nor workers change the result.
Nothing here grows with runs times partitions, of which an archive has a hundred million.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.windows.order import Partitions
from a20_parquet.windows.partition import PartitionKey

Numbers = npt.NDArray[np.int64]

UNIT_BYTES = 64 << 20
"""Embeddings of a unit of the merge of few runs."""

COMPARED_ROWS = 1 << 18
"""Rows of a unit of the search for duplicates among few runs."""

_FEW_RUNS = 64
_BUFFERED_PARTITIONS = 1 << 21
_PERIOD_BITS = 33
_NO_PERIOD = 0
_FIRST_PERIOD = 1 - np.iinfo(np.int32).min
_PERIOD_MASK = (1 << _PERIOD_BITS) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One Parquet file that the merge writes."""

    site: str
    period: int | None
    """See ``partition.periods``."""
    part: int
    """Its number within the partition, from 0."""
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MergeUnit:
    """Whole partitions that one worker merges and writes."""

    number: int
    files: tuple[OutputFile, ...]
    slices: Numbers
    """Shape ``(runs, 2)``: for each run the first row that belongs to these files, and the one
    behind the last."""

    @property
    def rows(self) -> int:
        """Rows of all its files."""
        return sum(file.rows for file in self.files)


class MergePlan(Sequence[MergeUnit]):
    """Units in the order of their partitions, each made when it is asked for.

    Attributes:
        partitions: of all runs together.
        firsts: with which of them each unit begins, and behind the last one how many there are.
        bounds: shape ``(units + 1, runs)``: where in each run a unit begins, and all end.
    """

    def __init__(
        self,
        partitions: Partitions,
        firsts: Numbers,
        bounds: Numbers,
        *,
        rows_per_file: int,
        next_parts: Mapping[PartitionKey, int],
    ) -> None:
        """See ``plan_merge``, which makes plans."""
        self.partitions = partitions
        self.firsts = firsts
        self.bounds = bounds
        self._rows_per_file = rows_per_file
        self._next_parts = next_parts

    def __len__(self) -> int:
        """Count the units."""
        return len(self.firsts) - 1

    @overload
    def __getitem__(self, index: int) -> MergeUnit: ...
    @overload
    def __getitem__(self, index: slice) -> list[MergeUnit]: ...
    def __getitem__(self, index: int | slice) -> MergeUnit | list[MergeUnit]:
        """Make a unit, or some."""
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self._unit(numbers)
        return [self._unit(number) for number in numbers]

    @property
    def rows(self) -> Numbers:
        """Rows of each unit."""
        rows: Numbers = np.diff(np.append(0, np.cumsum(self.partitions.rows))[self.firsts])
        return rows

    def _unit(self, number: int) -> MergeUnit:
        first, last = self.firsts[number : number + 2].tolist()
        mine = slice(first, last)
        keys = zip(
            self.partitions.site[mine].to_pylist(),
            self.partitions.period[mine].to_pylist(),
            self.partitions.rows[mine].tolist(),
            strict=True,
        )
        files = tuple(
            OutputFile(site=site, period=period, part=part, rows=rows)
            for site, period, all_rows in keys
            for part, rows in enumerate(
                split_rows(all_rows, self._rows_per_file), self._next_parts.get((site, period), 0)
            )
        )
        return MergeUnit(number=number, files=files, slices=self.bounds[number : number + 2].T)


def plan_merge(
    runs: Sequence[Partitions],
    *,
    rows_per_file: int,
    rows_per_unit: int,
    next_parts: Mapping[PartitionKey, int] | None = None,
) -> MergePlan:
    """Divide the merge of ``runs`` into units.

    Args:
        runs: the partitions of each run; gone through twice in order, so they may be read when
            they are asked for.
        rows_per_file: a partition with more rows is split into several files.
        rows_per_unit: consecutive partitions share a unit until it holds this many rows; see
            ``unit_rows``.
        next_parts: for each site and period that has files already the number of its next one.

    Returns:
        Units in the order of their partitions; each row of each run is in exactly one of them.
    """
    numbering = _Numbering()
    keys, rows = _add_up(runs, numbering)
    order = np.argsort(numbering.in_order(keys))
    keys, rows = keys[order], rows[order]
    total = Partitions(*numbering.partitions(keys), rows)
    # A unit begins with the partition in which the rows before it reach a multiple of its size.
    firsts = np.flatnonzero(np.diff(total.starts // rows_per_unit, prepend=-1))
    first_keys = numbering.in_order(keys[firsts])
    bounds = np.empty((len(firsts) + 1, len(runs)), np.int64)
    for number, run in enumerate(runs):
        mine = numbering.in_order(numbering.keys(run))
        ends = np.append(run.starts, run.rows.sum())
        bounds[:-1, number] = ends[np.searchsorted(mine, first_keys)]
        bounds[-1, number] = ends[-1]
    return MergePlan(
        total,
        np.append(firsts, len(total)),
        bounds,
        rows_per_file=rows_per_file,
        next_parts=next_parts or {},
    )


def unit_rows(rows: int, runs: int) -> int:
    """How many rows a unit should have where ``runs`` are merged.

    Units are small, so that workers share them evenly and little is done again when one dies. But
    each takes a slice of every run, and of a small slice a request costs more than its bytes: of
    more than 64 runs units grow, so that slices stay what they are of 64.

    Args:
        rows: of a unit of few runs.
        runs: how many are merged.
    """
    return max(1, rows * max(runs, _FEW_RUNS) // _FEW_RUNS)


def divide_shards(windows: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Divide shards into units of the first pass, each of consecutive ones.

    Args:
        windows: how many each shard has at the most.
        most: that a unit's shards have together, unless a single one has more.

    Yields:
        The first shard of a unit and the one behind its last.
    """
    first = filled = 0
    for place, count in enumerate(windows):
        if filled and filled + count > most:
            yield first, place
            first, filled = place, 0
        filled += count
    if windows:
        yield first, len(windows)


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


class _Numbering:
    """Partitions as numbers: the site's in the upper bits, in order of appearance, then the period.

    Sites are few, so only they are ever compared as texts.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def keys(self, run: Partitions) -> Numbers:
        """Number the partitions of a run, whose sites may be new."""
        encoded = run.site.dictionary_encode()
        known = self._numbers
        sites = [known.setdefault(site, len(known)) for site in encoded.dictionary.to_pylist()]
        site = np.array(sites, np.int64)[encoded.indices.to_numpy()]
        period = run.period.cast(pa.int64()).fill_null(_NO_PERIOD - _FIRST_PERIOD).to_numpy()
        keys: Numbers = (site << _PERIOD_BITS) | (period + _FIRST_PERIOD)
        return keys

    def in_order(self, keys: Numbers) -> Numbers:
        """Numbers that are ordered as partitions are: sites by their bytes, no period first."""
        by_bytes = sorted(self._numbers, key=str.encode)
        rank = np.empty(len(by_bytes), np.int64)
        rank[[self._numbers[site] for site in by_bytes]] = np.arange(len(by_bytes))
        numbers: Numbers = (rank[keys >> _PERIOD_BITS] << _PERIOD_BITS) | (keys & _PERIOD_MASK)
        return numbers

    def partitions(self, keys: Numbers) -> tuple[pa.Array, pa.Array]:
        """Site and period of each key."""
        sites = pa.array(list(self._numbers), pa.string())
        period = keys & _PERIOD_MASK
        return (
            sites.take(pa.array(keys >> _PERIOD_BITS)),
            pa.array(period - _FIRST_PERIOD, mask=period == _NO_PERIOD).cast(pa.int32()),
        )


def _add_up(runs: Sequence[Partitions], numbering: _Numbering) -> tuple[Numbers, Numbers]:
    """The partitions of all runs, in any order, and how many rows each has."""
    keys, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    buffered = 0
    for run in runs:
        keys.append(numbering.keys(run))
        rows.append(run.rows)
        buffered += len(run)
        if buffered > _BUFFERED_PARTITIONS:
            some_keys, some_rows = _sum_by_key(keys, rows)
            keys, rows, buffered = [some_keys], [some_rows], 0
    return _sum_by_key(keys, rows)


def _sum_by_key(keys: Sequence[Numbers], rows: Sequence[Numbers]) -> tuple[Numbers, Numbers]:
    every = np.concatenate(keys)
    order = np.argsort(every)
    in_order = every[order]
    firsts = np.flatnonzero(np.diff(in_order, prepend=-1))
    if not len(firsts):
        return in_order, in_order
    return in_order[firsts], np.add.reduceat(np.concatenate(rows)[order], firsts)
