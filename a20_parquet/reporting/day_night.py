"""Writes the day-night chart: hours recorded by local hour, and by day or calendar month."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from a20_parquet.reporting.coverage import HOURS, Coverage
from a20_parquet.reporting.heat_map import format_minutes, step
from a20_parquet.reporting.html_parts import NONE, colour_scale, format_hours, iso_day

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LABELLED_HOURS = 3
_MOST_DAYS = 31
_HOUR_MINUTES = 60


def is_by_day(coverage: Coverage) -> bool:
    """Whether the chart has a row per day: a few days would leave most months empty."""
    return len(coverage.days) <= _MOST_DAYS


def day_night_rows(coverage: Coverage) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Sum up windows by day or calendar month.

    Returns:
        Labels of the rows, and windows by row and local hour, shape (rows, 24).
    """
    if is_by_day(coverage):
        return _short_days(coverage.days.tolist()), coverage.by_hour
    months = coverage.days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    counts = np.zeros((12, HOURS), np.int64)
    np.add.at(counts, months, coverage.by_hour)
    return list(_MONTHS), counts


def day_night_table(coverage: Coverage, minutes_a_window: float) -> str:
    """Write a table of hours recorded with a column per local hour, and sums."""
    labels, counts = day_night_rows(coverage)
    most = int(counts.max(initial=0))
    head = "".join(
        f'<th scope="col"><span class="hour{" shown" * (hour % _LABELLED_HOURS == 0)}">'
        f"{hour:02d}</span></th>"
        for hour in range(HOURS)
    )
    rows = [
        f'<tr><th scope="row">{label}</th>'
        + "".join(
            _cell(label, hour, count, most, minutes_a_window) for hour, count in enumerate(by_hour)
        )
        + f'<td class="sum">{_hours(sum(by_hour), minutes_a_window)}</td></tr>'
        for label, by_hour in zip(labels, counts.tolist(), strict=True)
    ]
    return (
        "<caption>Hours of audio by local hour of the day</caption>"
        f'<thead><tr><td></td>{head}<th scope="col" class="sum">hours</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody>"
    )


def day_night_legend(coverage: Coverage, minutes_a_window: float) -> str:
    """Write the legend of ``day_night_table``."""
    most = int(day_night_rows(coverage)[1].max(initial=0))
    end = f"{_amount(most, minutes_a_window)} of audio"
    return f'<span class="key"><i class="none"></i>none</span>{colour_scale("0", end)}'


def _short_days(days: Sequence[int]) -> list[str]:
    """Format days since 1970, with the year if they are of several years."""
    parts = [iso_day(day).rsplit("-", 2) for day in days]
    is_one_year = len({year for year, _, _ in parts}) == 1
    return [
        f"{int(day)} {_MONTHS[int(month) - 1]}{'' if is_one_year else f' {year}'}"
        for year, month, day in parts
    ]


def _cell(label: str, hour: int, count: int, most: int, minutes_a_window: float) -> str:
    colour = f"c{step(count, most)}" if count else "none"
    amount = _amount(count, minutes_a_window) if count else "nothing"
    return (
        f'<td class="{colour}" data-tip="{label}, {hour:02d}:00 to {hour:02d}:59&#10;{amount} '
        f'recorded"><span>{_hours(count, minutes_a_window)}</span></td>'
    )


def _amount(count: int, minutes_a_window: float) -> str:
    minutes = count * minutes_a_window
    return format_minutes(minutes) if minutes < _HOUR_MINUTES else f"{format_hours(minutes / 60)} h"


def _hours(count: int, minutes_a_window: float) -> str:
    return format_hours(count * minutes_a_window / 60) if count else NONE
