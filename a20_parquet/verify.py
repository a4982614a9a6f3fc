"""Proves that a dataset is whole: every file as it was written, every window where it belongs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.dataset_check import (
    check_folders,
    check_lists,
    is_being_written,
    listed_files,
)
from a20_parquet.dataset.file_check import FileChecker
from a20_parquet.memory import default_workers
from a20_parquet.progress import NoProgress, Progress
from a20_parquet.table.fingerprint import WindowBlock
from a20_parquet.table.problem import Problem, Problems
from a20_parquet.workers import Workers, map_in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a check of a dataset found."""

    dataset: str
    """Where it lies: an absolute path or a URL."""
    files: int
    """Data files that were checked."""
    windows: int
    """Rows that were read; those of files whose bytes are wrong are not."""
    bytes: int
    """Of all data files."""
    problems: tuple[Problem, ...]
    """What is wrong, files in the dataset's order; the first 1,000."""
    problem_count: int
    """How much is wrong in all."""
    notes: tuple[str, ...]
    """What is worth knowing and not wrong."""
    seconds: float
    """Wall time."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem_count


def verify(
    dataset: str | Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check a dataset.

    Every file that it names: size, checksum, columns, number of rows, their order, and whether they
    belong into the file's Hive folder; the totals; and that ``data/`` holds nothing else. What is
    wrong is told, not raised. Memory is bounded whatever the dataset's size.

    Args:
        dataset: its folder, or any fsspec URL of it.
        workers: threads; by default the machine's cores.
        progress: told how far it is.

    Raises:
        DatasetError: it is none, is not complete, or its list of files is damaged.
    """
    started = time.monotonic()
    progress = progress or NoProgress()
    catalog = Catalog.open(dataset)
    problems = Problems()
    notes = []
    if is_being_written(catalog):
        notes.append(
            "something is being appended, or died while it was: data/ was not searched for files "
            "that files.parquet does not name"
        )
    windows = check_files(catalog, problems, workers or default_workers(), progress)
    files = listed_files(catalog)
    problems.add(check_lists(catalog, files))
    problems.add(check_folders(catalog, files, strays=not notes))
    return Verification(
        dataset=catalog.location,
        files=len(files),
        windows=windows,
        bytes=sum(file.bytes for file in files),
        problems=problems.kept,
        problem_count=problems.count,
        notes=tuple(notes),
        seconds=time.monotonic() - started,
    )


def check_files(
    catalog: Catalog,
    problems: Problems,
    workers: int,
    progress: Progress,
    sink: Callable[[WindowBlock], None] | None = None,
) -> int:
    """Check every data file.

    Args:
        catalog: of the dataset.
        problems: gets what is wrong, in the dataset's order.
        workers: threads.
        progress: told how far it is.
        sink: gets all windows, see ``FileChecker``.

    Returns:
        How many rows were read.
    """
    files = listed_files(catalog)
    progress.start("checking files", sum(file.bytes for file in files))
    advance = Workers(workers).checked(progress.advance)
    checker = FileChecker(catalog, advance, sink)
    windows = 0
    for check in map_in_order(workers, checker.check, files, ahead=16 * workers):
        problems.add(check.problems)
        windows += check.windows
    return windows
