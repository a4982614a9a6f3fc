"""Repairs datasets that an older version wrote incorrectly, in place."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import crc32c

from a20_parquet.checks import count_workers
from a20_parquet.conversion.transaction.begin import find_existing
from a20_parquet.conversion.transaction.commit import clean_up, commit
from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.dataset.card import make_card
from a20_parquet.dataset.card_file import is_current
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.file_bounds import FileBounds
from a20_parquet.dataset.find_bounds import bound_groups, merge_bounds
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.mend import Mend
from a20_parquet.dataset.problem import Problem, Problems
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.dataset.write_file_list import files_content
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.execution.threads import map_in_order
from a20_parquet.progress import Progress, ProgressOption, open_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Result of a repair."""

    dataset: str
    """Absolute path or URL."""
    files: int
    """All data files of the dataset."""
    mended: int
    """Files that were incorrect and have been mended."""
    problems: tuple[Problem, ...]
    """The first 1,000 files that are damaged and were not changed."""
    problem_count: int
    seconds: float
    """Wall time."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    file: FileSummary
    """Its entry for the dataset's list of files."""
    is_mended: bool
    problem: str | None = None


def repair(
    dataset: str | Path, *, workers: int | None = None, progress: ProgressOption = None
) -> Repair:
    """Mend what older versions of this program wrote incorrectly into a dataset, in place.

    For readers that use Parquet's older type annotations, footers of data files said that UTC
    timestamps are milliseconds. Each file is read and compared with its checksum; then one byte of
    its footer changes for each such column. ``files.parquet`` and the manifest follow: the list
    gets bounds of filenames and ids, the manifest a checksum of its own, if they have none, and the
    dataset card is written if it is missing or out of date. The dataset is then what a new
    conversion would write, but its pages get no checksums. It can be read meanwhile. If it was
    stopped, the same call resumes; until then ``verify`` says what is left to do.

    Args:
        dataset: its folder, or any fsspec URL of it; in stores, files are replaced as a whole.
        workers: threads; by default the machine's cores.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Raises:
        UsageError: a conversion into it is unfinished, another process is changing it, or
            ``workers`` is not positive.
        DatasetError: the path is not a complete dataset, is damaged or cannot be written.
    """
    with open_progress(progress) as shown:
        return _repair(dataset, workers, shown)


def _repair(dataset: str | Path, workers: int | None, progress: Progress) -> Repair:
    started = time.monotonic()
    count = count_workers(workers)
    layout = DatasetLayout.at(dataset)
    if not layout.manifest.exists():
        # Raises, and says what is there instead; the lock would create a folder.
        Catalog.open(dataset)
    with locked(layout, progress.say) as layout:
        existing = find_existing(layout, overwrite=False)
        if existing is None or layout.plan.exists():
            raise UsageError(
                f"{layout.root} holds an unfinished conversion. Finish it first: give its command "
                "again."
            )
        progress.start("mending files", sum(file.bytes for file in existing.files))
        mend = _mender(layout, existing.catalog, progress.advance)
        try:
            outcomes = list(map_in_order(count, mend, existing.files, ahead=4 * count))
            _commit(layout, existing, [outcome.file for outcome in outcomes])
        except OSError as error:
            raise DatasetError(
                f"{error}. Mend that; the same command goes on where it stopped."
            ) from error
    problems = Problems()
    problems.add(Problem(each.file.path, each.problem) for each in outcomes if each.problem)
    return Repair(
        dataset=str(layout.root),
        files=len(outcomes),
        mended=sum(outcome.is_mended for outcome in outcomes),
        problems=problems.kept,
        problem_count=problems.count,
        seconds=time.monotonic() - started,
    )


def _mender(
    layout: DatasetLayout, catalog: Catalog, advance: Callable[[int], None]
) -> Callable[[FileSummary], _Outcome]:
    """Return the function that mends one file, unless it is damaged."""

    def mend(file: FileSummary) -> _Outcome:
        try:
            found = Mend.of(layout.root / file.path, file, advance)
            is_sound = found.is_sound
        except (DatasetError, OSError) as error:
            message = error.console_text if isinstance(error, DatasetError) else error
            return _Outcome(file, is_mended=False, problem=f"cannot be read: {message}")
        if not is_sound:
            return _Outcome(
                file,
                is_mended=False,
                problem=f"its CRC32C is not {file.checksum} as in files.parquet: it is damaged or "
                "was changed, and was left as it is",
            )
        now = found.apply()
        is_mended = now != file or not found.footer.is_right
        if now.bounds is None:
            try:
                now = now.model_copy(update={"bounds": _read_bounds(catalog, now)})
            except DatasetError as error:
                return _Outcome(now, is_mended=is_mended, problem=error.console_text)
        return _Outcome(now, is_mended=is_mended)

    return mend


def _read_bounds(catalog: Catalog, file: FileSummary) -> FileBounds:
    """Read the bounds of a file that earlier versions have not listed.

    Raises:
        DatasetError: the file cannot be read.
    """
    parts = []
    with DataFile(catalog, file.path, rows=file.rows, size=file.bytes) as opened:
        for group in range(len(opened.rows)):
            rows = opened.metadata([group], ["filename", "file_seq_id", "site_id"])
            if len(rows):
                parts += bound_groups(rows.combine_chunks().to_batches()[0], [len(rows)])
    return merge_bounds(parts)


def _commit(layout: DatasetLayout, existing: ExistingDataset, files: list[FileSummary]) -> None:
    """Replace the dataset's list of files, if it has changed, and its manifest in one step."""
    is_known = tuple(files) == existing.files and existing.manifest.checksum is not None
    if is_known and is_current(layout.card, make_card(existing.manifest, files)):
        return
    content = files_content(files, existing.manifest.options.partition_by)
    checksum = f"{crc32c.crc32c(content):08x}"
    new = existing.manifest.model_copy(update={"files_checksum": checksum})
    commit(layout, new, files, None)
    clean_up(layout, ())
