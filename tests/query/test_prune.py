"""Pruning: no file that holds a wanted window may be left out, and those that can be, are."""

import datetime as dt
import operator
from collections.abc import Callable
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.dataset.file_bounds import BOUNDS
from a20_parquet.query.prune import may_match
from a20_parquet.windows.partition import PartitionBy

START = dt.datetime(2020, 10, 30)  # noqa: DTZ001 - a wall clock
KEY_TYPES = {"site": pl.String(), "date": pl.Date(), "month": pl.String(), "year": pl.Int64()}
WINDOW_TYPES: dict[str, pl.DataType] = {
    "site_id": pl.Int32(),
    "window_start": pl.Datetime("us", "UTC"),
    "window_start_local": pl.Datetime("us"),
    "channel": pl.Int16(),
    "filename": pl.String(),
    "file_seq_id": pl.Int64(),
}
# Sites as folders have them, and the ids of their windows.
SITES = [("site_0285", 285), ("site_0285", None), ("site_0286", 286), ("Kl9", None)]
SITES += [("site_123456789", 123456789), ("Site-3", None)]
MINUTES = st.sampled_from([0, 1, 1439, 1440, 1441, 2 * 1440, 40 * 1440, 400 * 1440])
OFFSETS = st.sampled_from([0, 600, -210, 1439, -1439])
LOCAL = MINUTES.map(lambda minutes: START + dt.timedelta(minutes=minutes))
COMPARE: list[Callable[[Any, Any], Any]] = [
    operator.eq,
    operator.ne,
    operator.lt,
    operator.le,
    operator.gt,
    operator.ge,
]


def window(site: tuple[str, int | None], local: dt.datetime | None, offset_min: int) -> list[Any]:
    """Site, date, month, year, then what a file holds."""
    start = None
    if local is not None:
        start = (local - dt.timedelta(minutes=offset_min)).replace(tzinfo=dt.UTC)
    return [
        site[0],
        local and local.date(),
        local and f"{local:%Y-%m}",
        local and local.year,
        site[1],
        start,
        local,
        offset_min % 3,
        f"{site[0]}{local}",
        None if offset_min == 0 else offset_min,
    ]


WINDOWS = st.lists(
    st.builds(window, st.sampled_from(SITES), st.none() | LOCAL | LOCAL, OFFSETS),
    min_size=1,
    max_size=20,
)


def table(rows: list[list[Any]]) -> pl.DataFrame:
    """Windows with all keys there are."""
    return pl.DataFrame(rows, schema=KEY_TYPES | WINDOW_TYPES, orient="row")


def split(windows: pl.DataFrame, by: PartitionBy, file_rows: int) -> pl.DataFrame:
    """Number each window's file: a partition's windows in order, ``file_rows`` a file."""
    part = pl.int_range(pl.len()).over(by.keys) // file_rows
    return windows.sort(*by.keys, "window_start").with_columns(
        file=pl.struct(*by.keys, part.alias("part")).rank("dense")
    )


def list_files(windows: pl.DataFrame, by: PartitionBy, *, unknown: int = 0) -> pl.DataFrame:
    """The part of ``files.parquet`` that pruning sees; bounds of the first files are unknown."""
    start = pl.col("window_start")
    files = (
        windows.group_by("file", *by.keys)
        .agg(
            pl.len().alias("rows"),
            first_window_start=start.min(),
            last_window_start=start.max(),
            first_filename=pl.col("filename").min(),
            last_filename=pl.col("filename").max(),
            first_file_seq_id=pl.col("file_seq_id").min(),
            last_file_seq_id=pl.col("file_seq_id").max(),
            null_file_seq_ids=pl.col("file_seq_id").null_count().cast(pl.Int64),
            null_site_ids=pl.col("site_id").null_count().cast(pl.Int64),
        )
        .sort("file")
    )
    is_known = pl.int_range(pl.len()) >= unknown
    return files.with_columns(pl.when(is_known).then(name).alias(name) for name in BOUNDS)


def instants(zone: dt.tzinfo | None) -> st.SearchStrategy[Any]:
    """Constants at and around the windows' times."""
    around = st.sampled_from([0, 1, -1, 600, -600, 1439, -1440])
    return st.builds(
        lambda local, minutes, us: (local + dt.timedelta(minutes=minutes, microseconds=us)).replace(
            tzinfo=zone
        ),
        LOCAL,
        around,
        st.sampled_from([0, 0, 1, -1]),
    )


def constants(column: str) -> st.SearchStrategy[Any]:
    """What a column is compared with."""
    values: dict[str, st.SearchStrategy[Any]] = {
        "site": st.sampled_from([site for site, _ in SITES] + ["x"]),
        "date": LOCAL.map(dt.datetime.date),
        "month": st.sampled_from(["2020-10", "2020-11", "2020-12", "2021-12", "x"]),
        "year": st.integers(2019, 2022),
        "site_id": st.sampled_from([0, 284, 285, 286, 287, 123456789]),
        "window_start": instants(dt.UTC),
        "window_start_local": instants(None) | LOCAL.map(dt.datetime.date),
        "channel": st.integers(0, 3),
        "filename": st.sampled_from(["", "Kl9", "site_02852020-10-30 00:00:00", "x"]),
        "file_seq_id": st.sampled_from([-1439, -210, 0, 600, 601]),
    }
    # A plain string would name a column.
    return values[column].map(pl.lit)


