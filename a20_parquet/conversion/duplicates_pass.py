"""Between the two passes: find duplicate windows in the sorted runs and the dataset.

Duplicates are neighbours in sort order, so one pass over the runs' metadata finds them. Embeddings
are read of them alone.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.summaries import DuplicateCounts
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
from a20_parquet.windows.half import round_to_halves
from a20_parquet.windows.partition import PartitionKey
from a20_parquet.windows.schema import Feature, Store

if TYPE_CHECKING:
    from a20_parquet.dataset.catalog import Catalog
    from a20_parquet.runs.dataset_run import DatasetRun

_WHOLE_PARTITION = sys.maxsize


def without_duplicates(
    setup: ConversionSetup,
    runs: list[Run],
    existing: ExistingDataset | None,
    executor: Executor,
) -> tuple[list[Run], DuplicateCounts]:
    """Count duplicate windows, and leave out identical ones if the conversion drops them.

    Args:
        setup: the conversion.
        runs: of its first pass.
        existing: the dataset that it appends to, or None.
        executor: does the units.

    Returns:
        The runs without the dropped windows, and the counts.

    Raises:
        DatasetError: a run, or a file of the dataset, was damaged.
        ClusterError: workers were lost for good.
    """
    comparison = Comparison(
        runs=runs,
        existing=existing.catalog if existing else None,
        dims=setup.table.dims,
        features=setup.table.features,
        store=setup.table.store,
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
    """Find duplicate windows.

    Args:
        comparison: the runs, and the dataset that they are appended to.
        workers: threads of one process.
        executor: does the units. The progress is in bytes of embeddings, few of which are read.

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
    """Whole partitions whose windows are compared; a single one if the dataset has it too."""

    slices: npt.NDArray[np.int64]
    """Shape ``(runs, 2)``: for each run the rows ``(start, stop)``."""
    existing: tuple[int, ...] = ()
    """Numbers of the dataset's files in the partition."""
    key: PartitionKey | None = None
    """The partition; None if the dataset has no files in it."""

    @property
    def rows(self) -> int:
        """Rows of the runs in it."""
        return int((self.slices[:, 1] - self.slices[:, 0]).sum())


@dataclass(frozen=True, slots=True)
class UnitDuplicates:
    """Duplicate windows of one unit."""

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
    store: Store = Store.FLOAT32
    """How files store the embeddings."""
    batch_rows: int
    """Rows of metadata to read of each run at a time if any is on disk."""
    memory_rows: int = 1 << 16
    """The same if all are in memory, where reading copies nothing."""
    unit_rows: int = COMPARED_ROWS
    """Rows per unit if there are few runs."""
    block_bytes: int = 1 << 20
    """Bytes of embeddings to digest at a time."""

    def units(self) -> list[ComparisonUnit]:
        """Divide the work into independent units, in sort order."""
        files: dict[PartitionKey, list[int]] = {}
        for number, file in enumerate(self.existing.data_files() if self.existing else ()):
            files.setdefault(file.key, []).append(number)
        units: list[ComparisonUnit] = []
        most_rows = unit_rows(self.unit_rows, len(self.runs))
        # With a dataset a unit is one partition, so that few files are read at a time.
        for merge in plan_merge(
            self.runs,
            rows_per_file=_WHOLE_PARTITION,
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
        """Find the duplicates of one unit.

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
        batch_rows = self.batch_rows if some_on_disk else self.memory_rows
        cursor = MetadataCursor(sources, slices, batch_rows=batch_rows)
        counter = RepeatCounter()
        new = len(self.runs)
        dropped: list[tuple[int, int]] = []

        def advance_new(rows: MergedRows) -> None:
            advance(int(np.count_nonzero(rows.run < new)))

        total = int((slices[:, 1] - slices[:, 0]).sum())
        for rows, is_first in _repeated(cursor, total, advance_new):
            origins = zip(rows.run.tolist(), rows.row.tolist(), strict=True)
            each = zip(self._digests(sources, rows), origins, is_first.tolist(), strict=True)
            for index, (digest, origin, first) in enumerate(each):
                is_existing = origin[0] >= new
                if counter.add(
                    rows.metadata, index, digest, is_first=first, is_existing=is_existing
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

    def _digests(self, runs: Sequence[Run], rows: MergedRows) -> Iterator[bytes]:
        """Digest the content of rows of ``runs``, ``block_bytes`` of embeddings at a time."""
        from a20_parquet.windows.fingerprint import content_digests

        block_rows = max(1, self.block_bytes // (4 * self.dims))
        for start in range(0, len(rows), block_rows):
            block = rows.slice(start, start + block_rows)
            features = [block.metadata.column(feature.name) for feature in self.features]
            embeddings = _read_embeddings(runs, block, self.dims)
            if self.store is Store.FLOAT16:
                # Existing windows are rounded already.
                embeddings = round_to_halves(embeddings)
            yield from content_digests(embeddings, features)


def _repeated(
    cursor: MetadataCursor, count: int, advance: Callable[[MergedRows], None]
) -> Iterator[tuple[MergedRows, npt.NDArray[np.bool_]]]:
    """Read ``count`` rows and pick those that share their name with a neighbour.

    Yields:
        Some of the rows, and whether each has another name than the one before it.
    """
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
            yield rows.take(np.flatnonzero(picked)), ~repeats[picked]
        advance(read)


def _read_embeddings(runs: Sequence[Run], rows: MergedRows, dims: int) -> Rows:
    """Read the embeddings of rows, neighbours in a run at once; shape ``(rows, dims)``."""
    by_run = np.lexsort((rows.row, rows.run))
    run, row = rows.run[by_run], rows.row[by_run]
    breaks = np.flatnonzero((np.diff(run) != 0) | (np.diff(row) != 1)) + 1
    read = np.empty((len(row), dims), np.float32)
    spans = pairwise([0, *breaks.tolist(), len(row)])
    read_spans(runs, [(run[first], int(row[first]), read[first:end]) for first, end in spans])
    return read[np.argsort(by_run)]
