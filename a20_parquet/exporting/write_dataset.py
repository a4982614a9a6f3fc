"""Writes selected windows as a dataset of the same kind."""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Final

import numpy as np

from a20_parquet.conversion.transaction.begin import ConversionState, begin, make_way
from a20_parquet.conversion.transaction.checkpoints import (
    Plan,
    commit_unit,
    committed_files,
    is_whole,
)
from a20_parquet.conversion.transaction.commit import clean_up, commit, remove_strays
from a20_parquet.conversion.transaction.lock import check_lock
from a20_parquet.conversion.transaction.scratch import INSIDE
from a20_parquet.conversion.write_files import UnitWriter, data_path
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.file_layout import FileLayout
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.manifest_content import existing_id, make_manifest
from a20_parquet.dataset.options import ReadingOptions
from a20_parquet.dataset.sites import kept_bytes
from a20_parquet.dataset.summaries import FileSummary, Origin
from a20_parquet.dataset.write_file_list import files_content
from a20_parquet.errors import DatasetError
from a20_parquet.execution.threads import Pool, ThreadPool
from a20_parquet.exporting.copy_file import copy_file
from a20_parquet.exporting.select_rows import SelectedRows
from a20_parquet.exporting.source_rows import SourcePartition, open_cursor, selected_partitions
from a20_parquet.progress import Progress
from a20_parquet.resources import METADATA_ROW_BYTES
from a20_parquet.runs.merge_plan import MergeUnit, OutputFile, split_rows
from a20_parquet.runs.run import Rows
from a20_parquet.storage.path import AnyPath

_LOGGER = logging.getLogger(__name__)
_UNIT_BYTES: Final = 64 << 20
_STAGING_ROWS: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportUnit:
    """Consecutive partitions that one worker writes, with the files that these become."""

    partitions: tuple[tuple[SourcePartition, tuple[OutputFile, ...]], ...]

    @property
    def files(self) -> list[OutputFile]:
        """All files, in the dataset's order."""
        return [file for _, files in self.partitions for file in files]