CLOSED: list[Literal["both", "left", "right", "none"]] = ["both", "left", "right", "none"]
KINDS = ["compare", "compare", "mirror", "between", "in", "null", "self", "missing", "prefix"]


@st.composite
def comparisons(draw: st.DrawFn, columns: list[str]) -> pl.Expr:
    """One test of one column, or of a column against another."""
    name = draw(st.sampled_from(columns))
    column = pl.col(name)
    constant = constants(name)
    kind = draw(st.sampled_from(KINDS))
    test: pl.Expr
    match kind:
        case "compare":
            test = draw(st.sampled_from(COMPARE))(column, draw(constant))
        case "mirror":
            test = draw(st.sampled_from(COMPARE))(draw(constant), column)
        case "between":
            closed = draw(st.sampled_from(CLOSED))
            test = column.is_between(draw(constant), draw(constant), closed=closed)
        case "in":
            values = [pl.select(value).item() for value in draw(st.lists(constant, max_size=3))]
            series = pl.Series(values, dtype=(KEY_TYPES | WINDOW_TYPES)[name], strict=False)
            test = column.is_in(series.implode(), nulls_equal=draw(st.booleans()))
        case "prefix" if name == "filename":
            test = column.str.starts_with(draw(constant))
        case "null":
            test = column.is_null() if draw(st.booleans()) else column.is_not_null()
        case "self":
            test = draw(st.sampled_from(COMPARE))(column, column)
        case _:
            missing = [pl.Expr.eq_missing, pl.Expr.ne_missing]
            test = draw(st.sampled_from(missing))(column, draw(constant))
    return test


def predicates(columns: list[str]) -> st.SearchStrategy[pl.Expr]:
    """Filters of any depth."""
    leaves = comparisons(columns) | st.sampled_from(
        [pl.lit(value=True), pl.lit(value=False), pl.lit(None, pl.Boolean)]
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(operator.and_, inner, inner),
            st.builds(operator.or_, inner, inner),
            st.builds(operator.xor, inner, inner),
            st.builds(operator.invert, inner),
            st.builds(operator.eq, inner, inner),
            st.builds(pl.all_horizontal, inner, inner, inner),
            st.builds(pl.any_horizontal, inner, inner, inner),
            st.builds(lambda a, b, c: pl.when(a).then(b).otherwise(c), inner, inner, inner),
            st.builds(lambda a: a.fill_null(value=True), inner),
        ),
        max_leaves=6,
    )


@pytest.mark.slow
@settings(max_examples=120)
@given(WINDOWS, st.sampled_from(PartitionBy), st.integers(1, 4), st.data())
def test_no_wanted_window_is_lost(
    rows: list[list[Any]], by: PartitionBy, file_rows: int, data: st.DataObject
) -> None:
    """Whatever the filter, the files of the windows that pass it are among those to be read.

    A filter on keys alone names exactly these files.
    """
    unused = set(KEY_TYPES) - set(by.keys)
    windows = split(table(rows), by, file_rows).drop(unused)
    columns = [*by.keys, *WINDOW_TYPES] if data.draw(st.booleans()) else list(by.keys)
    predicate = data.draw(predicates(columns))
    files = list_files(windows, by, unknown=data.draw(st.sampled_from([0, 0, 1, 3])))
    read = files.filter(may_match(predicate, by.keys))["file"].to_list()
    wanted = windows.filter(predicate)["file"].unique().to_list()
    assert set(wanted) <= set(read), predicate
    if set(predicate.meta.root_names()) <= set(by.keys):
        assert set(wanted) == set(read), predicate


def days() -> pl.DataFrame:
    """Two sites with noon-to-noon windows each hour of three days; a recorder without id or date.

    A file a local day; local time is ten hours ahead of UTC.
    """
    rows = [
        window((f"site_{site:04d}", site), START + dt.timedelta(hours=hour), 600)
        for site in (285, 286)
        for hour in range(72)
    ]
    rows += [window(("Kl9", None), START, 600), window(("Kl9", None), None, 0)]
    return table(rows)


