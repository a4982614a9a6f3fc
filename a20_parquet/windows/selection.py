"""Selects windows by site and day, and describes those left out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import reduce
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.clock import Flags
from a20_parquet.windows.filenames.parse import Recordings
from a20_parquet.windows.filenames.patterns import flags
from a20_parquet.windows.filenames.site_token import DISTINCT_TOKENS, meant_tokens
from a20_parquet.windows.window_list import merge_marked

MOST_SITES: Final = 1000


@dataclass(frozen=True, slots=True)
class Selection:
    """A selection of windows; by default all.

    Raises:
        UsageError: the last day is before the first.
    """

    sites: tuple[str, ...] = ()
    """Values of the key ``site``; empty for all sites."""
    first: date | None = None
    """First local day on which windows start (UTC's if that is unknown)."""
    last: date | None = None
    """Last such day."""

    def __post_init__(self) -> None:
        """Check the order of the dates."""
        if self.first is not None and self.last is not None and self.last < self.first:
            raise UsageError(
                f"the dates go from {self.first} until {self.last}, expected the earlier one first."
            )

    @classmethod
    def of(
        cls,
        sites: str | int | Sequence[str | int] = (),
        first: date | str | None = None,
        last: date | str | None = None,
        *,
        site_tokens: int = DISTINCT_TOKENS,
    ) -> "Selection":
        """Create a selection from user input.

        Args:
            sites: each as ``site_values`` takes it.
            first: a date, or ``YYYY-MM-DD``.
            last: a date, or ``YYYY-MM-DD``.
            site_tokens: the rule by which names become tokens, see ``name_tokens``.

        Raises:
            UsageError: a date is invalid, or the last one is before the first.
        """
        wanted = [sites] if isinstance(sites, str | int) else sites
        values = (value for site in wanted for value in site_values(site, site_tokens))
        return cls(tuple(dict.fromkeys(values)), _date(first), _date(last))

    @property
    def is_limited(self) -> bool:
        """Whether it may exclude windows."""
        return bool(self.sites) or self.limits_dates

    @property
    def limits_dates(self) -> bool:
        """Whether it excludes windows without a date."""
        return self.first is not None or self.last is not None

    def takes_site(self, site: str) -> bool:
        """Whether windows of a site may be selected."""
        return not self.sites or site in self.sites

    def may_take(self, recordings: Recordings) -> Flags:
        """For each recording, whether any of its windows may be selected.

        It is false for recordings of other or unknown sites, and without a date.
        """
        may = self._of_sites(recordings.site)
        if self.limits_dates:
            may &= flags(recordings.file_timestamp.is_valid())
        return may

    def takes(self, site: Any, window_start_local: Any) -> Flags:
        """For each window, whether it is wanted; ``window_start_local`` may be null."""
        taken = self._of_sites(site)
        if self.limits_dates:
            days = window_start_local.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
            days = days.astype("datetime64[D]")
            taken &= ~np.isnat(days)
            if self.first is not None:
                taken &= days >= np.datetime64(self.first)
            if self.last is not None:
                taken &= days <= np.datetime64(self.last)
        return taken

    def _of_sites(self, site: Any) -> Flags:
        if not self.sites:
            return np.ones(len(site), np.bool_)
        return flags(pc.is_in(site, pa.array(self.sites, pa.string())))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """What windows outside of a selection are, for messages.

    Merging is associative and commutative.
    """

    sites: tuple[str, ...] = ()
    """The first ``MOST_SITES`` values of the key ``site``, sorted."""
    has_more_sites: bool = False
    first_day: date | None = None
    """Earliest local day of windows of a selected site; None if none has a date."""
    last_day: date | None = None
    undated: int = 0
    """Windows without a date, if dates are selected."""
    channels: int = 0
    """Most channels of a record, if channels are selected; else 0."""
    listed: int = 0
    """Windows of the selected sites and dates that a list names."""
    used_rows: str = ""
    """Rows of the list that name any window, see ``marked_rows``."""
    where: int = 0
    """Other windows of theirs for which a condition is not true."""

    @classmethod
    def of_days(cls, windows: Any) -> Self:
        """Describe a batch of windows of selected sites on other days."""
        days = pc.min_max(windows.column("window_start_local")).as_py()
        return cls(
            sites=tuple(sorted(windows.column("site").unique().to_pylist())),
            first_day=days["min"] and days["min"].date(),
            last_day=days["max"] and days["max"].date(),
        ).bounded()

    @classmethod
    def merged(cls, several: Iterable[Self]) -> Self:
        """Merge descriptions of different windows."""
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
            listed=sum(one.listed for one in each),
            used_rows=reduce(merge_marked, (one.used_rows for one in each)),
            where=sum(one.where for one in each),
        ).bounded()

    def bounded(self) -> Self:
        """Keep only the first ``MOST_SITES`` sites."""
        if len(self.sites) <= MOST_SITES:
            return self
        return replace(self, sites=self.sites[:MOST_SITES], has_more_sites=True)


def site_values(site: str | int, rule: int = DISTINCT_TOKENS) -> tuple[str, ...]:
    """Return the values of the key ``site`` that a user may mean.

    Args:
        site: a number (``285`` is ``site_0285``), a value of the key, or a recorder's name.
        rule: by which names become tokens, see ``name_tokens``.
    """
    text = str(site)
    return (f"site_{int(text):04d}",) if text.isdecimal() else meant_tokens(text, rule)


def _date(day: date | str | None) -> date | None:
    try:
        given = date.fromisoformat(day) if isinstance(day, str) else day
    except ValueError as error:
        raise UsageError(f"{day!r} is not a date, expected YYYY-MM-DD.") from error
    return given.date() if isinstance(given, datetime) else given
