"""``scan`` and ``take`` after appends, retries and overwrites, against polars and DuckDB."""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.query.window_query import WindowQuery
from tests.helpers.changed_datasets import change
from tests.helpers.duckdb_windows import DIMS, convert_odd_values

pytestmark = pytest.mark.slow

ID = ["filename", "recording_offset_in_file", "channel"]
_VALUES: dict[str, list[Any]] = {
    "site": ["site_0285", "site_0286", "Site-3", "site_028", ""],
    "date": [
        dt.date(2020, 10, 14),
        dt.date(2020, 10, 16),
        dt.date(2021, 3, 2),
        dt.date(1970, 1, 1),
    ],
    "filename": [
        "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
        "20210301T235900-0330_Site-3_7.wav",
        "odd.wav",
        "it's",
    ],
    "site_id": [285, 286, 0, -1],
    "site_name": ["Arkaba", "Site-3", "Toorale-National-Park"],
    "file_seq_id": [49500, 49501, 7, 1 << 40],
    "channel": [0, 1],
    "recording_offset_in_file": [0.0, 5.0, 600.0, 3600.0, 3610.0],
    "utc_offset_minutes": [630, -210],
    "window_start": [
        dt.datetime(2020, 10, 13, 14, 30, tzinfo=dt.UTC),
        dt.datetime(2021, 3, 2, 3, 29, 5, tzinfo=dt.UTC),
    ],
    "window_start_local": [
        dt.datetime(2020, 10, 14, 1),  # noqa: DTZ001 - a wall clock
        dt.datetime(2019, 6, 30, 1, 39, 25),  # noqa: DTZ001
    ],
}


@dataclass(frozen=True)
class Filter:
    """The same filter for polars and for DuckDB."""

    polars: pl.Expr
    sql: str


@dataclass(frozen=True)
class State:
    """A dataset and all its windows, which polars read in the files that its list names."""

    dataset: Path
    windows: pl.DataFrame = field(repr=False)
    paths: tuple[str, ...] = field(repr=False)


def _literal(value: Any) -> str:
    text = str(value).replace("'", "''")
    if isinstance(value, dt.datetime):
        return f"{'TIMESTAMPTZ' if value.tzinfo else 'TIMESTAMP'} '{text}'"
    if isinstance(value, dt.date):
        return f"DATE '{text}'"
    return text if isinstance(value, int | float) else f"'{text}'"


_COMPARISONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "=": lambda column, value: column == value,
    "<>": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "IS DISTINCT FROM": lambda column, value: column.ne_missing(value),
    "IS NOT DISTINCT FROM": lambda column, value: column.eq_missing(value),
}
_OTHERS = [
    Filter(pl.col("filename").str.starts_with("site"), "starts_with(filename, 'site')"),
    Filter(pl.col("window_start_local").dt.hour() == 1, "hour(window_start_local) = 1"),
    Filter(pl.col("date").dt.year() > 2019, "year(date) > 2019"),
    Filter(pl.col("site_id") * 2 > pl.col("file_seq_id"), "site_id * 2 > file_seq_id"),
    Filter(pl.col("embedding").arr.get(5) > 0, "embedding[6] > 0"),
    Filter(pl.lit(value=True), "TRUE"),
    Filter(pl.lit(None, pl.Boolean), "NULL::BOOLEAN"),
]


@st.composite
def _tests(draw: st.DrawFn) -> Filter:
    name = draw(st.sampled_from(sorted(_VALUES)))
    column, values = pl.col(name), st.sampled_from(_VALUES[name])
    kind = draw(st.sampled_from(["compare", "compare", "in", "between", "null", "other"]))
    if kind == "compare":
        sign, value = draw(st.sampled_from(sorted(_COMPARISONS))), draw(values)
        return Filter(_COMPARISONS[sign](column, pl.lit(value)), f"{name} {sign} {_literal(value)}")
    if kind == "in":
        several = draw(st.lists(values, min_size=1, max_size=3))
        listed = ", ".join(map(_literal, several))
        return Filter(column.is_in(several), f"{name} IN ({listed})")
    if kind == "between":
        low, high = draw(values), draw(values)
        text = f"{name} BETWEEN {_literal(low)} AND {_literal(high)}"
        return Filter(column.is_between(pl.lit(low), pl.lit(high)), text)
    if kind == "null":
        return Filter(column.is_null(), f"{name} IS NULL")
    return draw(st.sampled_from(_OTHERS))


_FILTERS = st.recursive(
    _tests(),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(
            lambda t: Filter(t[0].polars & t[1].polars, f"({t[0].sql} AND {t[1].sql})")
        ),
        st.tuples(inner, inner).map(
            lambda t: Filter(t[0].polars | t[1].polars, f"({t[0].sql} OR {t[1].sql})")
        ),
        inner.map(lambda each: Filter(~each.polars, f"NOT ({each.sql})")),
    ),
    max_leaves=4,
)
_JOINS: list[Literal["semi", "anti", "inner"]] = ["semi", "anti", "inner"]
_COLUMNS = [*_VALUES, "embedding", "file_timestamp", "subsite_name"]


