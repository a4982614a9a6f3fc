"""The result of a conversion, and remarks for the user besides its totals."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from a20_parquet.dataset.manifest import Totals
from a20_parquet.dataset.options import ListedFile
from a20_parquet.dataset.summaries import Assumption, DuplicateCounts, LeftOutCounts
from a20_parquet.errors import in_python
from a20_parquet.formatting import first_names, format_count
from a20_parquet.progress import NoProgress, Progress
from a20_parquet.shards.discover import PassedOver
from a20_parquet.windows.half import Rounding
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
    """Result of a conversion."""

    dataset: Path | str
    """Its folder, or its URL if it is in a store."""
    totals: Totals
    """Of the whole dataset."""
    new_shards: int = 0
    """Shards that were converted, without those in quarantine."""
    retried_shards: int = 0
    """Shards in quarantine that were tried again."""
    held_shards: int = 0
    """Shards of the sources that were already in the dataset."""
    other_options: tuple[str, ...] = ()
    """Options that differ from those that shards of the dataset were converted with before."""
    new_windows: int = 0
    """Windows that were written."""
    left_out: int = 0
    """Windows of the new shards outside the selection: other sites, dates or channels, and those
    of ``excluded``."""
    excluded: LeftOutCounts | None = None
    """What a list and a condition left out; None without both."""
    exclude: ListedFile | None = None
    """The list."""
    missing_sites: tuple[str, ...] = ()
    """Selected sites of which the new shards have no recording at all."""
    quarantine: dict[str, int]
    """Records and damaged ranges in quarantine by reason, the most frequent first."""
    duplicates: DuplicateCounts = field(default_factory=DuplicateCounts)
    """Duplicates among the new windows, and between them and those of the dataset."""
    dropped_duplicates: bool = False
    """Whether the identical ones were left out."""
    shape_disagreements: int = 0
    """Records whose ``embedding_shape`` differs from their tensor's shape."""
    other_features: tuple[str, ...] = ()
    """Names of features that are in the records but not in the dataset."""
    assumptions: tuple[Assumption, ...] = ()
    """Values that no input gives."""
    hop_remark: str | None = None
    """Why the hop looks wrong, and which one would fit."""
    rounding: Rounding | None = None
    """How the stored halves of the new windows differ from the shards' floats; None if files store
    float32."""
    widths: tuple[tuple[int, int], ...] = ()
    """Pairs ``(floats of an embedding, number of records)``, the dataset's first; empty if all
    embeddings have the same width."""
    copies: tuple[tuple[str, ...], ...] = ()
    """URLs of each group of shards with the same records, at least one of which is new."""
    is_resumed: bool = False
    """Whether it resumed an unfinished conversion."""
    source_bytes: int = 0
    """Stored size of all new shards."""
    retries: int = 0
    """Requests to stores that failed temporarily and were repeated."""
    seconds: float = 0.0
    """Wall time."""
    runs_on_disk: int = 0
    """Runs on scratch disk; 0 if all windows fitted into the memory budget."""
    passed_over: tuple[PassedOver, ...] = ()
    """Files of the sources that are not shards."""
    warnings: tuple[str, ...] = ()
    """Lines about shards that seem to be missing, options that contradict Perch's ``config.json``,
    and unused columns of the sites table."""
    hint: str | None = None
    """Advice on the Hive keys."""
    npy_json: Path | None = None
    """Folder of the notebook's files, or None."""


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
    """Yield what a user should know besides the totals, a line each, with this dataset's name."""
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
    if conversion.rounding is not None:
        yield f"float16: {conversion.rounding}"
    if conversion.shape_disagreements:
        records = format_count(conversion.shape_disagreements, "record")
        yield f"{records} with an embedding_shape that is not the tensor's: the tensor's counts"
    if conversion.retries:
        yield f"{format_count(conversion.retries, 'request')} to stores repeated after a failure"
    yield from _duplicate_lines(conversion)
    if conversion.hint:
        yield f"hint: {conversion.hint}"
    if conversion.quarantine:
        folder = f"{dataset}/quarantine"
        yield f"what could not be converted is in {folder}, each with its reason in a .jsonl file"
        for reason, options in _MENDED_BY.items():
            if reason in conversion.quarantine:
                yield (
                    f"{reason}: mended by converting {folder} into the same dataset with {options}"
                )


def passed_over_remarks(passed_over: Sequence[PassedOver]) -> Iterator[str]:
    """Yield one line a reason, with the first files' names."""
    names: dict[str, list[str]] = {}
    for file in passed_over:
        names.setdefault(file.reason, []).append(file.url.rpartition("/")[2])
    for reason, found in sorted(names.items()):
        yield f"passed over: {first_names(found, _MAX_NAMES)}: {reason}"


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
    excluded = conversion.excluded or LeftOutCounts()
    if others := conversion.left_out - excluded.listed - excluded.where:
        yield f"left out: {format_count(others, 'window')} of other sites, dates or channels"
    if conversion.exclude is not None:
        listed, name = format_count(excluded.listed, "window"), conversion.exclude.name
        yield f"left out: {listed} that {name} names"
        if excluded.unused_rows:
            rows = format_count(conversion.exclude.rows, "row")
            yield f"{name}: {excluded.unused_rows:,} of {rows} named no window that was read"
    if excluded.where:
        yield f"left out: {format_count(excluded.where, 'window')} for which --where is not true"
    if conversion.missing_sites:
        yield f"not found: no recording is of --site {', '.join(conversion.missing_sites)}"


def _duplicate_lines(conversion: Conversion) -> Iterator[str]:
    for urls in conversion.copies[:_MAX_NAMES]:
        yield f"copies: {first_names(urls, _MAX_NAMES)} hold the same records"
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
