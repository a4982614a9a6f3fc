"""What a user should know of a conversion besides its totals."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from a20_parquet.conversion.result import Conversion
from a20_parquet.errors import in_python
from a20_parquet.formatting import format_count
from a20_parquet.progress import NoProgress, Progress
from a20_parquet.shards.discover import PassedOver
from a20_parquet.windows.rejection import Reason

# The command line shows remarks itself, and switches this logger off.
_LOGGER: Final = logging.getLogger(__name__)
_MAX_NAMES = 3
_MENDED_BY = {
    Reason.BAD_FILENAME: "--unknown-site or --filename-pattern",
    Reason.NO_SAMPLE_RATE: "--sample-rate",
}


class Remarks:
    """Logs each remark of one conversion once, as a warning."""

    def __init__(self, progress: Progress) -> None:
        # Null progress would log it again.
        self._progress = None if type(progress) is NoProgress else progress
        self._logged: set[str] = set()

    def say(self, *lines: str) -> None:
        """Make remarks while it runs, to whoever watches it too."""
        if self._progress is not None:
            for line in lines:
                self._progress.say(line)
        self.log(lines)

    def log(self, lines: Iterable[str]) -> None:
        """Log those that were not logged before."""
        for line in lines:
            if line not in self._logged:
                self._logged.add(line)
                _LOGGER.warning("%s", in_python(line))


def conversion_remarks(conversion: Conversion, dataset: str) -> Iterator[str]:
    """What a user should know besides the totals.

    Args:
        conversion: that has finished.
        dataset: what to call its dataset.
    """
    yield from passed_over_remarks(conversion.passed_over)
    yield from map(str, conversion.assumptions)
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
    """One line a reason, with the first files' names."""
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
