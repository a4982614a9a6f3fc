"""``export``: writes a part of a dataset, as a dataset, a Parquet file or a ``.npy`` file."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from a20_parquet.checks import check_unicode, count_workers
from a20_parquet.conversion.transaction.begin import find_existing
from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.summaries import Origin
from a20_parquet.errors import UsageError
from a20_parquet.exporting.folder import IsExport, check_folder
from a20_parquet.exporting.request import ExportRequest
from a20_parquet.exporting.select_rows import Found, SelectedRows, select_rows
from a20_parquet.exporting.target import ExportAs, check_name, check_outside, target_files
from a20_parquet.exporting.write_dataset import write_dataset
from a20_parquet.exporting.write_files import write_npy, write_parquet
from a20_parquet.exporting.write_hoplite import (
    check_hoplite,
    is_hoplite_export,
    write_hoplite,
)
from a20_parquet.exporting.write_tfrecord import is_tfrecord_export, write_tfrecord
from a20_parquet.progress import Progress, ProgressOption, open_progress
from a20_parquet.storage.path import local_file

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _FolderForm:
    """What is written as a folder that is no dataset."""

    is_export: IsExport
    write: Callable[[Catalog, SelectedRows, Origin, Path, Progress], list[str]]
    """Returns lines on what a user may not expect."""


_FOLDERS: Final = {
    ExportAs.TFRECORD: _FolderForm(is_tfrecord_export, write_tfrecord),
    ExportAs.HOPLITE: _FolderForm(is_hoplite_export, write_hoplite),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Result of an export."""

    dataset: str
    """The whole dataset: an absolute path or URL."""
    out: Path | str
    """The dataset or the file that was written; beside a ``.npy`` file is a ``.parquet`` file."""
    windows: int
    """Windows that were written."""
    total_windows: int
    """Windows of the whole dataset."""
    files: int
    """Files that were written; of a dataset, its data files."""
    bytes: int
    """Their size."""
    remarks: tuple[str, ...]
    """Lines on groups of a sample with too few windows, and on rows of lists that were not used."""
    seconds: float
    """Wall time."""


def export(  # noqa: PLR0913 - the command's options, each a keyword
    dataset: str | Path,
    out: str | Path,
    *,
    as_: ExportAs | str = ExportAs.DATASET,
    where: str | None = None,
    windows: str | Path | None = None,
    exclude: str | Path | None = None,
    per: tuple[str | Sequence[str], int] | None = None,
    seed: int = 0,
    overwrite: bool = False,
    workers: int | None = None,
    progress: ProgressOption = None,
) -> Export:
    """Write a part of a dataset; without options that select, all of it.

    Windows are taken that ``where``, ``windows`` and ``exclude`` allow; of those a sample. An
    export of a dataset that was stopped goes on where it stopped when it is called again. Memory
    holds one bit a window of the dataset, 24 bytes a window of the sample, and a few buffers.

    Args:
        dataset: its folder, or any fsspec URL of it.
        out: the folder or URL of the new dataset, a local folder for shards or
            Hoplite, or a local file that
            ends in ``.parquet`` or ``.npy``.
        as_: ``dataset``, ``parquet``, ``npy``, ``tfrecord`` or ``hoplite``, see ``ExportAs``.
        where: SQL condition on all columns but the embedding, such as
            ``hour(window_start_local) between 4 and 6``. Windows for which it is null are left out.
        windows: CSV file of the windows to take: ``filename`` and ``recording_offset_in_file``
            (and perhaps ``channel``), ``start_s`` and ``end_s``, or ``timestamp_s`` of records.
        exclude: CSV file of what to leave out, in the same form.
        per: columns and a number, such as ``("site,date", 100)``: that many windows of each group
            of equal values, or all of a group that has fewer. ``date``, ``month``, ``year`` and
            ``hour`` of the local time may be used whether the dataset has the column or not.
        seed: another number gives another sample, the same one the same sample, whatever the
            dataset's files are.
        overwrite: whether to replace what ``out`` holds, if an export could have written it.
        workers: threads; by default the cores that this process may use.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Raises:
        UsageError: an option is invalid, no window is selected, or ``out`` exists or is inside the
            dataset.
        DatasetError: the dataset cannot be read or ``out`` cannot be written.
    """
    started = time.monotonic()
    try:
        form = ExportAs(as_)
    except ValueError:
        raise UsageError(f"--as {as_}: expected {', '.join(ExportAs)}") from None
    check_unicode("OUT", out)
    threads = count_workers(workers)
    catalog = Catalog.open(dataset)
    request = ExportRequest.of(catalog, where, windows, exclude, per, seed)
    check_name(out, form)
    with open_progress(progress) as shown:
        if form is ExportAs.DATASET:
            layout = DatasetLayout.at(out)
            check_outside(layout.root, catalog)
            written = _write_dataset(catalog, layout, request, shown, threads, overwrite=overwrite)
        elif form in _FOLDERS:
            folder = local_file(out)
            check_outside(folder, catalog)
            check_folder(folder, _FOLDERS[form].is_export, overwrite=overwrite)
            written = _write_folder(catalog, folder, form, request, shown, threads)
        else:
            files = target_files(out, form, catalog, overwrite=overwrite)
            written = _write_files(catalog, files, request, shown, threads)
    return replace(written, seconds=time.monotonic() - started)


