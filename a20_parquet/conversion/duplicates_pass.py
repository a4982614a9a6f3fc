"""Between the two passes: which windows come twice."""

from collections.abc import Callable
from functools import partial

from a20_parquet.conversion.find_duplicates import (
    Comparison,
    ComparisonUnit,
    UnitDuplicates,
    join_duplicates,
)
from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.manifest import DuplicateCounts
from a20_parquet.execution.protocols import Executor, TaskContext
from a20_parquet.runs.run import Run
from a20_parquet.runs.without_rows import WithoutRows
from a20_parquet.windows.duplicates import Duplicates, written_name


def _open_comparer(
    comparison: Comparison,
) -> Callable[[tuple[int, ComparisonUnit], TaskContext], tuple[int, UnitDuplicates]]:
    """Return what compares the windows of one numbered unit."""
    row_bytes = comparison.dims * 4

    def compare(
        numbered: tuple[int, ComparisonUnit], context: TaskContext
    ) -> tuple[int, UnitDuplicates]:
        number, unit = numbered
        return number, comparison.compare(unit, lambda rows: context.advance(rows * row_bytes))

    return compare


def find_duplicates(comparison: Comparison, *, workers: int, executor: Executor) -> Duplicates:
    """Find the windows that come twice.

    Args:
        comparison: of what.
        workers: threads of one process.
        executor: compares; told is how far it is in bytes of the windows' embeddings, few of which
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
    return join_duplicates(in_order, len(comparison.runs))


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
        existing: the dataset that it appends to, if there is one.
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
