"""Queries through ``connect`` and a DuckDB file, against plain DuckDB on the same files."""

from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.query import connect
from tests.helpers.changed_datasets import change
from tests.helpers.duckdb_windows import convert_odd_values

pytestmark = pytest.mark.slow

_COLUMNS = "* EXCLUDE (embedding, site, date), site, date, embedding::FLOAT[16]::VARCHAR AS floats"
_VALUES: dict[str, list[Any]] = {
    "site": ["site_0285", "site_0286", "Site-3", "site_028", "none", ""],
    "date": ["2020-10-14", "2020-10-16", "2021-03-02", "1970-01-01", "infinity"],
    "filename": [
        "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
        "20210301T235900-0330_Site-3_7.wav",
        "site_0286/",
        "it's",
    ],
    "site_id": [285, 286, 0, -1],
    "file_seq_id": [49500, 49501, 7, 1 << 40],
    "channel": [0, 1],
    "recording_offset_in_file": [0.0, 5.0, 600.0, -0.0],
    "utc_offset_minutes": [630, -210],
    "window_start": ["2020-10-13 14:30:00+00", "2021-03-02 03:29:05+00", "infinity"],
    "window_start_local": ["2020-10-14 01:00:00", "2019-06-30 01:39:25"],
}
_LITERALS = {
    "date": "DATE '{}'",
    "window_start": "TIMESTAMPTZ '{}'",
    "window_start_local": "TIMESTAMP '{}'",
}


def _literal(name: str, value: Any) -> str:
    text = str(value).replace("'", "''")
    form = _LITERALS.get(name, "{}" if isinstance(value, int | float) else "'{}'")
    return form.format(text)


@st.composite
def _tests(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(sorted(_VALUES)))
    literals = [_literal(name, value) for value in _VALUES[name]]
    values = st.sampled_from(literals)
    kind = draw(st.sampled_from(["compare", "compare", "in", "between", "null", "other"]))
    if kind == "compare":
        return f"{name} {draw(st.sampled_from(['=', '<>', '<', '<=', '>', '>=']))} {draw(values)}"
    if kind == "in":
        negated = draw(st.sampled_from(["", "NOT "]))
        return f"{name} {negated}IN ({', '.join(draw(st.lists(values, min_size=1, max_size=3)))})"
    if kind == "between":
        return f"{name} BETWEEN {draw(values)} AND {draw(values)}"
    if kind == "null":
        return f"{name} IS {draw(st.sampled_from(['', 'NOT ']))}NULL"
    others = ["filename LIKE 'site%'", "hour(window_start_local) = 1", "embedding[1] = 'nan'"]
    return draw(st.sampled_from([*others, "length(site_name) > 6", "subsite_name = 'Dry-A'"]))


_FILTERS = st.recursive(
    _tests(),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda text: f"NOT ({text})"),
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of several sites and dates."""
    return convert_odd_values(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def file(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset as a DuckDB file."""
    path = tmp_path_factory.mktemp("file") / "a.duckdb"
    a20_parquet.duckdb(dataset, path)
    return path


def _plain(dataset: Path) -> duckdb.DuckDBPyConnection:
    """Plain DuckDB on the files that the list of files names."""
    connection = duckdb.connect()
    paths = [str(dataset / path) for path in Catalog.open(dataset).files["path"]]
    types = "{'site': VARCHAR, 'date': DATE}"
    connection.execute(
        f"CREATE VIEW windows AS FROM read_parquet({paths}, hive_partitioning = true, "
        f"hive_types = {types})"
    )
    return connection


def _answers(connection: duckdb.DuckDBPyConnection, where: str) -> list[Any]:
    connection.execute("SET TimeZone = 'UTC'")
    queries = [
        f"SELECT {_COLUMNS} FROM windows WHERE {where} ORDER BY ALL",
        f"SELECT count(*) FROM windows WHERE {where}",
        f"SELECT site, date, count(*) FROM windows WHERE {where} GROUP BY ALL ORDER BY ALL",
        f"SELECT filename, max(window_start) FROM windows WHERE {where} GROUP BY ALL ORDER BY ALL",
    ]
    return [connection.execute(query).fetchall() for query in queries]


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=_FILTERS)
def test_answers_are_those_of_plain_duckdb(dataset: Path, file: Path, where: str) -> None:
    """Whatever is asked; in the DuckDB file too."""
    with _plain(dataset) as plain:
        expected = _answers(plain, where)
    with a20_parquet.connect(dataset) as connection:
        assert _answers(connection, where) == expected
    with duckdb.connect(str(file), read_only=True) as connection:
        assert _answers(connection, where) == expected


@pytest.fixture(scope="module")
def states(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The dataset after an append, a retry of its quarantine, and an overwrite."""
    return change(dataset, tmp_path_factory.mktemp("states"))


@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(where=_FILTERS)
def test_answers_after_changes_are_those_of_plain_duckdb(states: list[Path], where: str) -> None:
    """Files of several conversions, windows without a date, and files of before."""
    for state in states:
        with _plain(state) as plain, a20_parquet.connect(state) as connection:
            assert _answers(connection, where) == _answers(plain, where), state


def test_another_version_of_duckdb_gets_a_plain_view(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its protocol for filters may differ, so it reads the files itself."""
    monkeypatch.setattr(connect, "_SOURCE_VERSIONS", ("0.",))
    with _plain(dataset) as plain, a20_parquet.connect(dataset) as connection:
        assert _answers(connection, "channel = 0") == _answers(plain, "channel = 0")
        plan = connection.execute("EXPLAIN SELECT filename FROM windows").fetchall()[0][1]
    assert "READ_PARQUET" in plan


def test_windows_of_a_site(dataset: Path, file: Path) -> None:
    """The function returns what the view returns for a site, and for a date of it."""
    listed = Catalog.open(dataset).files.select("site", pl.col("date").cast(pl.String)).rows()
    sites = {site for site, _ in listed} | {"none", "it's"}
    with duckdb.connect(str(file), read_only=True) as connection:
        for site in sorted(sites):
            of_site = "site = $1"
            expected = _rows(connection, f"windows WHERE {of_site}", site)
            assert _rows(connection, "windows_of($1)", site) == expected
        for site, day in [*listed, ("none", "2020-10-14"), ("site_0285", "1970-01-01")]:
            expected = _rows(connection, "windows WHERE site = $1 AND date = $2", site, day)
            assert _rows(connection, "windows_of($1, $2)", site, day) == expected
            assert _rows(connection, "windows_of(site := $1, date := $2)", site, day) == expected


def _rows(connection: duckdb.DuckDBPyConnection, source: str, *values: str) -> list[Any]:
    for number, value in enumerate(values, 1):
        literal = "'" + value.replace("'", "''") + "'"
        source = source.replace(f"${number}", literal)
    query = f"SELECT {_COLUMNS} FROM {source} ORDER BY ALL"
    return connection.execute(query).fetchall()


def test_readers_of_a_file_notice_an_overwrite(tmp_path: Path) -> None:
    """The function of a DuckDB file fails after the dataset was replaced."""
    dataset = convert_odd_values(tmp_path)
    a20_parquet.duckdb(dataset, tmp_path / "a.duckdb")
    a20_parquet.convert(
        tmp_path / "in", dataset, overwrite=True, compression="zstd", decoder="wire"
    )
    with duckdb.connect(str(tmp_path / "a.duckdb"), read_only=True) as connection:
        for query in ("FROM windows_of('site_0285')", "FROM windows_of('site_0285', '2020-10-14')"):
            with pytest.raises(duckdb.InvalidInputException, match="was replaced"):
                connection.execute(query).fetchall()