def _write_dataset(  # noqa: PLR0913 - what to write, from where and to where
    catalog: Catalog,
    target: DatasetLayout,
    request: ExportRequest,
    progress: Progress,
    workers: int,
    *,
    overwrite: bool,
) -> Export:
    with locked(target, progress.say) as layout:
        if find_existing(layout, overwrite=overwrite) is not None:
            raise UsageError(
                f"{layout.root} holds a dataset. Name another folder, or give --overwrite to "
                "replace it."
            )
        found = _find(catalog, request, progress, workers)
        manifest = write_dataset(
            catalog,
            found.rows,
            request.origin,
            layout,
            progress,
            overwrite=overwrite,
            workers=workers,
        )
    return _result(
        catalog, request, found, layout.location, manifest.totals.files, manifest.totals.bytes
    )


def _write_files(
    catalog: Catalog,
    files: Sequence[Path],
    request: ExportRequest,
    progress: Progress,
    workers: int,
) -> Export:
    found = _find(catalog, request, progress, workers)
    if len(files) == 1:
        write_parquet(catalog, found.rows, request.origin, files[0], progress)
    else:
        write_npy(catalog, found.rows, request.origin, files, progress)
    size = sum(file.stat().st_size for file in files)
    return _result(catalog, request, found, files[0], len(files), size)


def _write_folder(  # noqa: PLR0913, PLR0917 - what to write, from where and to where
    catalog: Catalog,
    folder: Path,
    form: ExportAs,
    request: ExportRequest,
    progress: Progress,
    workers: int,
) -> Export:
    if form is ExportAs.HOPLITE:
        check_hoplite(catalog)
    found = _find(catalog, request, progress, workers)
    remarks = _FOLDERS[form].write(catalog, found.rows, request.origin, folder, progress)
    files = [path.stat().st_size for path in folder.iterdir()]
    written = _result(catalog, request, found, folder, len(files), sum(files))
    return replace(written, remarks=(*written.remarks, *remarks))


def _find(catalog: Catalog, request: ExportRequest, progress: Progress, workers: int) -> Found:
    found = select_rows(catalog, request.part, progress, workers)
    request.check(found)
    for remark in request.remarks(found):
        _LOGGER.info("%s", remark)
    return found


def _result(  # noqa: PLR0913, PLR0917 - what was written, and where
    catalog: Catalog,
    request: ExportRequest,
    found: Found,
    out: Path | str,
    files: int,
    size: int,
) -> Export:
    return Export(
        dataset=catalog.location,
        out=out,
        windows=int(found.rows.counts.sum()),
        total_windows=catalog.head.totals.windows,
        files=files,
        bytes=size,
        remarks=tuple(request.remarks(found)),
        seconds=0.0,
    )
