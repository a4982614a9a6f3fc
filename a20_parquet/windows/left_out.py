"""What lies outside of a selection, so that a user can be told what there is."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final, Self

import pyarrow.compute as pc

MOST_SITES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What was noticed of windows that were left out.

    Merging is associative and does not depend on the order.
    """

    sites: tuple[str, ...] = ()
    """Values of the key ``site``, sorted; the first ``MOST_SITES``."""
    has_more_sites: bool = False
    """Whether there are more."""
    first_day: date | None = None
    """Earliest local day of windows that are of a wanted site; None if none has a date."""
    last_day: date | None = None
    """Latest one."""
    undated: int = 0
    """Windows without a date where dates are wanted."""
    channels: int = 0
    """Channels of a record at most, where some channels are wanted; else 0."""

    @classmethod
    def of_days(cls, windows: Any) -> Self:
        """Notice windows of wanted sites that start on other days.

        Args:
            windows: a record batch with ``site`` and ``window_start_local``.
        """
        days = pc.min_max(windows.column("window_start_local")).as_py()
        return cls(
            sites=tuple(sorted(windows.column("site").unique().to_pylist())),
            first_day=days["min"] and days["min"].date(),
            last_day=days["max"] and days["max"].date(),
        ).bounded()

    @classmethod
    def merged(cls, several: Iterable[Self]) -> Self:
        """Merge what was noticed of different windows."""
        each = [one for one in several if one != cls()]
        if len(each) < 2:  # noqa: PLR2004 - nothing to merge
            return each[0] if each else cls()
        return cls(
            sites=tuple(sorted({site for one in each for site in one.sites})),
            has_more_sites=any(one.has_more_sites for one in each),
            first_day=min((one.first_day for one in each if one.first_day), default=None),
            last_day=max((one.last_day for one in each if one.last_day), default=None),
            undated=sum(one.undated for one in each),
            channels=max(one.channels for one in each),
        ).bounded()

    def bounded(self) -> Self:
        """Keep no more than ``MOST_SITES`` sites."""
        if len(self.sites) <= MOST_SITES:
            return self
        return replace(self, sites=self.sites[:MOST_SITES], has_more_sites=True)
