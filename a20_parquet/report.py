"""A dataset as one HTML page to look at: coverage, hours, sizes and quarantine."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.window_times import read_window_times
from a20_parquet.errors import UsageError
from a20_parquet.info import catalog_info
from a20_parquet.memory import default_workers
from a20_parquet.page.render import GENERATOR, render
from a20_parquet.progress import NoProgress, Progress
from a20_parquet.table.coverage import Coverage, Tally
from a20_parquet.table.partition import HIVE_NULL
from a20_parquet.workers import Workers

# A unit of work: enough files that half a million of them don't make half a million threads' jobs.
_FILES_A_UNIT = 128
# Elsewhere the time goes into waiting for answers.
_REMOTE_WORKERS = 16
_HEAD_BYTES = 4096
_ROWS_A_TALLY = 1 << 18

DataFile = tuple[int, str, int, int]
"""Its site's number, path in the dataset, rows and bytes."""


def report(
    dataset: str | Path, file: str | Path | None = None, *, progress: Progress | None = None
) -> Path:
    """Write a page that shows what a dataset holds; it works offline and loads nothing.

    The same dataset gives the same bytes. Of each data file three small columns are read, the
    embeddings never.

    Args:
        dataset: its folder, or any fsspec URL of it.
        file: where the page goes, by default ``<dataset's name>-report.html`` in the current
            folder. Of what is there already only another report is replaced.
        progress: told how far it is.

    Returns:
        Where the page lies, absolute.

    Raises:
        DatasetError: the dataset is none, is not complete or is damaged.
        UsageError: ``file`` is something else than a report, or can't be written.
    """
    catalog = Catalog.open(dataset)
    name = catalog.root.rpartition("/")[2] or "dataset"
    target = Path(file or f"{name}-report.html").absolute()
    _check_target(target, catalog)
    shown = name if catalog.is_local else catalog.location
    coverage = read_coverage(catalog, progress or NoProgress())
    page = render(shown, catalog_info(catalog), coverage, catalog.files["bytes"].to_numpy())
    _write(target, page)
    return target


def read_coverage(catalog: Catalog, progress: Progress) -> Coverage:
    """Count the windows of all data files by site, day and hour.

    Raises:
        DatasetError: a data file can't be read or is not the one that was written.
    """
    files = catalog.files
    site = files["site"].fill_null(HIVE_NULL)
    sites = sorted(set(site))
    number = {name: index for index, name in enumerate(sites)}
    rows = [
        (number[name], path, count, size)
        for name, path, count, size in zip(
            site, files["path"], files["rows"], files["bytes"], strict=True
        )
    ]
    workers = Workers(default_workers() if catalog.is_local else _REMOTE_WORKERS)
    progress.start("reading times", catalog.manifest.totals.bytes)
    advance = workers.checked(progress.advance)
    tallies = workers.map(lambda unit: _tally(catalog, unit, advance), _units(rows))
    return Coverage.of(sites, Tally.sum(tallies))


def _units(files: Sequence[DataFile]) -> Iterator[Sequence[DataFile]]:
    for first in range(0, len(files), _FILES_A_UNIT):
        yield files[first : first + _FILES_A_UNIT]


def _tally(catalog: Catalog, files: Sequence[DataFile], advance: Callable[[int], None]) -> Tally:
    tallies = []
    for site, own in groupby(files, key=itemgetter(0)):
        # Small files are counted together: counting costs more by the call than by the window.
        batches: list[Any] = []
        for _, path, rows, size in own:
            batches += read_window_times(catalog, path, rows)
            advance(size)
            if sum(map(len, batches)) >= _ROWS_A_TALLY:
                tallies.append(Tally.of(site, pa.Table.from_batches(batches)))
                batches = []
        if batches:
            tallies.append(Tally.of(site, pa.Table.from_batches(batches)))
    return Tally.sum(tallies)


def _check_target(target: Path, catalog: Catalog) -> None:
    """Raise ``UsageError`` where a page must not or can't be written."""
    if catalog.is_local and target.resolve().is_relative_to(Path(catalog.path("data")).resolve()):
        raise UsageError(
            f"{target} lies in the dataset's data folder, where readers expect Parquet files only. "
            "Name another place with -o."
        )
    if target.is_dir():
        raise UsageError(f"{target} is a folder. Name a file with -o.")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder. Make it, or name another file with -o.")
    if target.exists() and not _is_report(target):
        raise UsageError(
            f"{target} is no report of this program, so it is not replaced. Name another file "
            "with -o."
        )


def _is_report(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return GENERATOR.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _write(target: Path, page: str) -> None:
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        temporary.write_text(page, encoding="utf-8", newline="\n")
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(
            f"{target}: can't be written: {error}. Name another file with -o."
        ) from error
