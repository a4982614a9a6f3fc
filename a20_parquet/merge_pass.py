"""The second pass: runs are merged into the dataset's Parquet files."""

from collections.abc import Sequence
from threading import Lock

import numpy as np

from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.merge import MergeCursor, UnitWriter
from a20_parquet.dataset.parquet import ParquetLayout
from a20_parquet.dataset.run import Rows, Run
from a20_parquet.job import Job
from a20_parquet.progress import Progress
from a20_parquet.table.plan import MergeUnit, plan_merge
from a20_parquet.table.schema import window_schema
from a20_parquet.workers import Pool, Workers

_UNIT_BYTES = 64 << 20


def merge_runs(job: Job, runs: Sequence[Run], layout: DatasetLayout, progress: Progress) -> int:
    """Merge ``runs`` into Parquet files; each unit of the merge ends with its commit marker.

    Returns:
        How many units there were.

    Raises:
        DatasetError: a file can't be written, or a run was damaged.
    """
    table, memory = job.table, job.memory
    row_bytes = table.dims * 4
    units = plan_merge(
        [run.partitions for run in runs],
        rows_per_file=max(1, table.max_file_size // row_bytes),
        rows_per_unit=max(1, _UNIT_BYTES // row_bytes),
    )
    progress.start("writing Parquet", sum(unit.rows for unit in units) * row_bytes)
    workers = Workers(memory.workers)
    parquet = ParquetLayout(window_schema(table.dims), table.compression)

    advance = workers.checked(progress.advance)

    def make_buffers() -> tuple[UnitWriter, Rows]:
        writer = UnitWriter(
            layout,
            parquet,
            table.partition_by,
            row_group_rows=table.row_group_rows,
            turn=turn,
        )
        return writer, np.empty((memory.staging_rows, table.dims), np.float32)

    def merge_unit(unit: MergeUnit) -> None:
        with buffers.borrow() as (writer, staging):
            cursor = MergeCursor(runs, unit.slices, batch_rows=memory.slice_rows, staging=staging)
            writer.write(unit, cursor, advance)

    turn = Lock()
    buffers = Pool(make_buffers)
    for _ in workers.map(merge_unit, units):
        pass
    return len(units)
