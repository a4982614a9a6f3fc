"""Finds which windows make records: rows of a dataset do not say from which record they are.

A record is a stretch of windows of one recording, each a hop after the one before it, with the same
channels, of up to a minute.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from a20_parquet.errors import UsageError
from a20_parquet.exporting.record_features import FeatureRows

Numbers = npt.NDArray[np.int64]

_RECORD_S: Final = 60.0
_LONGEST_TIMES: Final = 16
"""A record whose parts cannot start exactly becomes so many times as long before it is cut."""
_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRecord:
    """The windows of one record."""

    filename: str
    offset_s: float
    """Of its first window."""
    rows: Numbers
    """Numbers of its rows, shape ``(windows, channels)``."""
    recording: int
    """Number of its filename."""
    is_open: bool
    """Whether windows that are not read yet may belong to it, or to a record before it."""


@dataclass(frozen=True, slots=True)
class RecordLength:
    """How long records are."""

    hop_s: float
    """Seconds from one window's start to the next."""
    most_rows: int
    """Most rows of a record, windows times channels."""

    def cut(self, offsets_s: npt.NDArray[np.float64], channels: int) -> tuple[int, bool]:
        """Return how many of some consecutive windows the first record takes.

        Converting a record gives exactly the offsets of its windows: where float32 cannot hold the
        offset at which a full minute ends, the record ends before or after it.

        Args:
            offsets_s: of the windows, roughly a hop apart.
            channels: of each window.

        Returns:
            The count, and whether windows that follow cannot change it.
        """
        limit = max(1, self.most_rows // channels)
        most = min(math.ceil(_RECORD_S / self.hop_s - _TOLERANCE), limit)
        longest = min(_LONGEST_TIMES * most, limit)
        first_s = float(offsets_s[0])
        known = offsets_s[: longest + 1]
        is_exact = known == first_s + np.arange(len(known)) * self.hop_s
        count = len(known) if is_exact.all() else int(np.argmin(is_exact))
        if count < len(known):
            # Another record starts there.
            if count <= most:
                return count, True
        elif count < most or (count == most and not _restarts(first_s, self.hop_s, most, most)):
            return count, False
        cut = _best_cut(first_s, self.hop_s, most, longest)
        return min(cut, count), cut <= count or count < len(known)


@lru_cache(maxsize=1 << 12)
def _best_cut(first_s: float, hop_s: float, most: int, longest: int) -> int:
    """Return after how many windows to end a record that goes on after ``most``."""
    for count in chain(range(most, 0, -1), range(most + 1, longest)):
        if _restarts(first_s, hop_s, count, most):
            return count
    return longest


@lru_cache(maxsize=1 << 12)
def _restarts(first_s: float, hop_s: float, count: int, most: int) -> bool:
    """Whether a record that starts after ``count`` windows has exactly the same offsets."""
    offsets_s = first_s + np.arange(count, count + most + 1) * hop_s
    start_s = float(np.float32(offsets_s[0]))
    again_s = start_s + np.arange(most + 1) * hop_s
    return bool((offsets_s == again_s).all())


def find_records(
    windows: Any, features: Sequence[FeatureRows], length: RecordLength
) -> list[FoundRecord]:
    """Find the records of some windows, sorted by recording.

    Windows that are there several times become as many records, in their order.

    Args:
        windows: a record batch; all channels of each window are in it.
        features: the values of its further features.
        length: how long records are.

    Raises:
        UsageError: a window lacks a channel, or its channels differ in a feature that belongs to
            the whole window.
    """
    if not len(windows):
        return []
    names = windows.column("filename").dictionary_encode()
    recording = names.indices.to_numpy().astype(np.int64)
    offset_s = windows.column("recording_offset_in_file").to_numpy()
    channel = windows.column("channel").to_numpy().astype(np.int64)
    order, copy = _sort(recording, offset_s, channel)
    recording, offset_s, channel = recording[order], offset_s[order], channel[order]
    is_new = _differs(recording) | _differs(copy)
    starts = np.flatnonzero(is_new | _differs(offset_s))
    counts = np.diff(np.append(starts, len(order)))
    _check_channels(windows, features, order, channel, np.repeat(starts, counts))

    recording, offset_s = recording[starts], offset_s[starts]
    chain = np.cumsum(is_new, dtype=np.int64)[starts]
    before, after = _pairs(chain, offset_s, length.hop_s)
    follows = counts[before] == counts[after]
    for feature in features:
        rows = order[starts[after]], order[starts[before]]
        follows &= feature.continues(*rows, in_window=False)
    stretch = _stretches(len(starts), before[follows], after[follows])
    sequence = np.argsort(stretch, kind="stable")
    latest_s = np.full(len(names.dictionary), -np.inf)
    np.maximum.at(latest_s, recording, offset_s)
    found: list[FoundRecord] = []
    open_recording = -1
    for part in np.split(sequence, np.flatnonzero(np.diff(stretch[sequence])) + 1):
        left = part
        channels, number = int(counts[left[0]]), int(recording[left[0]])
        next_s = offset_s[left[-1]] + (1 - _TOLERANCE) * length.hop_s
        may_go_on = bool(latest_s[number] < next_s)
        while len(left):
            count, is_certain = length.cut(offset_s[left], channels)
            if may_go_on and count == len(left) and not is_certain:
                open_recording = number
            found.append(
                FoundRecord(
                    filename=names.dictionary[number].as_py(),
                    offset_s=float(offset_s[left[0]]),
                    rows=order[starts[left[:count], None] + np.arange(channels)],
                    recording=number,
                    # Copies of its windows must not come before it.
                    is_open=number == open_recording,
                )
            )
            left = left[count:]
    return found


def _pairs(
    chain: Numbers, offset_s: npt.NDArray[np.float64], hop_s: float
) -> tuple[Numbers, Numbers]:
    """Return the windows that another one follows a hop later, and these others.

    Args:
        chain: of each window, ascending; only windows of one chain follow each other.
        offset_s: of each window, ascending within a chain.
        hop_s: from one window's start to the next.
    """
    count = len(chain)
    wanted_s = offset_s + (1 - _TOLERANCE) * hop_s
    is_window = np.repeat((False, True), count)
    both = np.lexsort((is_window, np.append(wanted_s, offset_s), np.append(chain, chain)))
    # The number of windows before a wanted offset is the number of the first one behind it.
    behind = np.empty(2 * count, np.int64)
    behind[both] = np.cumsum(is_window[both])
    after = np.minimum(behind[:count], count - 1)
    fits = (chain[after] == chain) & (offset_s[after] > offset_s)
    fits &= offset_s[after] <= offset_s + (1 + _TOLERANCE) * hop_s
    before = np.flatnonzero(fits)
    return before, after[before]


def _stretches(count: int, before: Numbers, after: Numbers) -> Numbers:
    """Return for each of ``count`` windows the first one of those that follow each other."""
    first = np.arange(count)
    first[after] = before
    while not np.array_equal(further := first[first], first):
        first = further
    return first


def _sort(
    recording: Numbers, offset_s: npt.NDArray[np.float64], channel: Numbers
) -> tuple[Numbers, Numbers]:
    """Sort windows by recording, copy, offset and channel.

    Returns:
        The order, and for each sorted row how many equal windows are before it.
    """
    order = np.lexsort((channel, offset_s, recording))
    is_new = _differs(recording[order]) | _differs(offset_s[order]) | _differs(channel[order])
    starts = np.flatnonzero(is_new)
    copy = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    if copy.any():
        again = np.lexsort((channel[order], offset_s[order], copy, recording[order]))
        return order[again], copy[again]
    return order, copy


def _differs(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Whether each value differs from the one before it; the first one does."""
    return np.append(True, values[1:] != values[:-1])


def _check_channels(
    windows: Any,
    features: Sequence[FeatureRows],
    order: Numbers,
    channel: Numbers,
    window_start: Numbers,
) -> None:
    """Raise UsageError if a window's channels are not 0 and those that follow, or do not fit.

    Args:
        windows: the windows.
        features: their features.
        order: of their rows.
        channel: of each sorted row.
        window_start: where the window of each sorted row starts.
    """
    position = np.arange(len(order)) - window_start
    if (wrong := np.flatnonzero(channel != position)).size:
        raise UsageError(
            f"{_name(windows, int(order[wrong[0]]))} has channel {channel[wrong[0]]} without "
            f"channel {position[wrong[0]]}: a record holds channels from 0 on. Select all channels "
            "of each window, or export a dataset."
        )
    later = np.flatnonzero(position)
    for feature in features:
        fits = feature.continues(order[later], order[later - 1], in_window=True)
        if not fits.all():
            where = int(order[later[np.argmin(fits)]])
            raise UsageError(
                f"{_name(windows, where)}: its channels have different values of "
                f"{feature.feature.name}, of which a record has one. Leave the window out with "
                "--exclude, or export a dataset."
            )


def _name(windows: Any, row: int) -> str:
    filename = windows.column("filename")[row].as_py()
    return f"{filename}@{windows.column('recording_offset_in_file')[row].as_py():.15g}"
