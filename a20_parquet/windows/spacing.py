"""Checks whether a record's windows end where the next record of its recording begins.

Records of a recording are shuffled over all shards, so each unit of work draws a sample: the
recordings whose filenames have the smallest hashes, with their earliest records. The smallest of
all are among the smallest of each unit, so that the merged sample does not depend on the units.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Final
from zlib import crc32

import numpy as np

from a20_parquet.windows.records import RecordMetadata

_MOST_RECORDINGS: Final = 64
_MOST_RECORDS: Final = 32
_ANY_HASH: Final = (1 << 32) - 1
# Rounding of float32 times in a recording of one day.
_TOLERANCE_S: Final = 0.01
# Perch's windows have up to five seconds: the last may end so much before the record does.
_WINDOW_S: Final = 5.0
# If records are further apart, others are missing between them.
_LONGEST_HOP_S: Final = 15.0
_FEWEST_PAIRS: Final = 3

SpacingSample = tuple[tuple[str, tuple[tuple[float, int], ...]], ...]
"""Sampled recordings by filename, each with ``(timestamp_s, windows)`` of records, ascending."""

_Found = dict[bytes, set[tuple[float, int]]]


class SpacingSampler:
    """Draws a sample of records; for one thread."""

    def __init__(self) -> None:
        self._found: _Found = {}
        self._limit = _ANY_HASH

    def add(self, metadata: RecordMetadata) -> None:
        """Draw from a batch of records that ``RecordFilter`` has taken."""
        names = metadata.filenames
        hashes = np.fromiter(map(crc32, names), np.uint32, len(names))
        for index in np.flatnonzero(hashes <= self._limit).tolist():
            windows = metadata.shapes[index][0]
            if windows:
                records = self._found.setdefault(names[index], set())
                records.add((float(metadata.timestamps_s[index]), windows))
                if len(records) > 2 * _MOST_RECORDS:
                    self._found[names[index]] = set(sorted(records)[:_MOST_RECORDS])
        if len(self._found) > 2 * _MOST_RECORDINGS:
            self._found = _smallest(self._found)
            self._limit = max(map(crc32, self._found))

    def sample(self) -> SpacingSample:
        """Return the sample of all records so far."""
        return _finished(self._found)


def merge_samples(samples: Iterable[SpacingSample]) -> SpacingSample:
    """Merge the samples of different records."""
    found: _Found = {}
    for sample in samples:
        for name, records in sample:
            found.setdefault(name.encode(), set()).update(records)
    return _finished(found)


def judge_hop(sample: SpacingSample, hop_s: float) -> str | None:
    """Describe a hop, in seconds, that looks wrong, and one that would fit; None if it fits.

    It is too long if the last window of a record starts after the next record. It is too short if
    most records end too early by the same time: single gaps mean missing records.
    """
    pairs = [pair for _, records in sample for pair in _pairs(records)]
    overlaps = [
        (after_s, windows)
        for after_s, windows in pairs
        if (windows - 1) * hop_s > after_s - _TOLERANCE_S
    ]
    if overlaps:
        fitting_s, count = _commonest(overlaps)
        is_agreed = 2 * count > len(overlaps)
        fits = _fits(fitting_s) if is_agreed else "no single hop would fit all of them"
        return _remark(hop_s, len(overlaps), len(pairs), "reach into", fits)
    slack_s = max(hop_s, _WINDOW_S) + _TOLERANCE_S
    short = [
        (after_s, windows) for after_s, windows in pairs if after_s - windows * hop_s > slack_s
    ]
    if len(pairs) < _FEWEST_PAIRS or not short:
        return None
    fitting_s, count = _commonest(short)
    if 2 * count <= len(pairs) or fitting_s > _LONGEST_HOP_S:
        return None
    return _remark(hop_s, count, len(pairs), "fall short of", _fits(fitting_s))


def _smallest(found: Mapping[bytes, set[tuple[float, int]]]) -> _Found:
    names = sorted(found, key=lambda name: (crc32(name), name))[:_MOST_RECORDINGS]
    return {name: found[name] for name in names}


def _finished(found: _Found) -> SpacingSample:
    return tuple(
        (name.decode(), tuple(sorted(records)[:_MOST_RECORDS]))
        for name, records in _smallest(found).items()
    )


def _pairs(records: Iterable[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    """For each record except the last: seconds to the next one, and its windows.

    Of several records at one time, the one with the fewest windows counts.
    """
    distinct: list[tuple[float, int]] = []
    for timestamp_s, windows in sorted(records):
        if not distinct or timestamp_s - distinct[-1][0] > _TOLERANCE_S:
            distinct.append((timestamp_s, windows))
    for (timestamp_s, windows), (next_s, _) in pairwise(distinct):
        yield next_s - timestamp_s, windows


def _commonest(pairs: Iterable[tuple[float, int]]) -> tuple[float, int]:
    """The hop in seconds that fits most records, and their number."""
    counts = Counter(round(after_s / windows, 3) for after_s, windows in pairs)
    return min(counts.items(), key=lambda item: (-item[1], item[0]))


def _fits(hop_s: float) -> str:
    return f"{hop_s:g} s would fit (--window-seconds {hop_s:g})"


def _remark(hop_s: float, count: int, pairs: int, how: str, fits: str) -> str:
    which = f"{count:,} of {pairs:,} sampled records"
    if pairs == 1:
        which = "the only sampled record that another follows"
    return (
        f"the hop of {hop_s:g} s looks wrong: the windows of {which} {how} the next record of "
        f"their recording; {fits}"
    )
