"""A list of windows, or of times in recordings, that a user names; and which windows it names."""

import enum
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from a20_parquet.windows.filenames.clock import Flags
from a20_parquet.windows.schema import MAX_CHANNELS

Numbers: TypeAlias = npt.NDArray[np.int64]
Seconds: TypeAlias = npt.NDArray[np.float64]

RECORD_S: Final = 60.0
"""Length of a record where only its start is known: Perch cuts recordings into minutes."""
_SAME_OFFSET_S: Final = 5e-4
_FLOAT32_STEP: Final = 2.0**-23


class ListForm(enum.StrEnum):
    """What a row of a list names, by the columns beside ``filename``."""

    RECORDS = "timestamp_s"
    """All windows of the record that begins there."""
    WINDOWS = "recording_offset_in_file"
    """The window that begins there, in the row's ``channel`` if the list has that column."""
    SPANS = "start_s and end_s"
    """All windows that overlap with the time between."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowList:
    """The rows of a list; all arrays have one item per row."""

    form: ListForm
    names: Any
    """Arrow string array of the filenames, each once."""
    name: Numbers
    """Index of each row's filename in ``names``."""
    start_s: Seconds
    """From the start of the recording."""
    end_s: Seconds
    """Equal to ``start_s`` except in spans."""
    channel: Numbers | None = None
    """Of each row; None if rows name all channels."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.name)


@dataclass(frozen=True, slots=True, eq=False)
class WindowTimes:
    """Recordings and times of windows, one item per window."""

    filename: Any
    """Arrow string array."""
    channel: Numbers
    offset_s: Seconds
    """Of the window, from the start of the recording."""
    record_s: Seconds | None = None
    """Of the record that it is from; None if that is not known."""


class WindowMatcher:
    """Finds the windows that a list names.

    Each row is an open interval of times, and a window is named if its time is in one: the start of
    its record, or its own.

    Attributes:
        rows: number of rows of the list.
    """

    def __init__(self, listed: WindowList, window_s: float, *, knows_records: bool) -> None:
        """Prepare to match.

        Args:
            listed: the list.
            window_s: length of a window.
            knows_records: whether ``WindowTimes.record_s`` is known. If not, a record is taken to
                last ``RECORD_S``.
        """
        self.rows = len(listed)
        self._names = listed.names
        self._has_channels = listed.channel is not None
        self._by_record = listed.form is ListForm.RECORDS and knows_records
        low, high = listed.start_s, listed.end_s
        if listed.form is ListForm.RECORDS and not knows_records:
            near_s = _tolerance(low)
            low, high = low - near_s, high + RECORD_S - near_s
        elif listed.form is ListForm.SPANS:
            low = low - window_s
        else:
            near_s = _tolerance(low)
            low, high = low - near_s, high + near_s
        key = self._keys(listed.name, listed.channel)
        self._order = np.lexsort((low, key))
        self._key, self._low, self._high = key[self._order], low[self._order], high[self._order]
        self._reach = _reach(self._key, self._high)

    def match(self, windows: WindowTimes) -> Flags:
        """Say for each window whether a row names it."""
        found = np.zeros(len(windows.filename), np.bool_)
        rows, keys, times = self._of_listed(windows)
        last = np.searchsorted(_points(self._key, self._low), _points(keys, times)) - 1
        is_same = (last >= 0) & (self._key[last] == keys)
        found[rows] = is_same & (self._reach[last] > times)
        return found

    def used(self, windows: WindowTimes) -> Flags:
        """Say for each row of the list whether it names one of the windows."""
        used = np.zeros(self.rows, np.bool_)
        _, keys, times = self._of_listed(windows)
        points = np.sort(_points(keys, times))
        among = np.flatnonzero(np.isin(self._key, np.unique(keys)))
        first = np.searchsorted(points, _points(self._key[among], self._low[among]), side="right")
        end = np.searchsorted(points, _points(self._key[among], self._high[among]))
        used[self._order[among]] = end > first
        return used

    def _of_listed(self, windows: WindowTimes) -> tuple[Numbers, Numbers, Seconds]:
        """Row numbers, keys and times of the windows whose recordings are in the list."""
        names = pc.index_in(windows.filename, self._names)
        rows = np.flatnonzero(names.is_valid().to_numpy(zero_copy_only=False))
        name = names.drop_null().to_numpy().astype(np.int64)
        times = windows.record_s if self._by_record else windows.offset_s
        if times is None:
            raise TypeError("record_s is missing")
        channel = windows.channel[rows] if self._has_channels else None
        return rows, self._keys(name, channel), times[rows]

    @staticmethod
    def _keys(name: Numbers, channel: Numbers | None) -> Numbers:
        return name if channel is None else name * MAX_CHANNELS + channel


def _tolerance(at_s: Seconds) -> Seconds:
    """Seconds by which a written time may differ from a window's: shards have float32 times."""
    return np.maximum(_SAME_OFFSET_S, _FLOAT32_STEP * np.abs(at_s))


def _points(key: Numbers, time_s: Seconds) -> npt.NDArray[np.complex128]:
    """Pairs that NumPy compares by key, then by time."""
    points = np.empty(len(key), np.complex128)
    points.real, points.imag = key, time_s
    return points


def _reach(key: Numbers, high: Seconds) -> Seconds:
    """For each interval the latest end of those of its key up to it, in order of their starts."""
    if not len(key):
        return high
    # Ranks by key and end: the largest so far is always one of the present key.
    order = np.lexsort((high, key))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    reach: Seconds = high[order[np.maximum.accumulate(rank)]]
    return reach


def window_list(
    form: ListForm,
    filename: Any,
    start_s: Seconds,
    end_s: Seconds | None = None,
    channel: Numbers | None = None,
) -> WindowList:
    """Make a list of columns; ``filename`` is an Arrow string array without nulls."""
    encoded = filename.dictionary_encode()
    return WindowList(
        form,
        encoded.dictionary,
        encoded.indices.to_numpy().astype(np.int64),
        start_s,
        start_s if end_s is None else end_s,
        channel,
    )


def marked_rows(used: Flags) -> str:
    """Write flags of a list's rows as a hexadecimal number, for commit markers; "" if none."""
    return np.packbits(used).tobytes().hex() if used.any() else ""


def merge_marked(one: str, other: str) -> str:
    """Merge the marks of the same rows."""
    if not one or not other:
        return one or other
    return f"{int(one, 16) | int(other, 16):0{len(one)}x}"


def count_marked(marked: str) -> int:
    """Count marked rows."""
    return int(marked, 16).bit_count() if marked else 0
