"""The windows in DuckDB, as a view and as a table, against what polars reads in the files."""

import json
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import crc32c
import duckdb
import fsspec
import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import UsageError
from a20_parquet.query.duckdb_file import As
from tests.helpers.duckdb_windows import assert_windows, convert_odd_values, opened
from tests.helpers.manifests import write_manifest

AS: list[As] = ["view", "table"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of several sites and dates."""
    return convert_odd_values(tmp_path_factory.mktemp("database"))


def assert_makes_windows(dataset: Path, file: Path, as_: As) -> None:
    """Make a database, and check its windows."""
    a20_parquet.duckdb(dataset, file, as_=as_)
    with opened(file) as connection:
        assert_windows(connection, dataset, in_order=as_ == "table")


def files_read(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """``1/7`` where DuckDB reads one of seven files."""
    plan = connection.execute(f"EXPLAIN ANALYZE {query}").fetchall()[0][1]
    found = re.search(r"Scanning Files: (\d+/\d+)", plan)
    assert found is not None, plan
    return found[1]


def test_connection_holds_the_windows(dataset: Path) -> None:
    """The view has the dataset's rows, columns and types, and the arrays are ready for use."""
    with a20_parquet.connect(dataset) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert_windows(connection, dataset)
        query = "SELECT max(abs(1 - array_cosine_similarity(embedding, embedding))) FROM windows"
        query += " WHERE recording_offset_in_file % 60 > 0"
        found = connection.execute(query).fetchone()
        assert found is not None
        assert found[0] < 1e-6


@pytest.mark.parametrize("as_", AS)
def test_file_holds_the_windows(dataset: Path, tmp_path: Path, as_: As) -> None:
    """A process with nothing but DuckDB reads the same rows; the table in the dataset's order."""
    file = tmp_path / "a.duckdb"
    assert_makes_windows(dataset, file, as_)
    code = f"import duckdb; print(duckdb.connect({str(file)!r}, read_only=True)"
    code += ".execute('SELECT count(*), count(embedding[16]) FROM windows').fetchall())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[(240, 240)]"


@pytest.mark.parametrize("as_", AS)
def test_columns_are_those_of_the_ddl(dataset: Path, tmp_path: Path, as_: As) -> None:
    """``schemas/windows.sql`` describes what the command makes, comments included."""
    file = tmp_path / "a.duckdb"
    a20_parquet.duckdb(dataset, file, as_=as_)
    ddl = (Path(__file__).parents[2] / "schemas" / "windows.sql").read_text()
    described = "SELECT column_name, replace(column_type, '[1280]', '[16]'), \"null\" FROM "
    described += "(DESCRIBE windows)"
    commented = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'windows'"
    with duckdb.connect() as plain, opened(file) as connection:
        plain.execute(ddl)
        theirs, ours = plain.execute(described).fetchall(), connection.execute(described).fetchall()
        if as_ == "view":  # the columns of a view are always nullable
            theirs, ours = [row[:2] for row in theirs], [row[:2] for row in ours]
        assert ours == theirs
        assert connection.execute(commented).fetchall() == plain.execute(commented).fetchall()


@pytest.mark.parametrize("by", ["site,month", "site,year", "site"])
@pytest.mark.parametrize("as_", AS)
def test_every_choice_of_keys(dataset: Path, tmp_path: Path, by: str, as_: As) -> None:
    """Month, year or no period: the types are the dataset's."""
    a20_parquet.convert(dataset.parent / "in", tmp_path / "out", partition_by=by)
    assert_makes_windows(tmp_path / "out", tmp_path / "a.duckdb", as_)


def test_filters_choose_files(dataset: Path, tmp_path: Path) -> None:
    """Filters on site and date open only the files of that partition."""
    files = Catalog.open(dataset).files
    file = files.row(1, named=True)
    where = f"site = '{file['site']}' AND date = '{file['date']}'"
    a20_parquet.duckdb(dataset, tmp_path / "a.duckdb")
    with opened(tmp_path / "a.duckdb") as connection:
        query = f"SELECT sum(embedding[1]) FROM windows WHERE {where}"
        assert files_read(connection, query) == f"1/{len(files)}"
        of_site = files.filter(pl.col("site") == file["site"]).height
        query = f"SELECT filename FROM windows WHERE site = '{file['site']}'"
        assert files_read(connection, query) == f"{of_site}/{len(files)}"
        query = f"SELECT filename FROM windows_of('{file['site']}', '{file['date']}')"
        plan = connection.execute(f"EXPLAIN ANALYZE {query}").fetchall()[0][1]
        assert re.findall("/data/.*[.]parquet", plan) == [f"/{file['path']}"]
        plan = connection.execute(
            "EXPLAIN SELECT filename FROM windows WHERE window_start < '2020-01-01'"
        ).fetchall()[0][1]
        # The only operator that filters compares the list of files, not windows.
        plan = plan.upper().replace("FILTERS", "")
        assert plan.count("FILTER") == plan.count("EXPRESSION: SUBQUERY") == 1
        assert "embedding" not in plan


def test_a_connection_opens_only_the_files_that_filters_choose(
    dataset: Path, tmp_path: Path
) -> None:
    """Queries on one file do not notice that all others are gone; counts need no file at all."""
    out = Path(shutil.copytree(dataset, tmp_path / "out"))
    files = Catalog.open(out).files
    file = files.row(1, named=True)
    kept = pl.read_parquet(out / file["path"], hive_partitioning=False, glob=False)
    filename, instant = kept["filename"].to_list()[0], kept["window_start"].to_list()[-1]
    for path in files["path"]:
        if path != file["path"]:
            (out / path).unlink()
    with a20_parquet.connect(out) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for where, rows in (
            (f"site = '{file['site']}' AND date = '{file['date']}'", len(kept)),
            (f"filename = '{filename}'", kept.filter(filename=filename).height),
            (f"window_start = '{instant}'", kept.filter(window_start=instant).height),
        ):
            query = f"SELECT sum(embedding[2]), count(*) FROM windows WHERE {where}"
            found = connection.execute(query).fetchone()
            assert found is not None
            assert found[1] == rows
        query = "SELECT site, date, count(*) FROM windows GROUP BY ALL ORDER BY ALL"
        counted = files.group_by("site", "date").agg(pl.col("rows").sum()).sort("site", "date")
        assert connection.execute(query).fetchall() == counted.rows()
        with pytest.raises(duckdb.InvalidInputException, match="is missing"):
            connection.execute("SELECT max(filename) FROM windows").fetchall()


def test_only_listed_files_are_read(dataset: Path, tmp_path: Path) -> None:
    """Files that an append under way has left in ``data/`` do not belong to the dataset."""
    out = Path(shutil.copytree(dataset, tmp_path / "out"))
    first = next(out.glob("data/*/*/*.parquet"))
    shutil.copy(first, first.with_name("part-0009.parquet"))
    with a20_parquet.connect(out) as connection:
        assert connection.execute("SELECT count(*) FROM windows").fetchall() == [(240,)]


@pytest.mark.parametrize(
    "parent",
    ["it's", "x[1]", "a*b?", "run=3", "site=foo", "Date=x/embedding=1", "a\\b", "{a,b} %20"],
)
@pytest.mark.parametrize("as_", AS)
def test_any_path_will_do(dataset: Path, tmp_path: Path, parent: str, as_: As) -> None:
    """Quotes, patterns and folders that look like Hive keys above the dataset change nothing."""
    out = Path(shutil.copytree(dataset, tmp_path / parent / "out"))
    shutil.copytree(dataset, tmp_path / "x1" / "out")
    file = tmp_path / "it's [1].duckdb"
    assert_makes_windows(out, file, as_)
    if as_ == "view":
        query = "SELECT count(*) FROM windows WHERE site = 'site_0286' AND date = '2020-10-14'"
        with opened(file) as connection:
            assert files_read(connection, query) == f"1/{len(Catalog.open(out).files)}"


def test_path_that_duckdb_cannot_write(dataset: Path, tmp_path: Path) -> None:
    """A backslash together with a pattern's character is refused for a view in a file only."""
    out = Path(shutil.copytree(dataset, tmp_path / "a\\[b" / "out"))
    with pytest.raises(UsageError, match="backslash"):
        a20_parquet.duckdb(out, tmp_path / "a.duckdb")
    with a20_parquet.connect(out) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert_windows(connection, out)
    assert_makes_windows(out, tmp_path / "a.duckdb", "table")


def without_dates(dataset: Path, out: Path) -> None:
    """Copy a dataset and move all of it into partitions without a date."""
    (out / "data").mkdir(parents=True)
    files = pl.read_parquet(dataset / "files.parquet").unique("site", maintain_order=True)
    paths = []
    for path in files["path"]:
        moved = re.sub("date=[^/]*", "date=__HIVE_DEFAULT_PARTITION__", path)
        (out / moved).parent.mkdir(parents=True)
        shutil.copy(dataset / path, out / moved)
        paths.append(moved)
    none = pl.lit(None, pl.Date).alias("date")
    files.with_columns(pl.Series("path", paths), none).write_parquet(out / "files.parquet")
    manifest = json.loads((dataset / "manifest.json").read_text())
    content = (out / "files.parquet").read_bytes()
    manifest["files_checksum"] = f"{crc32c.crc32c(content):08x}"
    manifest["totals"]["windows"] = int(files["rows"].sum())
    write_manifest(out, manifest)


@pytest.mark.parametrize("parent", ["plain", "site=foo"])
@pytest.mark.parametrize("as_", AS)
def test_all_dates_unknown(dataset: Path, tmp_path: Path, parent: str, as_: As) -> None:
    """The key is a null date, also where no folder tells its type."""
    out = tmp_path / parent / "out"
    without_dates(dataset, out)
    assert_makes_windows(out, tmp_path / "a.duckdb", as_)
    with opened(tmp_path / "a.duckdb") as connection:
        found = connection.execute("SELECT DISTINCT date, typeof(date) FROM windows").fetchall()
    assert found == [(None, "DATE")]


def test_remote_dataset(dataset: Path, tmp_path: Path) -> None:
    """A URL opens through fsspec; a view of it in a file would be of no use to plain DuckDB."""
    memory = fsspec.filesystem("memory")
    memory.put(str(dataset), "/a20-duckdb", recursive=True)
    try:
        with a20_parquet.connect("memory://a20-duckdb") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            assert_windows(connection, dataset)
            settings = "SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'"
            assert connection.execute(settings).fetchall() == [("false",), ("false",)]
        with pytest.raises(UsageError, match="as_='table'"):
            a20_parquet.duckdb("memory://a20-duckdb", tmp_path / "a.duckdb")
        a20_parquet.duckdb("memory://a20-duckdb", tmp_path / "a.duckdb", as_="table")
    finally:
        memory.rm("/a20-duckdb", recursive=True)
    with opened(tmp_path / "a.duckdb") as connection:
        assert_windows(connection, dataset, in_order=True)


def test_connections_are_apart(dataset: Path) -> None:
    """Tables of one connection are not in another one; cursors work in threads."""
    one, other = a20_parquet.connect(dataset), a20_parquet.connect(dataset)
    one.execute("CREATE TABLE mine AS SELECT 1")
    with pytest.raises(duckdb.CatalogException):
        other.execute("FROM mine")
    counts: list[Any] = []

    def count(cursor: duckdb.DuckDBPyConnection) -> None:
        counts.append(cursor.execute("SELECT count(*) FROM windows").fetchone())

    threads = [threading.Thread(target=count, args=(one.cursor(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [(240,)] * 4
