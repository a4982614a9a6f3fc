"""Between the two passes: which windows come twice."""

from a20_parquet.dataset.duplicates import (
    Comparison,
    ComparisonUnit,
    UnitDuplicates,
    join_duplicates,
)
from a20_parquet.progress import Progress
from a20_parquet.table.duplicates import Duplicates
from a20_parquet.workers import Workers


def find_duplicates(comparison: Comparison, *, workers: int, progress: Progress) -> Duplicates:
    """Find the windows that come twice.

    Args:
        comparison: of what.
        workers: threads.
        progress: told how far it is, in bytes of the windows' embeddings, few of which are read.

    Raises:
        DatasetError: a run, or a file of the dataset, was damaged.
    """
    row_bytes = comparison.dims * 4
    units = comparison.units()
    progress.start("finding duplicates", sum(unit.rows for unit in units) * row_bytes)
    pool = Workers(workers)
    advance = pool.checked(lambda rows: progress.advance(rows * row_bytes))

    def compare(numbered: tuple[int, ComparisonUnit]) -> tuple[int, UnitDuplicates]:
        number, unit = numbered
        return number, comparison.compare(unit, advance)

    found = dict(pool.map(compare, enumerate(units)))
    in_order = [found[number] for number in range(len(units))]
    return join_duplicates(in_order, len(comparison.runs))
