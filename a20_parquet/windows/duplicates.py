"""Duplicate windows: the same recording, offset and channel."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

WindowName: TypeAlias = tuple[str, float, int]
"""``filename``, ``recording_offset_in_file`` in seconds, ``channel``."""

MOST_NAMES = 10
"""Duplicates that are named; all are counted."""

_KEY = ("filename", "recording_offset_in_file", "channel")


@dataclass(frozen=True, slots=True)
class Repeats:
    """Windows that repeat an earlier one."""

    count: int = 0
    names: tuple[WindowName, ...] = ()
    """The first ``MOST_NAMES`` of them in sort order, each once."""

    def plus(self, keyed: Any, row: int) -> Self:
        """Add the window in one row of a batch of ``keyed_schema()``."""
        names = self.names
        if len(names) < MOST_NAMES:
            names = tuple(dict.fromkeys((*names, window_name(keyed, row))))
        return type(self)(self.count + 1, names)

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """Add up the repeats of consecutive parts of the windows."""
        found = list(parts)
        names = [name for part in found for name in part.names]
        return cls(sum(part.count for part in found), tuple(names[:MOST_NAMES]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """Duplicates among the windows of runs and of the dataset that they are appended to.

    Of several windows with one name the first in sort order is the earliest; windows of the dataset
    precede all others and are not counted.
    """

    identical: Repeats
    """Windows with the embedding and further features of an earlier one, bit for bit."""
    different: Repeats
    """Windows that differ from all earlier ones of their name."""
    dropped: tuple[npt.NDArray[np.int64], ...]
    """For each run the rows of identical windows, ascending."""


def repeats_previous(keyed: Any) -> npt.NDArray[np.bool_]:
    """Whether each row of a sorted batch of ``keyed_schema()`` names the previous row's window."""
    same = np.zeros(len(keyed), np.bool_)
    if len(keyed) > 1:
        same[1:] = True
        for name in reversed(_KEY):  # strings take longest
            if not same.any():
                break
            values = keyed.column(name)
            same[1:] &= pc.equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    return same


def window_name(keyed: Any, row: int) -> WindowName:
    """Return the name of the window in one row of a batch of ``keyed_schema()``."""
    filename, offset_s, channel = (keyed.column(name)[row].as_py() for name in _KEY)
    return filename, offset_s, channel


def written_name(name: WindowName) -> str:
    """Format a window's name for ``similar --to``, with the channel unless it is 0."""
    filename, offset_s, channel = name
    return f"{filename}@{offset_s:.15g}{f' channel {channel}' if channel else ''}"


class RepeatCounter:
    """Counts duplicates among windows in sort order.

    Attributes:
        identical: windows identical to an earlier one.
        different: windows that differ from all earlier ones of their name.
    """

    def __init__(self) -> None:
        self.identical = Repeats()
        self.different = Repeats()
        self._seen: set[bytes] = set()

    def add(
        self, keyed: Any, row: int, digest: bytes, *, is_first: bool, is_existing: bool
    ) -> bool:
        """Compare a window with the earlier ones of its name.

        Args:
            keyed: a record batch of ``keyed_schema()``.
            row: the window's row there.
            digest: of its content, see ``content_digests``.
            is_first: whether its name differs from the previous window's.
            is_existing: whether the dataset contains it already; then it is not counted.

        Returns:
            Whether it is identical to an earlier one and can be dropped.
        """
        if is_first:
            self._seen = set()
        is_identical = digest in self._seen and not is_existing
        if is_identical:
            self.identical = self.identical.plus(keyed, row)
        elif self._seen and not is_existing:
            self.different = self.different.plus(keyed, row)
        self._seen.add(digest)
        return is_identical
