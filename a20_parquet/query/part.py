"""The part of a dataset that a search reads: sites, dates, hours of the day, a condition in SQL."""

import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import reduce
from typing import Final, Self

import polars as pl

from a20_parquet.checks import check_unicode
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.where import parse_where
from a20_parquet.errors import UsageError
from a20_parquet.windows.selection import Selection, site_values

_MAX_NAMED = 5
_HOURS: Final = re.compile(r"(\d{1,2})(?::(\d\d))?-(\d{1,2})(?::(\d\d))?")
_DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class DayHours:
    """A part of the local day; it may pass midnight."""

    first: int
    """Minutes since midnight at which it begins."""
    end: int
    """Minutes since midnight before which it ends; 1440 is midnight."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``4-7``, ``22-4`` or ``04:30-06:15``.

        Raises:
            ValueError: the text has another form; says what was expected.
        """
        found = _HOURS.fullmatch(text.strip())
        if found is None:
            raise ValueError("expected hours of the local day, such as 4-7 or 04:30-06:15")
        hour, minute, end_hour, end_minute = (int(each or 0) for each in found.groups())
        first, end = 60 * hour + minute, 60 * end_hour + end_minute
        if max(minute, end_minute) > 59 or not first < _DAY_MINUTES >= end:  # noqa: PLR2004
            raise ValueError("expected times from 0:00 to 24:00")
        if first == end:
            raise ValueError("expected two different times")
        return cls(first, end)

    @property
    def predicate(self) -> pl.Expr:
        """The filter on windows, by their starts."""
        start = pl.col("window_start_local").dt.time()
        begun = start >= _time(self.first)
        if self.end == _DAY_MINUTES:
            return begun
        ended = start >= _time(self.end)
        return begun & ~ended if self.first < self.end else begun | ~ended


def _time(minutes: int) -> time:
    return time(*divmod(minutes, 60))


@dataclass(frozen=True, slots=True)
class DatasetPart:
    """Windows of a dataset that a search reads."""

    catalog: Catalog
    selection: Selection
    """Sites and dates."""
    hours: DayHours | None
    where: pl.Expr | None
    """A further filter on windows."""

    @classmethod
    def of(  # noqa: PLR0913 - the options of the commands
        cls,
        catalog: Catalog,
        *,
        sites: str | int | Sequence[str | int] = (),
        from_date: date | str | None = None,
        until_date: date | str | None = None,
        hours: str | None = None,
        where: str | None = None,
    ) -> Self:
        """Create it from user input.

        Raises:
            UsageError: the dataset has no such site, or a date, hours or the condition are invalid.
        """
        try:
            of_day = None if hours is None else DayHours.parse(hours)
        except ValueError as error:
            raise UsageError(f"--hours {hours}: {error}.") from error
        return cls(
            catalog,
            Selection.of(_known_sites(catalog, sites), from_date, until_date),
            of_day,
            None if where is None else parse_where(where, catalog.schema),
        )

    @property
    def predicate(self) -> pl.Expr | None:
        """The filter on windows; None for the whole dataset."""
        tests = []
        if self.selection.sites:
            tests.append(pl.col("site").is_in(self.selection.sites))
        keys = self.catalog.partition_by.keys
        day = pl.col("date" if "date" in keys else "window_start_local")
        if self.selection.first is not None:
            tests.append(day >= self.selection.first)
        if self.selection.last is not None:
            tests.append(day <= datetime.combine(self.selection.last, time.max))
        if self.hours is not None:
            tests.append(self.hours.predicate)
        if self.where is not None:
            tests.append(self.where)
        return reduce(operator.and_, tests) if tests else None

    def why_none(self) -> str:
        """Explain why it has no window."""
        files = self.catalog.files
        selection = self.selection
        if selection.sites:
            files = files.filter(pl.col("site").is_in(selection.sites))
        searched = files["site"].unique().sort()
        more = ", …" * (len(searched) > _MAX_NAMED)
        whose = f" of {', '.join(searched[:_MAX_NAMED])}{more}" if selection.sites else ""
        location = self.catalog.location
        if not files["rows"].sum():
            return f"{location} has no window{whose}."
        if self.where is not None or self.hours is not None:
            which = [f"--{name}" for name in ("hours", "where") if getattr(self, name) is not None]
            return f"{location} has no window{whose} that passes {' and '.join(which)}."
        first, last = files["first_window_start"].min(), files["last_window_start"].max()
        if not isinstance(first, datetime) or not isinstance(last, datetime):
            return f"the windows{whose} in {location} have no date. Omit --from and --until."
        days = " ".join(
            f"{word} {day}"
            for word, day in (("from", selection.first), ("until", selection.last))
            if day is not None
        )
        return (
            f"{location} has no window{whose} {days}. Its windows start from "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC."
        )


def _known_sites(catalog: Catalog, sites: str | int | Sequence[str | int]) -> list[str]:
    """Return the dataset's values of the key ``site`` for names or numbers of sites.

    Raises:
        UsageError: the dataset does not have one of them.
    """
    check_unicode("--site", sites)
    known = catalog.files["site"].unique().sort()
    rule = catalog.head.options.site_tokens
    found = []
    for site in [sites] if isinstance(sites, str | int) else sites:
        values = [value for value in site_values(site, rule) if value in known]
        if not values:
            name = site_values(site, rule)[0] if str(site).isdecimal() else site
            more = ", …" if len(known) > _MAX_NAMED else ""
            raise UsageError(
                f"{catalog.location} has no site {name}. It has "
                f"{len(known)}: {', '.join(known[:_MAX_NAMED])}{more}"
            )
        found += values
    return found
