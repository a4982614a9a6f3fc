"""The second pass: runs are merged into the dataset's Parquet files."""

from collections.abc import Sequence
from threading import Lock

import numpy as np

from a20_parquet.dataset.commit import remove_strays
from a20_parquet.dataset.cursor import MergeCursor
from a20_parquet.dataset.held import HeldDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import FileSummary
from a20_parquet.dataset.merge import UnitWriter
from a20_parquet.dataset.parquet import ParquetLayout
from a20_parquet.dataset.run import Rows, Run
from a20_parquet.dataset.unfinished import commit_unit, committed_unit, is_whole
from a20_parquet.job import Job
from a20_parquet.progress import Progress
from a20_parquet.table.plan import UNIT_BYTES, MergeUnit, plan_merge, unit_rows
from a20_parquet.table.schema import feature_bytes, window_schema
from a20_parquet.workers import Pool, Workers

_UNIT_BYTES = UNIT_BYTES


def merge_runs(
    job: Job,
    runs: Sequence[Run],
    layout: DatasetLayout,
    progress: Progress,
    held: HeldDataset | None = None,
) -> list[FileSummary]:
    """Merge ``runs`` into Parquet files; each unit of the merge ends with its commit marker.

    Units that an earlier try has finished are left as they are.

    Args:
        job: the conversion.
        runs: what to merge.
        layout: where the dataset lies.
        progress: told how far it is.
        held: the dataset that they are appended to, if there is one.

    Returns:
        The new files, in the dataset's order.

    Raises:
        DatasetError: a file can't be written, or a run was damaged.
    """
    table, memory = job.table, job.memory
    row_bytes = table.dims * 4 + feature_bytes(table.features)
    units = plan_merge(
        [run.partitions for run in runs],
        rows_per_file=max(1, table.max_file_size // row_bytes),
        rows_per_unit=unit_rows(_UNIT_BYTES // row_bytes, len(runs)),
        next_parts=held.next_parts() if held else None,
    )
    workers = Workers(memory.workers)
    files = _finished_units(layout, units, workers, progress)
    known = (held.files if held else (), *files.values())
    remove_strays(layout, [file.path for unit in known for file in unit])
    left = [unit for unit in units if unit.number not in files]
    progress.start("writing Parquet", sum(unit.rows for unit in left) * table.dims * 4)
    parquet = ParquetLayout(window_schema(table.dims, table.features), table.compression)
    advance = workers.checked(progress.advance)
    slice_rows = memory.slice_rows_of(len(runs))

    def make_buffers() -> tuple[UnitWriter, Rows]:
        writer = UnitWriter(
            layout,
            parquet,
            table.partition_by,
            row_group_rows=table.row_group_rows,
            turn=turn,
        )
        return writer, np.empty((memory.staging_rows, table.dims), np.float32)

    def merge_unit(unit: MergeUnit) -> tuple[int, tuple[FileSummary, ...]]:
        with buffers.borrow() as (writer, staging):
            cursor = MergeCursor(runs, unit.slices, batch_rows=slice_rows, staging=staging)
            written = tuple(writer.write(unit, cursor, advance))
        commit_unit(layout, unit.number, written)
        return unit.number, written

    turn = Lock()
    buffers = Pool(make_buffers)
    files.update(workers.map(merge_unit, left))
    return [file for unit in units for file in files[unit.number]]


def _finished_units(
    layout: DatasetLayout, units: Sequence[MergeUnit], workers: Workers, progress: Progress
) -> dict[int, tuple[FileSummary, ...]]:
    """The files of units that an earlier try has finished and that are still as it wrote them."""
    found = {unit.number: committed_unit(layout, unit.number) for unit in units}
    known = {number: files for number, files in found.items() if files is not None}
    if not known:
        return {}
    progress.start("checking files", sum(file.bytes for unit in known.values() for file in unit))
    advance = workers.checked(progress.advance)

    def check(number: int) -> tuple[int, bool]:
        whole = is_whole(layout, known[number])
        advance(sum(file.bytes for file in known[number]))
        return number, whole

    return {number: known[number] for number, whole in workers.map(check, known) if whole}