@st.composite
def _steps(draw: st.DrawFn) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    """One step of a query that keeps all columns."""
    kind = draw(st.sampled_from(["filter", "filter", "head", "tail", "slice", "join"]))
    count = draw(st.integers(0, 260))
    if kind == "filter":
        test = draw(_FILTERS).polars
        return lambda frame: frame.filter(test)
    if kind in {"head", "tail"}:
        return lambda frame: getattr(frame, kind)(count)
    if kind == "slice":
        start = draw(st.integers(-260, 260))
        return lambda frame: frame.slice(start, count)
    test, how = draw(_FILTERS).polars, draw(st.sampled_from(_JOINS))
    keys = draw(st.sampled_from([["site"], ["site", "date"], ["filename", "channel"]]))
    return lambda frame: frame.join(
        frame.filter(test).select(keys).unique(), on=keys, how=how, maintain_order="left"
    )


@st.composite
def _queries(draw: st.DrawFn) -> Callable[[pl.LazyFrame], pl.LazyFrame]:
    steps = draw(st.lists(_steps(), min_size=1, max_size=3))
    columns = draw(st.lists(st.sampled_from(_COLUMNS), min_size=1, max_size=4, unique=True))

    def query(frame: pl.LazyFrame) -> pl.LazyFrame:
        for step in steps:
            frame = step(frame)
        return frame.select(columns)

    return query


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> list[State]:
    """A dataset after an append, a retry of its quarantine, and an overwrite."""
    root = tmp_path_factory.mktemp("states")
    return [_read(each) for each in change(convert_odd_values(root / "first"), root)]


def _read(dataset: Path) -> State:
    listed = pl.read_parquet(dataset / "files.parquet", glob=False)
    paths = [str(dataset / path) for path in listed["path"]]
    windows = pl.read_parquet(
        paths, hive_partitioning=True, hive_schema={"site": pl.String, "date": pl.Date}
    )
    assert len(windows) == listed["rows"].sum()
    return State(dataset, windows, tuple(paths))


def _assert_same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    """Check that both are the same, embeddings bit for bit."""
    assert_frame_equal(found, expected)
    if "embedding" in expected.columns:
        bits, expected_bits = (
            frame["embedding"].to_numpy().view(np.uint32) for frame in (found, expected)
        )
        np.testing.assert_array_equal(bits, expected_bits)


def test_the_changes_leave_what_matters(states: list[State]) -> None:
    """Several files of a partition; windows without a date; files of one conversion only."""
    appended, retried, overwritten = states
    assert any(path.endswith("part-0001.parquet") for path in appended.paths)
    assert [state.windows["date"].null_count() for state in states] == [0, 6, 0]
    assert [len(state.windows) for state in states] == [246, 252, 6]
    for state in states:
        assert not state.windows.select(ID).is_duplicated().any()
    assert len(retried.paths) == len(appended.paths) + 1
    assert len(overwritten.paths) == 1


@settings(deadline=None, max_examples=40)
@given(
    query=_queries(),
    engine=st.sampled_from(["in-memory", "streaming"]),
    batch_bytes=st.sampled_from([1000, 16 << 20]),
)
def test_queries_of_scan_are_those_of_plain_polars(
    states: list[State],
    query: Callable[[pl.LazyFrame], pl.LazyFrame],
    engine: Literal["in-memory", "streaming"],
    batch_bytes: int,
) -> None:
    """Filters, slices, joins and projections in any order, by both engines, in any batches."""
    for state in states:
        expected = query(state.windows.lazy()).collect(engine="in-memory")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WindowQuery.__init__, "__kwdefaults__", {"batch_bytes": batch_bytes})
            found = query(a20_parquet.scan(state.dataset)).collect(engine=engine)
        _assert_same(found, expected)


@settings(deadline=None, max_examples=25)
@given(each=_FILTERS)
def test_filters_of_scan_are_those_of_duckdb(states: list[State], each: Filter) -> None:
    """A filter chooses the windows that DuckDB chooses in the files."""
    for state in states:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            rows = connection.execute(
                f"SELECT {', '.join(ID)} FROM read_parquet({list(state.paths)}, "
                "hive_partitioning = true, hive_types = {'site': VARCHAR, 'date': DATE}) "
                f"WHERE {each.sql} ORDER BY ALL"
            ).fetchall()
        found = a20_parquet.scan(state.dataset).filter(each.polars).select(ID).collect()
        assert sorted(found.rows()) == rows


@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_take_gives_the_rows_of_the_files(states: list[State], data: st.DataObject) -> None:
    """A list in any order, with windows that only another state has."""
    known = states[1].windows.select(ID).rows()
    wanted = data.draw(st.lists(st.sampled_from(known), max_size=20))
    columns = data.draw(st.lists(st.sampled_from(_COLUMNS), min_size=1, unique=True))
    for state in states:
        rows = dict(zip(state.windows.select(ID).rows(), range(len(state.windows)), strict=True))
        listed = [item for item in wanted if item in rows]
        found = a20_parquet.take(state.dataset, listed, columns=columns)
        _assert_same(found, state.windows[[rows[item] for item in listed]].select(columns))
        _check_floats(state, wanted, rows)


def _check_floats(
    state: State, wanted: Sequence[tuple[Any, ...]], rows: dict[tuple[Any, ...], int]
) -> None:
    floats = a20_parquet.take_numpy(state.dataset, wanted, missing="null")
    assert floats.shape == (len(wanted), DIMS)
    stored = state.windows["embedding"].to_numpy()
    for item, row in zip(wanted, floats, strict=True):
        if item in rows:
            np.testing.assert_array_equal(row.view(np.uint32), stored[rows[item]].view(np.uint32))
        else:
            assert np.isnan(row).all()
