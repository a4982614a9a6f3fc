"""Finds windows that come twice in sorted runs, or are in the dataset already.

Equal windows are neighbours in sort order, so one pass over the runs' metadata finds them;
embeddings are read of those alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from a20_parquet.runs.cursor import MergedRows, MetadataCursor, concat_rows, read_spans
from a20_parquet.runs.merge_plan import COMPARED_ROWS, MergeUnit, plan_merge, unit_rows
from a20_parquet.runs.run import PartitionsOf, Rows, Run
from a20_parquet.windows.duplicates import (
    Duplicates,
    RepeatCounter,
    Repeats,
    repeats_previous,
)
from a20_parquet.windows.partition import PartitionKey
from a20_parquet.windows.schema import Feature

if TYPE_CHECKING:
    from a20_parquet.dataset.catalog import Catalog
    from a20_parquet.runs.dataset_run import DatasetRun

_UNIT_ROWS = COMPARED_ROWS
_BLOCK_BYTES = 1 << 20
# What stays in memory is not copied, however much is read of it.
_ROWS_IN_MEMORY = 1 << 16


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonUnit:
    """Whole partitions whose windows are compared."""

    slices: npt.NDArray[np.int64]
    """Shape ``(runs, 2)``: for each run the rows ``(start, stop)``."""
    existing: tuple[int, ...] = ()
    """Numbers of the dataset's files in the same partition, then only one."""
    key: PartitionKey | None = None
    """That partition."""

    @property
    def rows(self) -> int:
        """How many rows of the runs it has."""
        return int((self.slices[:, 1] - self.slices[:, 0]).sum())


@dataclass(frozen=True, slots=True)
class UnitDuplicates:
    """What comes twice in one unit."""

    identical: Repeats
    different: Repeats
    run: npt.NDArray[np.int64]
    """For each identical window the run that it is in."""
    row: npt.NDArray[np.int64]
    """Its row there; ascending in each run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is compared: sorted runs of new windows, and the dataset that they are appended to."""

    runs: Sequence[Run]
    existing: "Catalog | None" = None
    """The dataset, if there is one."""
    dims: int
    """Floats an embedding."""
    features: tuple[Feature, ...] = ()
    """Which windows carry along."""
    batch_rows: int
    """Rows of metadata to read of each run on disk at a time."""

    def units(self) -> list[ComparisonUnit]:
        """Divide the work into independent units, in sort order."""
        files: dict[PartitionKey, list[int]] = {}
        for number, file in enumerate(self.existing.data_files() if self.existing else ()):
            files.setdefault(file.key, []).append(number)
        units: list[ComparisonUnit] = []
        most_rows = unit_rows(_UNIT_ROWS, len(self.runs))
        # Where windows are held already a unit is one partition, so that few files are read at
        # a time.
        for merge in plan_merge(
            PartitionsOf(self.runs),
            rows_per_file=most_rows,
            rows_per_unit=1 if files else most_rows,
        ):
            key = (merge.files[0].site, merge.files[0].period)
            if key in files:
                units.append(ComparisonUnit(merge.slices, tuple(files[key]), key))
            elif units and not units[-1].existing and units[-1].rows + merge.rows <= most_rows:
                units[-1] = _joined(units[-1], merge)
            else:
                units.append(ComparisonUnit(merge.slices))
        return units

    def compare(self, unit: ComparisonUnit, advance: Callable[[int], None]) -> UnitDuplicates:
        """Find what comes twice in one unit.

        Args:
            unit: one of ``units()``.
            advance: called with the number of new windows that were compared.

        Raises:
            DatasetError: a run, or a file of the dataset, was damaged.
        """
        existing = self._existing_runs(unit)
        sources = [*self.runs, *existing]
        whole = np.array([(0, run.rows) for run in existing], np.int64).reshape(-1, 2)
        slices = np.concatenate([unit.slices, whole])
        some_on_disk = any(run.on_disk for run in sources)
        batch_rows = self.batch_rows if some_on_disk else _ROWS_IN_MEMORY
        cursor = MetadataCursor(sources, slices, batch_rows=batch_rows)
        counter = RepeatCounter()
        reader = _Reader(sources, self.dims, [feature.name for feature in self.features])
        new = len(self.runs)
        dropped: list[tuple[int, int]] = []

        def advance_new(rows: MergedRows) -> None:
            advance(int(np.count_nonzero(rows.run < new)))

        total = int((slices[:, 1] - slices[:, 0]).sum())
        for picked in _repeated(cursor, total, advance_new):
            for block, digests in reader.digests(picked):
                rows = block.rows
                each = zip(
                    digests,
                    rows.run.tolist(),
                    rows.row.tolist(),
                    block.is_first.tolist(),
                    strict=True,
                )
                for index, (digest, run, row, is_first) in enumerate(each):
                    is_existing = run >= new
                    if counter.add(
                        rows.metadata, index, digest, is_first=is_first, is_existing=is_existing
                    ):
                        dropped.append((run, row))
        found = np.array(dropped, np.int64).reshape(-1, 2)
        return UnitDuplicates(counter.identical, counter.different, found[:, 0], found[:, 1])

    def _existing_runs(self, unit: ComparisonUnit) -> list["DatasetRun"]:
        if self.existing is None or unit.key is None:
            return []
        from a20_parquet.runs.dataset_run import DatasetRun

        return [
            DatasetRun(self.existing, number, unit.key, self.features) for number in unit.existing
        ]


