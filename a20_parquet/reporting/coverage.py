"""Counts windows by site and local day, and by local day and hour."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

TIME_COLUMNS = ("utc_offset_minutes", "window_start_local", "channel")
"""Columns that ``Tally.of`` needs."""

HOURS = 24
_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Tally:
    """Windows counted by site and local day; tallies add up in any order."""

    cells: pl.DataFrame
    """``site`` (its number), ``day`` (since 1970-01-01; null if the windows have no date) and
    ``windows``: a row for each site and day with windows, all Int64."""
    hours: pl.DataFrame
    """``day``, ``hour`` (local, 0 to 23) and ``windows``, all Int64: dated windows."""
    local_unknown: int
    """Dated windows whose local time is unknown; they are counted by UTC day and hour."""
    channels: int
    """One more than the largest channel; 0 if there are no windows."""

    @classmethod
    def of(cls, sites: npt.NDArray[np.int64], windows: pl.DataFrame) -> Self:
        """Count windows.

        Args:
            sites: number of each window's site, from 0.
            windows: a frame with ``TIME_COLUMNS``.
        """
        start_us = windows["window_start_local"].cast(pl.Int64)
        cells = pl.DataFrame({"site": sites.astype(np.int64), "day": start_us // _DAY_US})
        hours = pl.DataFrame({"day": start_us // _DAY_US, "hour": start_us // _HOUR_US % HOURS})
        has_offset = windows["utc_offset_minutes"].is_not_null()
        return cls(
            cells=cells.group_by("site", "day").agg(windows=pl.len().cast(pl.Int64)),
            hours=hours.drop_nulls().group_by("day", "hour").agg(windows=pl.len().cast(pl.Int64)),
            local_unknown=int((start_us.is_not_null() & ~has_offset).sum()),
            channels=int(windows["channel"].to_numpy().max(initial=-1)) + 1,
        )

    @classmethod
    def sum(cls, tallies: Iterable[Self]) -> Self:
        """Add up tallies."""
        parts = list(tallies)
        return cls(
            cells=_sum((part.cells for part in parts), "site", "day"),
            hours=_sum((part.hours for part in parts), "day", "hour"),
            local_unknown=sum(part.local_unknown for part in parts),
            channels=max((part.channels for part in parts), default=0),
        )


def _sum(counts: Iterable[pl.DataFrame], *keys: str) -> pl.DataFrame:
    none = pl.DataFrame(schema=dict.fromkeys((*keys, "windows"), pl.Int64))
    return pl.concat([none, *counts]).group_by(keys).agg(pl.col("windows").sum())


@dataclass(frozen=True, slots=True)
class SiteCoverage:
    """Windows and days of one site."""

    site: str
    windows: int
    """All windows, including those without a date."""
    undated: int
    """Windows without a date."""
    days: int
    """Number of days with at least one window."""
    first_day: int | None
    """First day with windows, in days since 1970-01-01; None if no window has a date."""
    last_day: int | None
    """Last day with windows, in days since 1970-01-01; None if no window has a date."""
    longest_gap: int
    """Largest number of consecutive days without windows between two days with windows."""

    @property
    def span(self) -> int:
        """Days from the first to the last with windows; 0 if no window has a date."""
        if self.first_day is None or self.last_day is None:
            return 0
        return self.last_day - self.first_day + 1

    @property
    def share(self) -> float | None:
        """Fraction of days with windows from first to last day; None if no window has a date."""
        return self.days / self.span if self.span else None


@dataclass(frozen=True, slots=True)
class Coverage:
    """Windows by site and local day, and by local day and hour.

    Days on which no site has windows are not stored: a recorder whose clock is at 1970 would add
    fifty years of zeros.
    """

    sites: tuple[str, ...]
    days: npt.NDArray[np.int64]
    """Shape (days,), ascending: days since 1970-01-01 on which at least one site has windows."""
    windows: npt.NDArray[np.int64]
    """Shape (sites, days): number of windows."""
    undated: npt.NDArray[np.int64]
    """Shape (sites,): windows without a date."""
    by_hour: npt.NDArray[np.int64]
    """Shape (days, 24): windows of all sites by local hour."""
    local_unknown: int
    """Dated windows whose local time is unknown; they are counted by UTC day and hour."""
    channels: int
    """Audio channels, each with windows of its own of the same audio."""

    @classmethod
    def of(cls, sites: Sequence[str], tally: Tally) -> Self:
        """Turn a tally into a table of sites and days.

        Args:
            sites: the sites' names by their numbers in the tally.
            tally: of all windows.
        """
        dated = tally.cells.drop_nulls("day")
        days, column = np.unique(dated["day"].to_numpy(), return_inverse=True)
        windows = np.zeros((len(sites), len(days)), np.int64)
        windows[dated["site"].to_numpy(), column] = dated["windows"].to_numpy()
        by_hour = np.zeros((len(days), HOURS), np.int64)
        row = np.searchsorted(days, tally.hours["day"].to_numpy())
        by_hour[row, tally.hours["hour"].to_numpy()] = tally.hours["windows"].to_numpy()
        without = tally.cells.filter(pl.col("day").is_null())
        undated = np.zeros(len(sites), np.int64)
        undated[without["site"].to_numpy()] = without["windows"].to_numpy()
        return cls(
            sites=tuple(sites),
            days=days,
            windows=windows,
            undated=undated,
            by_hour=by_hour,
            local_unknown=tally.local_unknown,
            channels=tally.channels,
        )

    @property
    def gap_share(self) -> float:
        """Fraction without windows of all days between a site's first and last; 0 if none."""
        sites = self.by_site()
        span = sum(site.span for site in sites)
        return 1 - sum(site.days for site in sites) / span if span else 0.0

    @property
    def total(self) -> int:
        """Number of all windows."""
        return int(self.windows.sum() + self.undated.sum())

    def by_site(self) -> list[SiteCoverage]:
        """Sum up windows and days of each site."""
        found = []
        for name, windows, undated in zip(self.sites, self.windows, self.undated, strict=True):
            days = self.days[windows > 0]
            site = SiteCoverage(
                site=name,
                windows=int(windows.sum() + undated),
                undated=int(undated),
                days=len(days),
                first_day=int(days[0]) if len(days) else None,
                last_day=int(days[-1]) if len(days) else None,
                longest_gap=int(np.diff(days).max(initial=1)) - 1,
            )
            found.append(site)
        return found
