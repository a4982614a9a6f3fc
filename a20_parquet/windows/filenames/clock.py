"""Dates, times of day and offsets, as arrays of numbers."""

# ruff: noqa: PLR2004 - the calendar's and the clock's own numbers
from typing import Final

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UTC: Final = "UTC"
LOCAL: Final = "local"
"""Values of a sites table's ``clock``: the recorder's clock shows UTC, or the time of its zone."""


def days_of(yyyymmdd: Integers) -> tuple[Integers, Flags]:
    """Days since 1970-01-01 of dates written as numbers, and whether they exist."""
    year, month, day = yyyymmdd // 10_000, yyyymmdd // 100 % 100, yyyymmdd % 100
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    date = months.astype("datetime64[D]") + (day - 1)
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (date.astype("datetime64[M]") == months)
    # NumPy has a year 0, calendars and most readers have none.
    return date.astype(np.int64), exists & (year >= 1)


def seconds_of(hhmmss: Integers) -> tuple[Integers, Flags]:
    """Seconds since midnight of times written as numbers, and whether they exist."""
    hour, minute, second = hhmmss // 10_000, hhmmss // 100 % 100, hhmmss % 100
    return hour * 3600 + minute * 60 + second, (hour < 24) & (minute < 60) & (second < 60)


def minutes_of(hhmm: Integers) -> tuple[Integers, Flags]:
    """Minutes of UTC offsets written as signed numbers, and whether they exist."""
    size = np.abs(hhmm)
    return np.sign(hhmm) * (size // 100 * 60 + size % 100), (size < 24_00) & (size % 100 < 60)