NOON = dt.datetime(2020, 10, 31, 12)  # noqa: DTZ001 - a wall clock
NOON_UTC = dt.datetime(2020, 10, 31, 12, tzinfo=dt.UTC)
LAST_UTC = dt.datetime(2020, 10, 31, 13, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
DAY = dt.date(2020, 10, 31)
start, local, site_id = pl.col("window_start"), pl.col("window_start_local"), pl.col("site_id")
EXAMPLES = [
    (pl.lit(value=True), 8),
    (pl.lit(value=False), 0),
    (pl.col("site") == "site_0285", 3),
    (pl.col("date") == DAY, 2),
    (pl.col("date").is_null(), 1),
    (pl.col("date").dt.month() == 11, 2),
    ((pl.col("site") == "site_0285") & (pl.col("date") > DAY), 1),
    (pl.col("site").str.starts_with("K") | (pl.col("date") > DAY), 4),
    (site_id == 285, 3),
    (pl.lit(285) == site_id, 3),
    (site_id.is_in([285, 7]), 3),
    (site_id > 285, 3),
    (site_id.is_between(1, 285), 3),
    (start == NOON_UTC, 2),
    (start > NOON_UTC, 4),
    (pl.lit(NOON_UTC) < start, 4),
    (pl.lit(NOON_UTC) > start, 5),
    (start <= NOON_UTC, 5),
    (start.is_between(NOON_UTC, NOON_UTC + dt.timedelta(hours=1)), 2),
    ((start >= NOON_UTC) & (start < NOON_UTC + dt.timedelta(hours=2)) & (site_id == 286), 1),
    (local == NOON, 2),
    (local >= NOON, 4),
    (local < dt.datetime(2020, 10, 30), 0),  # noqa: DTZ001 - a wall clock
    (local > dt.datetime(2020, 11, 2), 0),  # noqa: DTZ001 - a wall clock
    (local.is_between(NOON, NOON, closed="left"), 2),
    # The last window of the 31st starts at 13:00 UTC, the first of the 1st an hour later.
    (start >= LAST_UTC, 4),
    (start > LAST_UTC, 2),
    (start < LAST_UTC + HOUR, 5),
    (start <= LAST_UTC + HOUR, 7),
    (start.is_between(LAST_UTC, LAST_UTC + HOUR), 4),
    (start == LAST_UTC + HOUR / 2, 0),
    (local <= dt.datetime(2020, 10, 30), 3),  # noqa: DTZ001 - a wall clock
    (pl.all_horizontal(local >= NOON, site_id == 285, pl.col("channel") == 0), 2),
    (pl.any_horizontal(local >= NOON, site_id == 285), 5),
    ((local >= NOON) | (pl.col("channel") == 0), 8),
    (~(site_id == 285), 8),
    (pl.col("filename") == "x", 0),
    (pl.col("filename") == "site_02852020-10-31 05:00:00", 1),
    (pl.col("filename").is_in(["site_02852020-10-31 05:00:00", "a", "x"]), 1),
    (pl.col("filename") > "site_0286", 3),
    (pl.col("filename").str.starts_with("site_0285"), 3),
    (pl.col("filename").str.starts_with("site_02852020-11-01 05"), 1),
    (pl.col("filename").str.ends_with("00:00"), 8),
    (pl.col("file_seq_id") == 600, 7),
    (pl.col("file_seq_id").is_in([599, 600]), 7),
    (pl.col("file_seq_id") > 600, 0),
    (pl.col("file_seq_id").is_in([599]), 0),
    (start > local.dt.replace_time_zone("UTC"), 8),
    (site_id + 1 == 286, 8),
]


@pytest.mark.parametrize(("predicate", "read"), EXAMPLES, ids=lambda value: str(value)[:70])
def test_so_many_files_are_read(predicate: pl.Expr, read: int) -> None:
    """Of eight files by site and date; a test of nothing that is known leaves all of them."""
    windows = split(days(), PartitionBy.SITE_DATE, 100)
    files = list_files(windows, PartitionBy.SITE_DATE)
    assert len(files) == 8
    keys = PartitionBy.SITE_DATE.keys
    assert len(files.filter(may_match(predicate, keys))) == read


@pytest.mark.parametrize(
    ("by", "predicate", "read"),
    [
        (PartitionBy.SITE_MONTH, pl.col("month") == "2020-11", 2),
        (PartitionBy.SITE_MONTH, local >= dt.datetime(2020, 11, 3), 0),  # noqa: DTZ001
        (PartitionBy.SITE_MONTH, start > dt.datetime(2020, 10, 31, 14, tzinfo=dt.UTC), 2),
        (PartitionBy.SITE_YEAR, pl.col("year") == 2020, 3),
        (PartitionBy.SITE_YEAR, pl.col("year") == 2021, 0),
        (PartitionBy.SITE_YEAR, local < dt.datetime(2020, 10, 28), 0),  # noqa: DTZ001
        (PartitionBy.SITE, site_id == 286, 1),
        (PartitionBy.SITE, local >= dt.datetime(2020, 11, 1, 23), 2),  # noqa: DTZ001
        (PartitionBy.SITE, local <= START, 3),
        (PartitionBy.SITE_YEAR, local < START, 3),
        (PartitionBy.SITE, start < dt.datetime(2020, 10, 29, 14, tzinfo=dt.UTC), 0),
    ],
    ids=str,
)
def test_so_many_files_are_read_by_other_keys(
    by: PartitionBy, predicate: pl.Expr, read: int
) -> None:
    """Months, years, or no period at all."""
    files = list_files(split(days(), by, 1000), by)
    assert len(files.filter(may_match(predicate, by.keys))) == read
