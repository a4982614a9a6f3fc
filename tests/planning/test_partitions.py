"""Forecasts from samples: exact where all was drawn, and near the truth of simulated archives."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.planning.partitions import (
    DrawnWindows,
    FileSizes,
    estimate_distinct,
    estimate_spread,
    size_quantiles,
)
from a20_parquet.windows.partition import PartitionBy

DAY_S = 86_400
FIRST_DAY = 18_262  # 2020-01-01
NO_LIMIT = 10**9
_MOST_DRAWN = 100_000
SIZES = FileSizes(row=5_000, file=1_000, most_rows=100_000)


def drawn(
    sites: npt.NDArray[np.int64], days: npt.NDArray[np.int64], total: int, windows: int = 12
) -> DrawnWindows:
    """Records of these sites and days, each of so many windows."""
    names = pa.array([f"site_{number:04d}" for number in range(int(sites.max()) + 1)])
    record = np.repeat(np.arange(len(sites)), windows)
    return DrawnWindows(
        record=record,
        site=names.take(pa.array(sites[record])),
        start_local_s=(FIRST_DAY + days[record]) * DAY_S,
        dated=np.ones(len(record), np.bool_),
        total_records=total,
    )


def archive(
    sites: int, days: int, total: int, count: int, seed: int = 0
) -> tuple[DrawnWindows, npt.NDArray[np.int64]]:
    """An archive of records spread at random over sites by days: some of it, and all its keys."""
    every = np.random.default_rng(seed).integers(0, sites * days, min(total, _MOST_DRAWN))
    site, day = np.divmod(every[:count], days)
    return drawn(site, day, total), every


@given(st.lists(st.integers(1, 50), min_size=1, max_size=50))
def test_all_drawn_is_exact(times: list[int]) -> None:
    """Where every record was drawn nothing is estimated."""
    found = estimate_distinct(np.array(times), sum(times), sum(times), NO_LIMIT)
    assert (found.number, found.error) == (len(times), 0.0)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=50),
    st.integers(0, 10**9),
    st.integers(0, 10**4),
)
def test_never_less_than_seen_nor_more_than_possible(
    times: list[int], more: int, spare: int
) -> None:
    """Each record that was not drawn brings one kind at the most."""
    count = sum(times)
    found = estimate_distinct(np.array(times), count, count + more, len(times) + spare)
    assert len(times) <= found.number <= len(times) + min(spare, more)
    assert found.error >= 0


@pytest.mark.parametrize(
    ("kinds", "total", "count"),
    [(7_000, 48_600, 4_000), (20_000, 50_000, 4_000), (340, 50_000, 4_000)],
)
def test_estimates_are_as_near_as_they_say(kinds: int, total: int, count: int) -> None:
    """Over many archives the estimate has no bias, and errs as far as its error says."""
    ratios, errors = [], []
    for seed in range(20):
        every = np.random.default_rng(seed).integers(0, kinds, total)
        times = np.unique(every[:count], return_counts=True)[1]
        found = estimate_distinct(times, count, total, NO_LIMIT)
        ratios.append(found.number / len(np.unique(every)))
        errors.append(found.error)
    assert np.mean(ratios) == pytest.approx(1, abs=0.03)
    assert np.std(ratios) <= 1.5 * np.mean(errors) + 1e-3


def test_spread_is_that_of_the_sizes() -> None:
    """Kinds of equal sizes have none; of others it is their squared coefficient of variation."""
    draw = np.random.default_rng(1)
    weights = draw.gamma(2.0, 1.0, 500)
    for chances in (np.full(500, 1 / 500), weights / weights.sum()):
        times = draw.multinomial(50_000, chances)
        expected = np.var(chances) / np.mean(chances) ** 2
        found = estimate_spread(times[times > 0], 50_000, 500)
        assert found == pytest.approx(expected, abs=0.03)


@given(st.floats(1, 10**6), st.floats(0, 3))
def test_sizes_have_their_mean_and_order(mean: float, variation: float) -> None:
    """Sizes ascend, each is of a record or more, and together they are what they should be."""
    sizes = size_quantiles(mean, variation)
    assert sizes.min() >= 1
    assert (np.diff(sizes) >= 0).all()
    assert sizes.mean() >= mean * 0.999
    if variation < 0.1 and mean > 20:
        assert sizes.mean() == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize("by", PartitionBy)
def test_a_forecast_is_near_the_archive(by: PartitionBy) -> None:
    """Partitions, files and their sizes, from 8 % of the records, beside those of all."""
    sites, days, total = 40, 100, 40_000
    some, every = archive(sites, days, total, 3_200)
    found = some.forecast(by, SIZES)
    site, day = np.divmod(every, days)
    unit = {"date": "D", "month": "M", "year": "Y", None: None}[by.period]
    period = np.zeros(total) if unit is None else (day + FIRST_DAY).astype("datetime64[D]")
    if unit is not None:
        period = period.astype(f"datetime64[{unit}]").astype(np.int64)
    rows = 12 * np.unique(np.stack([site, period]), axis=1, return_counts=True)[1]
    sizes = rows * SIZES.row + SIZES.file
    assert found.partitions == pytest.approx(len(rows), rel=0.05)
    assert found.files == found.partitions
    assert found.median_file_bytes == pytest.approx(np.median(sizes), rel=0.1)
    assert found.mean_file_bytes == pytest.approx(sizes.mean(), rel=0.05)
    assert found.bytes == pytest.approx(sizes.sum(), rel=0.01)
    assert some.sites().number == sites


def test_no_site_has_more_days_than_there_are() -> None:
    """However uncertain the estimate, sites by days is the most there can be."""
    some, _ = archive(10, 1_000, 10**8, 200)
    found = some.forecast(PartitionBy.SITE_DATE, SIZES)
    first, last = some.days or (0, 0)
    assert 0.9 * 10_000 < found.partitions <= 10 * (last - first + 1)
    assert found.error > 0.1


def test_large_partitions_are_split() -> None:
    """A partition of 2.5 full files makes three."""
    rows = 250_000
    some, _ = archive(4, 1, 4 * rows // 12, 1_000)
    found = some.forecast(PartitionBy.SITE, SIZES)
    assert (found.partitions, found.files) == (4, 12)
    assert found.median_file_bytes == SIZES.most_rows * SIZES.row + SIZES.file
    assert found.bytes == pytest.approx(4 * rows * SIZES.row, rel=0.01)


def test_recordings_without_a_date_are_partitions_too() -> None:
    """One for each site, whatever the key."""
    some, _ = archive(3, 5, 1_000, 1_000)
    undated = DrawnWindows(
        record=some.record,
        site=some.site,
        start_local_s=some.start_local_s,
        dated=some.record % 2 == 0,
        total_records=1_000,
    )
    assert undated.forecast(PartitionBy.SITE_DATE, SIZES).partitions == 3 * 5 + 3
    assert undated.forecast(PartitionBy.SITE, SIZES).partitions == 3


@settings(max_examples=30)
@given(st.integers(0, 1))
def test_windows_past_midnight_are_in_two_partitions(first_day: int) -> None:
    """A record whose windows start on two days counts in both."""
    some = DrawnWindows(
        record=np.array([0, 0]),
        site=pa.array(["a", "a"]),
        start_local_s=np.array([first_day * DAY_S + DAY_S - 1, first_day * DAY_S + DAY_S]),
        dated=np.ones(2, np.bool_),
        total_records=1,
    )
    found = some.forecast(PartitionBy.SITE_DATE, SIZES)
    assert (found.partitions, found.files) == (2, 2)
    assert found.bytes == 2 * SIZES.row + 2 * SIZES.file