def _joined(unit: ComparisonUnit, after: MergeUnit) -> ComparisonUnit:
    return ComparisonUnit(np.stack([unit.slices[:, 0], after.slices[:, 1]], axis=1))


def join_duplicates(units: Sequence[UnitDuplicates], runs: int) -> Duplicates:
    """Put together what was found.

    Args:
        units: in sort order.
        runs: how many there are.
    """
    run = np.concatenate([np.zeros(0, np.int64), *(unit.run for unit in units)])
    row = np.concatenate([np.zeros(0, np.int64), *(unit.row for unit in units)])
    order = np.argsort(run, kind="stable")
    bounds = np.searchsorted(run[order], np.arange(1, runs))
    return Duplicates(
        identical=Repeats.joined(unit.identical for unit in units),
        different=Repeats.joined(unit.different for unit in units),
        dropped=tuple(np.split(row[order], bounds)) if runs else (),
    )


def _repeated(
    cursor: MetadataCursor, count: int, advance: Callable[[MergedRows], None]
) -> Iterator["_Picked"]:
    """Read ``count`` rows and pick those that share their name with a neighbour."""
    before: MergedRows | None = None
    was_picked = False
    while count:
        read = cursor.read()
        count -= len(read)
        rows = read if before is None else concat_rows([before, read])
        repeats = repeats_previous(rows.metadata)
        picked = repeats.copy()
        picked[:-1] |= repeats[1:]
        before, is_picked = rows.slice(len(rows) - 1, len(rows)), bool(picked[-1])
        if was_picked:
            picked[0] = False
        was_picked = is_picked
        if picked.any():
            yield _Picked(rows.take(np.flatnonzero(picked)), ~repeats[picked])
        advance(read)


@dataclass(frozen=True, slots=True)
class _Picked:
    """Rows that share their names with others; all rows of one name are neighbours."""

    rows: MergedRows
    is_first: npt.NDArray[np.bool_]
    """Whether a row has another name than the one before it."""

    def slice(self, start: int, stop: int) -> "_Picked":
        return _Picked(self.rows.slice(start, stop), self.is_first[start:stop])


class _Reader:
    """Reads what picked rows hold, with one buffer for a megabyte of embeddings."""

    def __init__(self, runs: Sequence[Run], dims: int, features: Sequence[str]) -> None:
        self._runs = runs
        self._features = features
        self._buffer: Rows = np.empty((0, dims), np.float32)
        self._most = max(1, _BLOCK_BYTES // (4 * dims))

    def digests(self, picked: _Picked) -> Iterator[tuple[_Picked, Iterator[bytes]]]:
        """Digest the rows, block after block."""
        from a20_parquet.windows.fingerprint import content_digests

        if not len(self._buffer):
            self._buffer = np.empty((self._most, self._buffer.shape[1]), np.float32)
        for start in range(0, len(picked.rows), self._most):
            block = picked.slice(start, start + self._most)
            embeddings = self._buffer[: len(block.rows)]
            self._read(block.rows, embeddings)
            features = [block.rows.metadata.column(name) for name in self._features]
            yield block, content_digests(embeddings, features)

    def _read(self, rows: MergedRows, out: Rows) -> None:
        by_run = np.lexsort((rows.row, rows.run))
        run, row = rows.run[by_run], rows.row[by_run]
        # Neighbours in a run are read at once.
        breaks = np.flatnonzero((np.diff(run) != 0) | (np.diff(row) != 1)) + 1
        bounds = [0, *breaks.tolist(), len(row)]
        read = np.empty_like(out)
        read_spans(
            self._runs,
            [(run[first], int(row[first]), read[first:end]) for first, end in pairwise(bounds)],
        )
        out[by_run] = read
