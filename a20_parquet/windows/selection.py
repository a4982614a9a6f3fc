"""Which part of the windows is wanted: some sites, some days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.clock import Flags
from a20_parquet.windows.filenames.parse import Recordings
from a20_parquet.windows.filenames.site_token import DISTINCT_TOKENS, meant_tokens


@dataclass(frozen=True, slots=True)
class Selection:
    """A part of all windows; by default all.

    Raises:
        UsageError: the last day is before the first.
    """

    sites: tuple[str, ...] = ()
    """Values of the key ``site``; none for all sites."""
    first: date | None = None
    """Windows that start before this local date (UTC's where that is unknown) are not wanted."""
    last: date | None = None
    """Nor are those that start after this one."""

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
        """Make a selection from what users write.

        Args:
            sites: each as ``site_values`` takes it.
            first: a date, or ``YYYY-MM-DD``.
            last: likewise.
            site_tokens: the rule by which names become tokens, see ``name_tokens``.

        Raises:
            UsageError: a date can't be read, or the last one is before the first.
        """
        wanted = [sites] if isinstance(sites, str | int) else sites
        values = (value for site in wanted for value in site_values(site, site_tokens))
        return cls(tuple(dict.fromkeys(values)), _date(first), _date(last))

    @property
    def is_limited(self) -> bool:
        """Whether any window is left out."""
        return bool(self.sites) or self.limits_dates

    @property
    def limits_dates(self) -> bool:
        """Whether windows without a date are left out."""
        return self.first is not None or self.last is not None

    def takes_site(self, site: str) -> bool:
        """Whether windows of a site may be wanted."""
        return not self.sites or site in self.sites

    def may_take(self, recordings: Recordings) -> Flags:
        """For each recording, whether a window of it may be wanted.

        Where it is false, none is: the recording is of another site or unknown one, or has no date.
        """
        may = self._of_sites(recordings.site)
        if self.limits_dates:
            may &= _flags(recordings.file_timestamp.is_valid())
        return may

    def takes(self, site: Any, window_start_local: Any) -> Flags:
        """For each window, whether it is wanted.

        Args:
            site: string array, values of the key ``site``.
            window_start_local: timestamp[us] array; null where unknown.
        """
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
        return _flags(pc.is_in(site, pa.array(self.sites, pa.string())))


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
        raise UsageError(f"{day!r} is no date, expected YYYY-MM-DD.") from error
    return given.date() if isinstance(given, datetime) else given


def _flags(values: Any) -> Flags:
    flags: Flags = values.to_numpy(zero_copy_only=False)
    return flags
