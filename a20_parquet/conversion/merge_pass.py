"""The second pass: merge the runs into the dataset's Parquet files."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock

import numpy as np

from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.transaction.checkpoints import commit_unit, committed_files, is_whole
from a20_parquet.conversion.transaction.commit import remove_strays
from a20_parquet.conversion.write_files import UnitWriter, data_path
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.file_layout import FileLayout
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.options import TableOptions
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import SameFolderError
from a20_parquet.execution.protocols import Executor, TaskContext
from a20_parquet.execution.threads import Pool
from a20_parquet.formatting import format_count
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.merge_cut import unit_slices
from a20_parquet.runs.merge_plan import UNIT_BYTES, MergePlan, MergeUnit, plan_merge, unit_rows
from a20_parquet.runs.run import Rows, Run
from a20_parquet.windows.filenames.site_token import DISTINCT_TOKENS, folded_alike

_LOGGER = logging.getLogger(__name__)
_UNIT_BYTES = UNIT_BYTES


def _open_merger(
    layout: DatasetLayout, files: FileLayout, memory: MemoryPlan, runs: Sequence[Run]
) -> Callable[[MergeUnit, TaskContext], tuple[FileSummary, ...]]:
    """Return the task that writes the files of one unit."""
    parquet, table = files.parquet, files.table
    turn = Lock()
    slice_rows = memory.slice_rows_of(len(runs))

    def make_buffers() -> tuple[UnitWriter, Rows]:
        writer = UnitWriter(
            layout, parquet, table.partition_by, row_group_rows=table.row_group_rows, turn=turn
        )
        return writer, np.empty((memory.staging_rows, table.dims), np.float32)

    buffers = Pool(make_buffers)

    def merge_unit(unit: MergeUnit, context: TaskContext) -> tuple[FileSummary, ...]:
        with buffers.borrow() as (writer, staging):
            slices = unit_slices(runs, unit, batch_rows=slice_rows)
            cursor = MergeCursor(runs, slices, batch_rows=slice_rows, staging=staging)
            written = tuple(writer.write(unit, cursor, context.advance, context.create))
        context.check()
        commit_unit(layout, written, context.tag)
        return written

    return merge_unit


def _open_checker(
    layout: DatasetLayout,
) -> Callable[[tuple[FileSummary, ...], TaskContext], tuple[FileSummary, ...] | None]:
    """Return the task that checks the files of a finished unit: None if one has changed."""

    def check(
        files: tuple[FileSummary, ...], context: TaskContext
    ) -> tuple[FileSummary, ...] | None:
        whole = is_whole(layout, files)
        context.advance(sum(file.bytes for file in files))
        return files if whole else None

    return check


def plan_files(
    setup: ConversionSetup, runs: Sequence[Run], existing: ExistingDataset | None = None
) -> MergePlan:
    """Plan which files the merge of ``runs`` writes.

    Args:
        setup: the conversion.
        runs: to merge.
        existing: the dataset that it appends to, or None.

    Raises:
        SameFolderError: two sites differ only in case, so that they share a folder on some disks.
    """
    table = setup.table
    plan = plan_merge(
        runs,
        rows_per_file=table.rows_per_file,
        rows_per_unit=unit_rows(_UNIT_BYTES // table.row_bytes, len(runs)),
        next_parts=existing.next_parts() if existing else None,
    )
    sites = {
        *plan.partitions.site.unique().to_pylist(),
        *(file.site for file in (existing.files if existing else ())),
    }
    if table.site_tokens == DISTINCT_TOKENS and (alike := folded_alike(sites)):
        raise SameFolderError(
            f"site={alike[0]} and site={alike[1]} are different sites, but one folder on disks "
            "that ignore case. Write --unknown-site as the recorder's name is written, or give it "
            "another name. Nothing was converted."
        )
    return plan


def merge_runs(  # noqa: PLR0913 - what to write, where, and who does it
    setup: ConversionSetup,
    runs: Sequence[Run],
    units: MergePlan,
    layout: DatasetLayout,
    executor: Executor,
    *,
    dataset_id: str,
    existing: ExistingDataset | None = None,
) -> list[FileSummary]:
    """Merge ``runs`` into Parquet files; each unit of the merge ends with its commit marker.

    Units that were finished before a resume are left as they are.

    Args:
        setup: the conversion.
        runs: to merge.
        units: from ``plan_files``.
        layout: of the dataset.
        executor: does the units.
        dataset_id: see ``Manifest.id``.
        existing: the dataset that it appends to, or None.

    Returns:
        The new files, in the dataset's order.

    Raises:
        DatasetError: a file cannot be written, or a run was damaged.
        ClusterError: workers were lost for good.
    """
    table, memory = setup.table, setup.memory
    files = _finished_files(layout, units, table, executor)
    remove_strays(layout, [*(file.path for file in (existing.files if existing else ())), *files])
    left = [unit for unit in units if not files.keys() >= _paths(unit, table).keys()]
    _LOGGER.info(
        "second pass: %s of partitions in %s, merged from %s; %s written before",
        format_count(len(left), "range"),
        format_count(sum(len(unit.files) for unit in left), "file"),
        format_count(len(runs), "run"),
        format_count(len(files), "file"),
    )
    executor.progress.start("writing Parquet", sum(unit.rows for unit in left) * table.dims * 4)
    described = FileLayout(table, dataset_id)
    initializer = partial(_open_merger, layout, described, memory, runs)
    # Large units come first: a worker that begins one as the last would finish long after others.
    typical_rows = 2 * int(np.median(units.rows)) if left else 0
    left.sort(key=lambda unit: -unit.rows if unit.rows > typical_rows else 0)
    for written in executor.map(initializer, left, threads=memory.workers):
        _LOGGER.debug("range of partitions: %s written", format_count(len(written), "file"))
        files.update((file.path, file) for file in written)
    return [files[path] for unit in units for path in _paths(unit, table)]


def _paths(unit: MergeUnit, table: TableOptions) -> dict[str, int]:
    """Return the rows of each of a unit's files by its path in the dataset, in order."""
    return {data_path(file, table.partition_by): file.rows for file in unit.files}


def _finished_files(
    layout: DatasetLayout, units: Sequence[MergeUnit], table: TableOptions, executor: Executor
) -> dict[str, FileSummary]:
    """Return, by path, the files of units that were finished before and have not changed.

    The merge may have been divided into other units then.
    """
    known = committed_files(layout)
    if not known:
        return {}
    finished = []
    for unit in units:
        paths = _paths(unit, table)
        files = tuple(known[path] for path in paths if path in known)
        if {file.path: file.rows for file in files} == paths:
            finished.append(files)
    executor.progress.start(
        "checking files", sum(file.bytes for files in finished for file in files)
    )
    whole = executor.map(partial(_open_checker, layout), finished, threads=executor.threads)
    return {file.path: file for files in whole if files is not None for file in files}
