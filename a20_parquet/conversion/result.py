"""What a finished conversion did, and what a user should know of it besides its totals."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from a20_parquet.dataset.manifest import Assumption, DuplicateCounts, Totals
from a20_parquet.errors import in_python
from a20_parquet.formatting import format_count
from a20_parquet.progress import NoProgress, Progress
from a20_parquet.shards.discover import PassedOver
from a20_parquet.windows.rejection import Reason

# The command line shows remarks itself, and switches this logger off.
_LOGGER: Final = logging.getLogger(__name__)
_MAX_NAMES = 3
# Other assumptions are known, and shown, before the first pass.
_ASSUMED_LATE = {"time zone", "site"}
_MENDED_BY = {
    Reason.BAD_FILENAME: "--unknown-site or --filename-pattern",
    Reason.NO_SAMPLE_RATE: "--sample-rate",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a finished conversion did."""

    dataset: Path | str
    """Its folder, or its URL where it is in a store."""
    totals: Totals
    """Of the dataset, what it held before included."""
    new_shards: int = 0
    """That were converted, those in quarantine that were tried again left out."""
    retried_shards: int = 0
    """Shards in quarantine that were tried again."""
    held_shards: int = 0
    """Of the sources, that the dataset had already."""
    other_options: tuple[str, ...] = ()
    """Which options differ from those that shards of the dataset were converted with before."""
    new_windows: int = 0
    """That were written."""
    left_out: int = 0
    """Windows of the new shards outside of what was asked for: other sites, dates, channels."""
    missing_sites: tuple[str, ...] = ()
    """Of the wanted sites, those of which the new shards have no recording at all."""
    quarantine: dict[str, int]
    """What is in quarantine, counted by reason, the most frequent first."""
    duplicates: DuplicateCounts = field(default_factory=DuplicateCounts)
    """Among the new windows, and between these and what the dataset held."""
    dropped_duplicates: bool = False
    """Whether the identical ones were left out."""
    shape_disagreements: int = 0
    """Records whose ``embedding_shape`` is not their tensor's."""
    other_features: tuple[str, ...] = ()
    """Names of features that the records have and the dataset has not."""
    assumptions: tuple[Assumption, ...] = ()
    """What no input told."""
    hop_remark: str | None = None
    """Why the hop looks wrong, and which would fit."""
    widths: tuple[tuple[int, int], ...] = ()
    """Where the records' embeddings differ in their number of floats: each number, the dataset's
    first, and how many records have it."""
    copies: tuple[tuple[str, ...], ...] = ()
    """URLs of shards that hold the same records, a group each, of which at least one is new."""
    is_resumed: bool = False
    """Whether it went on with an unfinished conversion."""
    source_bytes: int = 0
    """Stored size of all new shards."""
    retries: int = 0
    """Requests to stores that failed for a moment and were repeated."""
    seconds: float = 0.0
    """Wall time."""
    runs_on_disk: int = 0
    """Runs that went to scratch disk; 0 where all windows fitted the memory budget."""
    passed_over: tuple[PassedOver, ...] = ()
    """Files of the sources that are no shards."""
    warnings: tuple[str, ...] = ()
    """Shards that seem to be missing, options that contradict Perch's ``config.json``, and columns
    of the sites table that are not used."""
    hint: str | None = None
    """Advice on the Hive keys."""
    npy_json: Path | None = None
    """Folder of the notebook's files, where they were asked for."""


class Remarks:
    """Logs each remark of one conversion once, as a warning."""

    def __init__(self, progress: Progress) -> None:
        # NoProgress logs remarks itself.
        self._progress = None if type(progress) is NoProgress else progress
        self._logged: set[str] = set()

    def say(self, *lines: str) -> None:
        """Show remarks while the conversion runs, and log them."""
        if self._progress is not None:
            for line in lines:
                self._progress.say(line)
        self.log(lines)

    def log(self, lines: Iterable[str]) -> None:
        """Log lines that were not logged before."""
        for line in lines:
            if line not in self._logged:
                self._logged.add(line)
                _LOGGER.warning("%s", in_python(line))


def conversion_remarks(conversion: Conversion, dataset: str) -> Iterator[str]:
    """Yield what a user should know besides the totals, a line each.

    Args:
        conversion: a finished one.
        dataset: the name of its dataset in the lines.
    """
    yield from passed_over_remarks(conversion.passed_over)
    yield from (str(each) for each in conversion.assumptions if each.about in _ASSUMED_LATE)
    if conversion.hop_remark:
        yield conversion.hop_remark
    yield from conversion.other_options
    yield from _selection_lines(conversion)
    if conversion.other_features:
        names = ", ".join(conversion.other_features)
        yield f"left out: features {names}; --feature NAME carries one along"
    yield from _width_lines(conversion)
    if conversion.shape_disagreements:
        records = format_count(conversion.shape_disagreements, "record")
        yield f"{records} with an embedding_shape that is not the tensor's: the tensor's counts"
    if conversion.retries:
        yield f"{format_count(conversion.retries, 'request')} to stores repeated after a failure"
    yield from _duplicate_lines(conversion)
    if conversion.hint:
        yield f"hint: {conversion.hint}"
    if conversion.quarantine:
        place = f"{dataset}/quarantine"
        yield f"what could not be converted is in {place}, each with its reason in a .jsonl file"
        for reason, options in _MENDED_BY.items():
            if reason in conversion.quarantine:
                yield (
                    f"{reason}: mended by converting {place} into the same dataset with {options}"
                )


def passed_over_remarks(passed_over: Sequence[PassedOver]) -> Iterator[str]:
    """Yield one line a reason, with the first files' names."""
    names: dict[str, list[str]] = {}
    for file in passed_over:
        names.setdefault(file.reason, []).append(file.url.rpartition("/")[2])
    for reason, found in sorted(names.items()):
        yield f"passed over: {_first_names(found)}: {reason}"


def _width_lines(conversion: Conversion) -> Iterator[str]:
    if conversion.widths:
        (own, taken), *others = conversion.widths
        left = ", ".join(f"{format_count(n, 'record')} of {dims}" for dims, n in others)
        options = " or ".join(f"--dims {dims}" for dims, _ in others)
        yield (
            f"widths: {format_count(taken, 'record')} with embeddings of {own} floats, and in "
            f"quarantine {left}; {options} takes these, into a dataset of their own"
        )


def _selection_lines(conversion: Conversion) -> Iterator[str]:
    if conversion.left_out:
        left_out = format_count(conversion.left_out, "window")
        yield f"left out: {left_out} of other sites, dates or channels"
    if conversion.missing_sites:
        yield f"not found: no recording is of --site {', '.join(conversion.missing_sites)}"


def _duplicate_lines(conversion: Conversion) -> Iterator[str]:
    for urls in conversion.copies[:_MAX_NAMES]:
        yield f"copies: {_first_names(urls)} hold the same records"
    if (further := len(conversion.copies) - _MAX_NAMES) > 0:
        yield f"copies: and {further:,} more such groups of shards"
    counts = conversion.duplicates
    if counts.identical:
        done = "dropped" if conversion.dropped_duplicates else "kept; --drop-duplicates drops them"
        windows = format_count(counts.identical, "window")
        yield f"duplicates: {windows} equal to others of the same recording and time: {done}"
    if counts.different:
        windows = format_count(counts.different, "window")
        yield f"duplicates: {windows} of the same recording and time as others differ: all kept"
    if counts.names:
        yield f"duplicates: such as {', '.join(counts.names[:_MAX_NAMES])}"


def _first_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    return f"{', '.join(names[:_MAX_NAMES])}{more}"
