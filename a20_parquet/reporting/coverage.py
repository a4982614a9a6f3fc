"""Counts windows by site and local day, and by calendar month and local hour."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

TIME_COLUMNS = ("utc_offset_minutes", "window_start_local", "channel")
"""Columns that ``Tally.of`` needs."""

MONTHS, HOURS = 12, 24
_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Tally:
    """Windows counted by site and local day; tallies add up in any order."""

    cells: pl.DataFrame
    """``site`` (its number), ``day`` (since 1970-01-01; null if the windows have no date) and
    ``windows``: a row for each site and day with windows, all Int64."""
    by_hour: npt.NDArray[np.int64]
    """Shape (12, 24): dated windows by calendar month and local hour."""
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
        day, day_us = np.divmod(start_us.drop_nulls().to_numpy(), _DAY_US)
        month = day.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % MONTHS
        hour = np.bincount(month * HOURS + day_us // _HOUR_US, minlength=MONTHS * HOURS)
        has_offset = windows["utc_offset_minutes"].is_not_null()
        return cls(
            cells=cells.group_by("site", "day").agg(windows=pl.len().cast(pl.Int64)),
            by_hour=hour.astype(np.int64).reshape(MONTHS, HOURS),
            local_unknown=int((start_us.is_not_null() & ~has_offset).sum()),
            channels=int(windows["channel"].to_numpy().max(initial=-1)) + 1,
        )

    @classmethod
    def sum(cls, tallies: Iterable[Self]) -> Self:
        """Add up tallies."""
        parts = list(tallies)
        none = pl.DataFrame(schema=dict.fromkeys(("site", "day", "windows"), pl.Int64))
        cells = pl.concat([none, *(part.cells for part in parts)])
        return cls(
            cells=cells.group_by("site", "day").agg(pl.col("windows").sum()),
            by_hour=sum((part.by_hour for part in parts), np.zeros((MONTHS, HOURS), np.int64)),
            local_unknown=sum(part.local_unknown for part in parts),
            channels=max((part.channels for part in parts), default=0),
        )


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
    def share(self) -> float | None:
        """Fraction of days with windows from first to last day; None if no window has a date."""
        if self.first_day is None or self.last_day is None:
            return None
        return self.days / (self.last_day - self.first_day + 1)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Windows by site and local day, and by calendar month and local hour.

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
    """Shape (12, 24): dated windows by calendar month, January first, and local hour."""
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
        without = tally.cells.filter(pl.col("day").is_null())
        undated = np.zeros(len(sites), np.int64)
        undated[without["site"].to_numpy()] = without["windows"].to_numpy()
        return cls(
            sites=tuple(sites),
            days=days,
            windows=windows,
            undated=undated,
            by_hour=tally.by_hour,
            local_unknown=tally.local_unknown,
            channels=tally.channels,
        )

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