def write_dataset(  # noqa: PLR0913 - what to write, from where and to where
    catalog: Catalog,
    rows: SelectedRows,
    origin: Origin,
    layout: DatasetLayout,
    progress: Progress,
    *,
    overwrite: bool,
    workers: int,
) -> Manifest:
    """Write the selected windows of a dataset, or go on with an export that was stopped.

    Partitions of which all windows are selected are copied file by file. The files of all others
    follow from their selected rows alone. Each unit ends with its commit marker, and the manifest
    is written last.

    Args:
        catalog: the dataset.
        rows: the selected ones.
        origin: which part it is.
        layout: where to write, locked; nothing is there, or something that may be replaced.
        progress: of the bytes written.
        overwrite: whether to replace a dataset that is there.
        workers: number of threads.

    Raises:
        UsageError: an unfinished export of another part, or an unfinished conversion is there.
        DatasetError: a file cannot be read or written, or the disk has too little free space.
    """
    options = catalog.head.options
    source_files = catalog.data_files()
    partitions = selected_partitions(source_files, rows)
    units = list(_units(partitions, source_files, options.rows_per_file, options.row_bytes))
    plan = Plan(
        options=options,
        reading=ReadingOptions(),
        shards=(),
        npy_json=None,
        base=None,
        scratch=(INSIDE,),
        origin=origin,
    )
    need = sum(each.rows for each in partitions) * (options.row_bytes + METADATA_ROW_BYTES // 2)
    with _write_errors(layout):
        state = begin(
            layout, plan, overwrite=overwrite, check=partial(_check_free_space, layout, need)
        )
        make_way(layout, state)
        finished = _finished_files(layout, units, state)
        remove_strays(layout, list(finished))
        left = [
            unit
            for unit in units
            if any(_path(file, catalog) not in finished for file in unit.files)
        ]
        _LOGGER.info("%d units to write, %d files written before", len(left), len(finished))
        write = _writer(catalog, rows, source_files, layout, progress, workers)
        for written in write(left):
            finished.update((file.path, file) for file in written)
        catalog.check_unchanged()
        files = [finished[_path(file, catalog)] for unit in units for file in unit.files]
        listed = files_content(files, options.partition_by)
        manifest = make_manifest(
            options,
            id=existing_id(catalog.manifest),
            files=files,
            files_content=listed,
            shards=(),
            conversions=catalog.head.conversions,
            origins=(origin, *catalog.head.origins),
        )
        commit(layout, manifest, files, kept_bytes(catalog))
        clean_up(layout, state.own_scratch)
    return manifest


def _path(file: OutputFile, catalog: Catalog) -> str:
    return data_path(file, catalog.partition_by)


def _units(
    partitions: Sequence[SourcePartition],
    files: Sequence[FileSummary],
    rows_per_file: int,
    row_bytes: int,
) -> Iterator[ExportUnit]:
    """Divide partitions into units of about 64 MiB of embeddings."""
    unit: list[tuple[SourcePartition, tuple[OutputFile, ...]]] = []
    filled = 0
    for partition in partitions:
        site, period = partition.key
        sizes = (
            [files[number].rows for number in partition.files]
            if partition.is_whole
            else list(split_rows(partition.rows, rows_per_file))
        )
        unit.append(
            (
                partition,
                tuple(
                    OutputFile(site=site, period=period, part=part, rows=count)
                    for part, count in enumerate(sizes)
                ),
            )
        )
        filled += partition.rows * row_bytes
        if filled >= _UNIT_BYTES:
            yield ExportUnit(partitions=tuple(unit))
            unit, filled = [], 0
    if unit:
        yield ExportUnit(partitions=tuple(unit))


def _writer(  # noqa: PLR0913, PLR0917 - what all units share
    catalog: Catalog,
    rows: SelectedRows,
    source_files: Sequence[FileSummary],
    layout: DatasetLayout,
    progress: Progress,
    workers: int,
) -> Callable[[Sequence[ExportUnit]], Iterator[tuple[FileSummary, ...]]]:
    """Return the function that writes units, and yields the files of each."""
    options = catalog.head.options
    parquet = FileLayout(options, existing_id(catalog.manifest)).parquet
    turn = Lock()
    pool = ThreadPool(workers)
    advance = pool.checked(progress.advance)

    def make_buffers() -> tuple[UnitWriter, Rows]:
        writer = UnitWriter(
            layout, parquet, options.partition_by, row_group_rows=options.row_group_rows, turn=turn
        )
        return writer, np.empty((_STAGING_ROWS, options.dims), np.float32)

    buffers = Pool(make_buffers)

    def write_unit(unit: ExportUnit) -> tuple[FileSummary, ...]:
        written: list[FileSummary] = []
        for partition, files in unit.partitions:
            if partition.is_whole:
                copied = (source_files[number] for number in partition.files)
                for source, file in zip(copied, files, strict=True):
                    written.append(copy_file(catalog, source, _path(file, catalog), layout))
                    advance(source.rows * options.dims * 4)
                continue
            with buffers.borrow() as (writer, staging):
                cursor = open_cursor(catalog, partition, rows, staging)
                merged = MergeUnit(number=0, files=files, slices=np.zeros((0, 2), np.int64))
                written += writer.write(merged, cursor, advance)
        check_lock(layout)
        commit_unit(layout, written)
        return tuple(written)

    def write(units: Sequence[ExportUnit]) -> Iterator[tuple[FileSummary, ...]]:
        count = sum(file.rows for unit in units for file in unit.files)
        progress.start("writing Parquet", count * options.dims * 4)
        yield from pool.map(write_unit, units)

    return write


def _finished_files(
    layout: DatasetLayout, units: Sequence[ExportUnit], state: ConversionState
) -> dict[str, FileSummary]:
    """Return, by path, the files of units that were finished before and have not changed."""
    if not state.is_resumed:
        return {}
    known = committed_files(layout)
    by = state.plan.options.partition_by
    finished: dict[str, FileSummary] = {}
    for unit in units:
        paths = {data_path(file, by): file.rows for file in unit.files}
        files = [known[path] for path in paths if path in known]
        if {file.path: file.rows for file in files} == paths and is_whole(layout, files):
            finished |= {file.path: file for file in files}
    return finished


def _check_free_space(
    layout: DatasetLayout, need: int, state: ConversionState, deleted: Sequence[AnyPath]
) -> None:
    """Raise DatasetError if a disk has too little space; files to delete count as used."""
    del deleted
    root = layout.root
    if state.is_resumed or not isinstance(root, Path):
        return
    free = shutil.disk_usage(root).free
    if free < need:
        raise DatasetError(
            f"{root}: about {need:,} bytes are needed and {free:,} are free. Free some space, "
            "export less, or name another folder."
        )


@contextmanager
def _write_errors(layout: DatasetLayout) -> Iterator[None]:
    """Say how to go on after a file could not be written."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{layout.root}: cannot be written: {error}. Mend that, for example free some space; "
            "the same command goes on where it stopped."
        ) from error
