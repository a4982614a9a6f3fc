"""Tallies of windows, compared with counting them one by one."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.reporting.coverage import Coverage, SiteCoverage, Tally

EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
SITES = ("site_0001", "site_0002", "site_0003")

Window = tuple[int, int | None, int | None, int]
"""Site's number, local start in microseconds since 1970, offset in minutes, channel."""

_START_US = st.one_of(
    st.none(),
    st.integers(-(10**15), 4 * 10**15),
    st.integers(1_600_000_000 * 10**6, 1_600_500_000 * 10**6),
)
_WINDOWS = st.lists(
    st.tuples(
        st.integers(0, len(SITES) - 1),
        _START_US,
        st.one_of(st.none(), st.integers(-720, 840)),
        st.integers(0, 4),
    ),
    max_size=60,
)


def frame(windows: list[Window]) -> pl.DataFrame:
    """The windows as they lie in a data file."""
    return pl.DataFrame(
        {
            "utc_offset_minutes": pl.Series([each[2] for each in windows], dtype=pl.Int16),
            "window_start_local": pl.Series([each[1] for each in windows], dtype=pl.Int64).cast(
                pl.Datetime("us")
            ),
            "channel": pl.Series([each[3] for each in windows], dtype=pl.Int16),
        }
    )


def tally(windows: list[Window], rows: int) -> Tally:
    """Tally windows in batches of some rows."""
    batches = [windows[first : first + rows] for first in range(0, len(windows), rows)]
    return Tally.sum(
        Tally.of(np.array([each[0] for each in batch], np.int64), frame(batch)) for batch in batches
    )


@given(windows=_WINDOWS, rows=st.integers(1, 60))
def test_counts_are_those_of_each_window(windows: list[Window], rows: int) -> None:
    """Every count equals Python's own calendar, however the windows are cut into batches."""
    coverage = Coverage.of(SITES, tally(windows, rows))
    dated = [
        (each, EPOCH + timedelta(microseconds=each[1])) for each in windows if each[1] is not None
    ]
    by_day = Counter((each[0], (start - EPOCH).days) for each, start in dated)
    found = {
        (site, int(day)): int(coverage.windows[site, column])
        for site in range(len(SITES))
        for column, day in enumerate(coverage.days)
        if coverage.windows[site, column]
    }
    assert found == dict(by_day)
    assert list(coverage.days) == sorted({day for _, day in by_day})
    by_hour = Counter(((start - EPOCH).days, start.hour) for _, start in dated)
    assert {
        (int(coverage.days[row]), int(hour)): int(coverage.by_hour[row, hour])
        for row, hour in np.argwhere(coverage.by_hour)
    } == dict(by_hour)
    undated = Counter(each[0] for each in windows if each[1] is None)
    assert [int(count) for count in coverage.undated] == [
        undated[site] for site in range(len(SITES))
    ]
    assert coverage.local_unknown == sum(each[2] is None for each, _ in dated)
    assert coverage.channels == max((each[3] + 1 for each in windows), default=0)
    assert coverage.total == len(windows)


@given(windows=_WINDOWS)
def test_sites_are_summed_up(windows: list[Window]) -> None:
    """A site's days and longest gap follow from its own days alone."""
    for number, site in enumerate(Coverage.of(SITES, tally(windows, 60)).by_site()):
        own = [each[1] for each in windows if each[0] == number]
        days = sorted({start // 86_400_000_000 for start in own if start is not None})
        gaps = [after - before - 1 for before, after in pairwise(days)]
        assert site == SiteCoverage(
            site=SITES[number],
            windows=len(own),
            undated=own.count(None),
            days=len(days),
            first_day=days[0] if days else None,
            last_day=days[-1] if days else None,
            longest_gap=max(gaps, default=0),
        )
        assert site.share == (len(days) / (days[-1] - days[0] + 1) if days else None)


def test_far_dates_take_no_room() -> None:
    """A clock at 1970 or in the year 9999 costs one column, not thousands."""
    far: list[Window] = [(0, 0, 600, 0), (1, 253_370_764_800 * 10**6, 600, 0)]
    assert Coverage.of(SITES, tally(far, 60)).windows.shape == (3, 2)
