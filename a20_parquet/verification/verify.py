"""``verify``: checks that a dataset is complete, and equal to its shards."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from a20_parquet.checks import count_workers
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.options import ListedFile
from a20_parquet.dataset.problem import Problem, Problems
from a20_parquet.dataset.sites import check_sites
from a20_parquet.dataset.taken import Taken, taken
from a20_parquet.dataset.window_list_file import read_window_list
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.errors import UsageError
from a20_parquet.execution.threads import map_in_order
from a20_parquet.formatting import format_count
from a20_parquet.progress import Progress, ProgressOption, open_progress
from a20_parquet.shards.discover import find_shards
from a20_parquet.storage.path import parse_path
from a20_parquet.verification.check_dataset import (
    check_figures,
    check_folders,
    check_lists,
    is_being_written,
    is_card_outdated,
)
from a20_parquet.verification.check_file import FileChecker
from a20_parquet.verification.compare import FingerprintSink
from a20_parquet.verification.source_windows import Lists, find_list
from a20_parquet.verification.verify_source import SourceVerification, verify_source
from a20_parquet.windows.window_list import WindowList

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result of ``verify``."""

    dataset: str
    """An absolute path or a URL."""
    files: int
    """Number of data files."""
    windows: int
    """Rows that were read; files whose bytes are wrong are not read."""
    bytes: int
    """Size of all data files."""
    problems: tuple[Problem, ...]
    """The first 1,000 problems, files in the dataset's order."""
    problem_count: int
    """Number of all problems."""
    source: SourceVerification | None
    """Totals of the shards, None if no source was given."""
    conversions: tuple[Taken, ...]
    """What each conversion selected, and what it left out."""
    notes: tuple[str, ...]
    """Remarks that are not problems."""
    seconds: float
    """Wall time."""

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problem_count


def verify(  # noqa: PLR0913 - the command's options, each a keyword
    dataset: str | Path,
    source: str | Path | Sequence[str | Path] = (),
    *,
    exclude: str | Path | Sequence[str | Path] = (),
    workers: int | None = None,
    decoder: DecoderName | str = DecoderName.TENSORFLOW,
    progress: ProgressOption = None,
) -> Verification:
    """Check a dataset.

    For each file: size, checksum, page checksums (earlier versions wrote none), columns, number of
    rows, their order, and that they belong in the file's Hive folder. Also the totals, and that
    ``data/`` contains no other file. With the shards, each record must be in the dataset or in
    quarantine, bit for bit, and the dataset must have no other windows. Problems are returned, not
    raised. Memory is bounded.

    Args:
        dataset: a folder or an fsspec URL.
        source: all shards that it was made from: folders, files, globs or fsspec URLs.
        exclude: the lists that the conversions were given as ``exclude``, which the comparison
            with the shards needs.
        workers: number of threads; by default the cores that the process may use.
        decoder: of the shards' records: ``tensorflow``, or ``wire``, which is faster.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object with the methods of ``a20_parquet.progress.Progress``.

    Raises:
        UsageError: there is no such decoder, the number of workers is invalid, or a source is given
            for a part of a dataset that was exported.
        DatasetError: the path is not a complete dataset, or its list of files is damaged.
        SourceError: no shard is found.
    """
    threads = count_workers(workers)
    with open_progress(progress) as shown:
        return _verify(dataset, source, exclude, threads, decoder, shown)


def _verify(  # noqa: PLR0913, PLR0917 - the options of verify
    dataset: str | Path,
    source: str | Path | Sequence[str | Path],
    exclude: str | Path | Sequence[str | Path],
    workers: int,
    decoder: DecoderName | str,
    progress: Progress,
) -> Verification:
    started = time.monotonic()
    catalog = Catalog.open(dataset)
    if (origins := catalog.head.origins) and source:
        raise UsageError(
            f"{catalog.location} is a part of {origins[0].dataset}, made by a20-parquet export: "
            "compare that one with the shards, and leave --source out here."
        )
    lists = _read_lists(catalog, exclude) if source else {}
    problems = Problems()
    notes = []
    if is_being_written(catalog):
        notes.append(
            "an append is running or was interrupted: data/ was not searched for files that "
            "files.parquet does not name"
        )
    sources = [source] if isinstance(source, str | Path) else list(source)
    listing = find_shards(sources, parse_path(catalog.location)) if sources else None
    files = catalog.data_files()
    fingerprint = FingerprintSink([feature.name for feature in catalog.features])
    _LOGGER.info(
        "%s to check with %s",
        format_count(len(files), "file"),
        format_count(workers, "worker"),
    )
    progress.start("checking files", sum(file.bytes for file in files))
    checker = FileChecker(catalog, progress.advance, fingerprint if listing else None)
    windows = outdated = 0
    for check in map_in_order(workers, checker.check, files, ahead=16 * workers):
        problems.add(check.problems)
        windows += check.windows
        outdated += check.is_outdated
    if outdated:
        text = (
            f"{outdated:,} of {format_count(len(files), 'file')} call their UTC times "
            "milliseconds, as earlier versions wrote them, or are half repaired: some readers "
            "refuse them, others read times a thousand times too large. a20-parquet repair "
            f"{catalog.location} corrects them in place"
        )
        problems.add([Problem("data", text)])
    problems.add(check_lists(catalog, files))
    problems.add(check_figures(catalog.manifest, sum(file.rows for file in files)))
    wrong_sites = list(check_sites(catalog))
    problems.add(wrong_sites)
    problems.add(check_folders(catalog, files, strays=not notes))
    if is_card_outdated(catalog):
        notes.append(
            "README.md, the dataset card, describes an earlier state of the dataset: a20-parquet "
            f"repair {catalog.location} writes its part anew"
        )
    checked = None
    if listing is not None and wrong_sites:
        notes.append(
            "the shards were not read: sites.parquet, which has their recorders' sites and time "
            "zones, is wrong"
        )
    elif listing is not None:
        unread = sum(file.rows for file in files) - windows
        if unread:
            notes.append(
                f"{unread:,} windows of files whose bytes are wrong could not be read: windows "
                "were not compared with the shards"
            )
        checked = verify_source(
            catalog,
            listing,
            None if unread else fingerprint.fingerprint,
            problems,
            decoder=decoder,
            workers=workers,
            progress=progress,
            lists=lists,
        )
        if checked.copies:
            notes.append(
                f"{format_count(checked.copies, 'source')} left out: a further copy of a shard "
                "that is among them"
            )
    return Verification(
        dataset=catalog.location,
        files=len(files),
        windows=windows,
        bytes=sum(file.bytes for file in files),
        problems=problems.kept,
        problem_count=problems.count,
        source=checked,
        conversions=taken(catalog.manifest),
        notes=tuple(notes),
        seconds=time.monotonic() - started,
    )


def _read_lists(catalog: Catalog, exclude: str | Path | Sequence[str | Path]) -> Lists:
    """Read the lists that conversions were given.

    Raises:
        UsageError: one cannot be read, no conversion was given it, or one is missing.
    """
    known = {each.reading.exclude for each in catalog.head.conversions} - {None}
    lists = dict[ListedFile, WindowList]()
    for path in [exclude] if isinstance(exclude, str | Path) else exclude:
        listed, file = read_window_list(path)
        if file not in known:
            names = ", ".join(sorted(map(str, known))) or "none"
            raise UsageError(
                f"--exclude: the dataset was converted without {file}. It was converted with "
                f"{names}: give that file, as it was then."
            )
        lists[file] = listed
    for each in known:
        if each is not None:
            find_list(each, lists)
    return lists
