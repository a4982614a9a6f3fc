"""Mends datasets that an older version wrote wrong, in place."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import crc32c

from a20_parquet.checks import count_workers
from a20_parquet.conversion.transaction.begin import find_existing
from a20_parquet.conversion.transaction.commit import clean_up, commit
from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import FileSummary
from a20_parquet.dataset.manifest_content import files_content
from a20_parquet.dataset.mend import Mend
from a20_parquet.dataset.problem import Problem, Problems
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.execution.threads import map_in_order
from a20_parquet.progress import Progress, ProgressOption, open_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was mended."""

    dataset: str
    """Where it lies: an absolute path or a URL."""
    files: int
    """Data files that were looked at, all that the dataset has."""
    mended: int
    """Those that were wrong, and are right now."""
    problems: tuple[Problem, ...]
    """Files that are damaged, and were left as they are; the first 1,000."""
    problem_count: int
    seconds: float
    """Wall time."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    file: FileSummary
    """What the dataset should say of it."""
    is_mended: bool
    problem: str | None = None


def repair(
    dataset: str | Path, *, workers: int | None = None, progress: ProgressOption = None
) -> Repair:
    """Mend what older versions of this program wrote wrong into a dataset, in place.

    Footers of data files called UTC timestamps milliseconds for readers that go by Parquet's older
    type annotations. Each file is read whole and compared with its checksum; then a byte a column
    changes in its footer. ``files.parquet`` and the manifest follow, which gets a checksum of its
    own if it has none, and the dataset is what a new conversion would write, but that its pages
    get no checksums. Readers may go on meanwhile. Where it was stopped, the same call goes on;
    until then ``verify`` says what is left to do.

    Args:
        dataset: its folder, or any fsspec URL of it; files in stores are put anew as a whole.
        workers: threads; by default the machine's cores.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Raises:
        UsageError: a conversion into it is unfinished, another process works on it, or there are no
            workers.
        DatasetError: it is none, is damaged or cannot be written.
    """
    with open_progress(progress) as shown:
        return _repair(dataset, workers, shown)


def _repair(dataset: str | Path, workers: int | None, progress: Progress) -> Repair:
    started = time.monotonic()
    count = count_workers(workers)
    layout = DatasetLayout.at(dataset)
    if not layout.manifest.exists():
        # This says what is there instead; the lock would make a folder.
        Catalog.open(dataset)
    with locked(layout, progress.say) as layout:
        existing = find_existing(layout, overwrite=False)
        if existing is None or layout.plan.exists():
            raise UsageError(
                f"{layout.root} holds an unfinished conversion. Finish it first: give its command "
                "again."
            )
        progress.start("mending files", sum(file.bytes for file in existing.files))
        mend = _mender(layout, progress.advance)
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
    layout: DatasetLayout, advance: Callable[[int], None]
) -> Callable[[FileSummary], _Outcome]:
    """Make what mends one file, and leaves a damaged one as it is."""

    def mend(file: FileSummary) -> _Outcome:
        place = layout.root / file.path
        try:
            found = Mend.of(place, file, advance)
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
        return _Outcome(now, is_mended=now != file or not found.footer.is_right)

    return mend


def _commit(layout: DatasetLayout, existing: ExistingDataset, files: list[FileSummary]) -> None:
    """Have the dataset say what its files are now, at one moment."""
    if tuple(files) == existing.files and existing.manifest.checksum is not None:
        return
    content = files_content(files, existing.manifest.options.partition_by)
    checksum = f"{crc32c.crc32c(content):08x}"
    new = existing.manifest.model_copy(update={"files_checksum": checksum})
    commit(layout, new, content.to_pybytes(), None)
    clean_up(layout, ())
