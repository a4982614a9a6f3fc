"""Between the two passes: find windows that come twice in sorted runs, or are in the dataset.

Equal windows are neighbours in sort order, so one pass over the runs' metadata finds them;
embeddings are read of those alone.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.manifest import DuplicateCounts
from a20_parquet.execution.protocols import Executor, TaskContext
from a20_parquet.runs.cursor import MergedRows, MetadataCursor, concat_rows, read_spans
from a20_parquet.runs.merge_plan import COMPARED_ROWS, plan_merge, unit_rows
from a20_parquet.runs.run import Rows, Run
from a20_parquet.runs.without_rows import WithoutRows
from a20_parquet.windows.duplicates import (
    Duplicates,
    RepeatCounter,
    Repeats,
    repeats_previous,
    written_name,
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


def without_duplicates(
    setup: ConversionSetup,
    runs: list[Run],
    existing: ExistingDataset | None,
    executor: Executor,
) -> tuple[list[Run], DuplicateCounts]:
    """Count the windows that come twice, and leave them out if the conversion drops them.

    Args:
        setup: the conversion.
        runs: of its first pass.
        existing: the dataset that it appends to, or None.
        executor: compares.

    Returns:
        The runs without the windows that are dropped, and the counts.

    Raises:
        DatasetError: a run, or a file of the dataset, was damaged.
        ClusterError: workers were lost for good.
    """
    comparison = Comparison(
        runs=runs,
        existing=existing.catalog if existing else None,
        dims=setup.table.dims,
        features=setup.table.features,
        batch_rows=setup.memory.slice_rows_of(len(runs)),
    )
    found = find_duplicates(comparison, workers=setup.memory.workers, executor=executor)
    counts = DuplicateCounts(
        identical=found.identical.count,
        different=found.different.count,
        names=tuple(map(written_name, (*found.identical.names, *found.different.names))),
    )
    if not setup.reading.drop_duplicates:
        return runs, counts
    kept: list[Run] = [
        WithoutRows(run, rows) if len(rows) else run
        for run, rows in zip(runs, found.dropped, strict=True)
    ]
    return kept, counts


def find_duplicates(comparison: "Comparison", *, workers: int, executor: Executor) -> Duplicates:
    """Find the windows that come twice.

    Args:
        comparison: the runs, and the dataset that they are appended to.
        workers: threads of one process.
        executor: compares; reports its progress in bytes of the windows' embeddings, few of which
            are read.

    Raises:
        DatasetError: a run, or a file of the dataset, was damaged.
        ClusterError: workers were lost for good.
    """
    units = comparison.units()
    row_bytes = comparison.dims * 4
    executor.progress.start("finding duplicates", sum(unit.rows for unit in units) * row_bytes)
    initializer = partial(_open_comparer, comparison)
    found = dict(executor.map(initializer, enumerate(units), threads=workers))
    in_order = [found[number] for number in range(len(units))]
    run = np.concatenate([np.zeros(0, np.int64), *(unit.run for unit in in_order)])
    row = np.concatenate([np.zeros(0, np.int64), *(unit.row for unit in in_order)])
    order = np.argsort(run, kind="stable")
    bounds = np.searchsorted(run[order], np.arange(1, len(comparison.runs)))
    return Duplicates(
        identical=Repeats.joined(unit.identical for unit in in_order),
        different=Repeats.joined(unit.different for unit in in_order),
        dropped=tuple(np.split(row[order], bounds)) if comparison.runs else (),
    )


def _open_comparer(
    comparison: "Comparison",
) -> Callable[[tuple[int, "ComparisonUnit"], TaskContext], tuple[int, "UnitDuplicates"]]:
    """Return the task that compares the windows of one numbered unit."""
    row_bytes = comparison.dims * 4

    def compare(
        numbered: tuple[int, ComparisonUnit], context: TaskContext
    ) -> tuple[int, UnitDuplicates]:
        number, unit = numbered
        return number, comparison.compare(unit, lambda rows: context.advance(rows * row_bytes))

    return compare


@dataclass(frozen=True, slots=True, eq=False)
class ComparisonUnit:
    """Whole partitions whose windows are compared."""

    slices: npt.NDArray[np.int64]
    """Shape ``(runs, 2)``: for each run the rows ``(start, stop)``."""
    existing: tuple[int, ...] = ()
    """Numbers of the dataset's files in the unit's partition; it has only one then."""
    key: PartitionKey | None = None
    """That partition; None if the dataset has no files there."""

    @property
    def rows(self) -> int:
        """Rows of the runs in it."""
        return int((self.slices[:, 1] - self.slices[:, 0]).sum())


@dataclass(frozen=True, slots=True)
class UnitDuplicates:
    """Windows that come twice in one unit."""

    identical: Repeats
    different: Repeats
    run: npt.NDArray[np.int64]
    """For each identical window the run that it is in."""
    row: npt.NDArray[np.int64]
    """Its row there; ascending in each run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Sorted runs of new windows, and the dataset that they are appended to."""

    runs: Sequence[Run]
    existing: "Catalog | None" = None
    dims: int
    """Floats an embedding."""
    features: tuple[Feature, ...] = ()
    batch_rows: int
    """Rows of metadata to read of each run on disk at a time."""

    def units(self) -> list[ComparisonUnit]:
        """Divide the work into independent units, in sort order."""
        files: dict[PartitionKey, list[int]] = {}
        for number, file in enumerate(self.existing.data_files() if self.existing else ()):
            files.setdefault(file.key, []).append(number)
        units: list[ComparisonUnit] = []
        most_rows = unit_rows(_UNIT_ROWS, len(self.runs))
        # With a dataset a unit is one partition, so that few files are read at a time.
        for merge in plan_merge(
            self.runs,
            rows_per_file=most_rows,
            rows_per_unit=1 if files else most_rows,
        ):
            key = (merge.files[0].site, merge.files[0].period)
            if key in files:
                units.append(ComparisonUnit(merge.slices, tuple(files[key]), key))
            elif units and not units[-1].existing and units[-1].rows + merge.rows <= most_rows:
                joined = [units[-1].slices[:, 0], merge.slices[:, 1]]
                units[-1] = ComparisonUnit(np.stack(joined, axis=1))
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
                rows, firsts = block.rows, block.is_first.tolist()
                origins = zip(rows.run.tolist(), rows.row.tolist(), strict=True)
                each = zip(digests, origins, firsts, strict=True)
                for index, (digest, origin, is_first) in enumerate(each):
                    if counter.add(
                        rows.metadata,
                        index,
                        digest,
                        is_first=is_first,
                        is_existing=origin[0] >= new,
                    ):
                        dropped.append(origin)
        found = np.array(dropped, np.int64).reshape(-1, 2)
        return UnitDuplicates(counter.identical, counter.different, found[:, 0], found[:, 1])

    def _existing_runs(self, unit: ComparisonUnit) -> list["DatasetRun"]:
        if self.existing is None or unit.key is None:
            return []
        from a20_parquet.runs.dataset_run import DatasetRun

        catalog, key = self.existing, unit.key
        return [DatasetRun(catalog, number, key, self.features) for number in unit.existing]


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
