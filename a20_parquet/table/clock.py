"""Dates, times of day, offsets and time zones, as arrays of numbers."""

from datetime import timedelta
from typing import Any

# ruff: noqa: PLR2004 - the calendar's and the clock's own numbers
import numpy as np
import numpy.typing as npt
import polars as pl

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_US = 1_000_000


def days_of(yyyymmdd: Integers) -> tuple[Integers, Flags]:
    """Days since 1970-01-01 of dates written as numbers, and which of them exist."""
    year, month, day = yyyymmdd // 10_000, yyyymmdd // 100 % 100, yyyymmdd % 100
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = months.astype("datetime64[D]") + (day - 1)
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (date.astype("datetime64[M]") == months)
    # NumPy has a year 0, calendars and most readers have none.
    return date.astype(np.int64), exists & (year >= 1)


def seconds_of(hhmmss: Integers) -> tuple[Integers, Flags]:
    """Seconds since midnight of times written as numbers, and which of them exist."""
    hour, minute, second = hhmmss // 10_000, hhmmss // 100 % 100, hhmmss % 100
    return hour * 3600 + minute * 60 + second, (hour < 24) & (minute < 60) & (second < 60)


def minutes_of(hhmm: Integers) -> tuple[Integers, Flags]:
    """Minutes of UTC offsets written as signed numbers, and which of them exist."""
    size = np.abs(hhmm)
    return np.sign(hhmm) * (size // 100 * 60 + size % 100), (size < 24_00) & (size % 100 < 60)


def is_time_zone(name: str) -> bool:
    """Whether it is the name of a time zone in the IANA database, such as ``Australia/Sydney``."""
    # polars takes offsets and nothing at all for zones as well.
    if not name[:1].isalpha():
        return False
    try:
        pl.Series([0]).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(name)
    except pl.exceptions.ComputeError:
        return False
    return True


def offsets_at(start_s: Integers, zones: Any, *, is_local: Flags) -> Integers:
    """UTC offsets in time zones.

    Args:
        start_s: seconds since 1970-01-01, in UTC, or on the zone's clock where ``is_local``.
        zones: Arrow string array without nulls, of names for which ``is_time_zone``.
        is_local: which of the times are local. One that a clock shows twice is the earlier one; one
            that it skips has the offset from before the change, as in ``datetime`` with ``fold=0``.

    Returns:
        Minutes, rounded down, in the shape of ``start_s``.
    """
    minutes = np.zeros(len(start_s), np.int64)
    names = np.array(zones.to_pylist(), object)
    for zone in sorted(set(names.tolist())):
        for local, find in ((False, _offsets_of_instants), (True, _offsets_of_local_times)):
            chosen = (names == zone) & (is_local == local)
            if chosen.any():
                minutes[chosen] = find(start_s[chosen] * _US, zone)
    return minutes


def _offsets_of_instants(start_us: Integers, zone: str) -> Integers:
    instants = pl.Series(start_us).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(zone)
    return _minutes(instants)


def _offsets_of_local_times(start_us: Integers, zone: str) -> Integers:
    local = pl.Series(start_us).cast(pl.Datetime("us"))
    instants = _instants(local, zone)
    # No clock skips more than a day: what it showed a day before has the offset before the change.
    before = _instants(local - timedelta(days=1), zone)
    return _minutes(instants.zip_with(instants.is_not_null(), before))


def _instants(local: pl.Series, zone: str) -> pl.Series:
    return local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")


def _minutes(instants: pl.Series) -> Integers:
    offsets = instants.dt.base_utc_offset() + instants.dt.dst_offset()
    return (offsets.dt.total_seconds() // 60).to_numpy()
