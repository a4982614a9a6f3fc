"""A dataset in DuckDB, as a view and as a table, against what polars reads in its files."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import A20ParquetError, DatasetError, UsageError
from a20_parquet.query.duckdb_file import As
from tests.helpers.command_line import run
from tests.helpers.manifests import write_manifest
from tests.helpers.shards import make_record, random_tensor, write_shard

D = 16
NAMES = [
    "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
    "site_0285/20201015T235930+1030_Arkaba-Dry-A_49501.flac",
    "site_0286/20201014T010000+1030_Arkaba-Wet-A_49600.flac",
    "20210301T235900-0330_Site-3_7.wav",
    "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
]
AS: list[As] = ["view", "table"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of several sites and dates, with NaN, infinity and negative zero among the values."""
    folder = tmp_path_factory.mktemp("database")
    records = []
    for number in range(40):
        tensor = random_tensor((6, 1, D), number)
        tensor[0, 0, :5] = [np.nan, -0.0, 0.0, np.inf, -np.inf]
        records.append(make_record(tensor, NAMES[number % len(NAMES)], 60.0 * number))
    write_shard(folder / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(folder / "in", folder / "out")
    return folder / "out"


def expected(dataset: Path) -> pl.DataFrame:
    """All windows in the dataset's order, as polars reads them file by file."""
    catalog = Catalog.open(dataset)
    keys = list(catalog.partition_by.keys)
    parts = []
    for file in catalog.files.iter_rows(named=True):
        part = pl.read_parquet(dataset / file["path"], hive_partitioning=False, glob=False)
        parts.append(
            part.with_columns(pl.lit(file[key], catalog.schema[key]).alias(key) for key in keys)
        )
    return pl.concat(parts)


def rows_of(connection: duckdb.DuckDBPyConnection, order: str = "") -> pl.DataFrame:
    """All windows in DuckDB."""
    relation = connection.sql(f"FROM windows {order}")
    assert relation is not None
    frame: pl.DataFrame = relation.pl()
    return frame


def bits(frame: pl.DataFrame) -> npt.NDArray[np.uint32]:
    """The embeddings' raw bits."""
    return frame["embedding"].to_numpy().view(np.uint32)


def assert_same(found: pl.DataFrame, wanted: pl.DataFrame) -> None:
    """Same rows in the same order, bit for bit, with the same types."""
    assert dict(found.schema) == dict(wanted.schema)
    assert found.columns == wanted.columns
    assert found.drop("embedding").equals(wanted.drop("embedding"), null_equal=True)
    np.testing.assert_array_equal(bits(found), bits(wanted))


ORDER = "ORDER BY filename, recording_offset_in_file, channel"


def opened(file: Path) -> duckdb.DuckDBPyConnection:
    """The file in DuckDB, read-only, UTC."""
    connection = duckdb.connect(str(file), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def sorted_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """In the order of ``ORDER``."""
    return frame.sort("filename", "recording_offset_in_file", "channel")


def test_connection_holds_the_windows(dataset: Path) -> None:
    """The view has the dataset's rows, columns and types, and the arrays are ready for use."""
    with a20_parquet.connect(dataset) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        assert_same(rows_of(connection, ORDER), sorted_rows(expected(dataset)))
        query = "SELECT max(abs(1 - array_cosine_similarity(embedding, embedding))) FROM windows"
        query += " WHERE recording_offset_in_file % 60 > 0"
        found = connection.execute(query).fetchone()
        assert found is not None
        assert found[0] < 1e-6


@pytest.mark.parametrize("as_", AS)
def test_file_holds_the_windows(dataset: Path, tmp_path: Path, as_: As) -> None:
    """A process with nothing but DuckDB reads the same rows; the table in the dataset's order."""
    file = tmp_path / "a.duckdb"
    made = a20_parquet.duckdb(dataset, file, as_=as_)
    assert (made.file, made.windows, made.as_) == (file, 240, as_)
    assert made.bytes == file.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["a.duckdb"]
    with opened(file) as connection:
        assert_same(rows_of(connection, ORDER), sorted_rows(expected(dataset)))
        if as_ == "table":
            assert_same(rows_of(connection), expected(dataset))
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
    a20_parquet.duckdb(tmp_path / "out", tmp_path / "a.duckdb", as_=as_)
    with opened(tmp_path / "a.duckdb") as connection:
        assert_same(rows_of(connection, ORDER), sorted_rows(expected(tmp_path / "out")))


def files_read(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """``1/7`` where DuckDB reads one of seven files."""
    plan = connection.execute(f"EXPLAIN ANALYZE {query}").fetchall()[0][1]
    found = re.search(r"Scanning Files: (\d+/\d+)", plan)
    assert found is not None, plan
    return found[1]


def test_filters_choose_files(dataset: Path) -> None:
    """Filters on site and date open only the files of that partition."""
    files = Catalog.open(dataset).files
    file = files.row(1, named=True)
    with a20_parquet.connect(dataset) as connection:
        where = f"site = '{file['site']}' AND date = '{file['date']}'"
        query = f"SELECT sum(embedding[1]) FROM windows WHERE {where}"
        assert files_read(connection, query) == f"1/{len(files)}"
        of_site = files.filter(pl.col("site") == file["site"]).height
        query = f"SELECT filename FROM windows WHERE site = '{file['site']}'"
        assert files_read(connection, query) == f"{of_site}/{len(files)}"
        plan = connection.execute(
            "EXPLAIN SELECT filename FROM windows WHERE window_start < '2020-01-01'"
        ).fetchall()[0][1]
        # The only operator that filters compares the list of files, not windows.
        plan = plan.upper().replace("FILTERS", "")
        assert plan.count("FILTER") == plan.count("EXPRESSION: SUBQUERY") == 1
        assert "embedding" not in plan


def test_only_listed_files_are_read(dataset: Path, tmp_path: Path) -> None:
    """What an append under way has left in ``data/`` is not of the dataset."""
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
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
    out = tmp_path / parent / "out"
    shutil.copytree(dataset, out)
    (tmp_path / "x1").mkdir()
    shutil.copytree(dataset, tmp_path / "x1" / "out")
    file = tmp_path / "it's [1].duckdb"
    a20_parquet.duckdb(out, file, as_=as_)
    with opened(file) as connection:
        assert_same(rows_of(connection, ORDER), sorted_rows(expected(out)))
        if as_ == "view":
            query = "SELECT count(*) FROM windows WHERE site = 'site_0286' AND date = '2020-10-14'"
            files = Catalog.open(out).files
            assert files_read(connection, query) == f"1/{len(files)}"


def test_path_that_duckdb_cannot_write(dataset: Path, tmp_path: Path) -> None:
    """A backslash together with a pattern's character is refused for a view, and loads."""
    out = tmp_path / "a\\[b" / "out"
    shutil.copytree(dataset, out)
    with pytest.raises(UsageError, match="backslash"):
        a20_parquet.connect(out)
    a20_parquet.duckdb(out, tmp_path / "a.duckdb", as_="table")
    with opened(tmp_path / "a.duckdb") as connection:
        assert_same(rows_of(connection), expected(dataset))


def without_dates(dataset: Path, out: Path) -> None:
    """Copy a dataset and move all of it into partitions without a date."""
    import crc32c

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
    a20_parquet.duckdb(out, tmp_path / "a.duckdb", as_=as_)
    with opened(tmp_path / "a.duckdb") as connection:
        found = rows_of(connection, ORDER)
        assert found["date"].dtype == pl.Date
        assert found["date"].null_count() == len(found)
        assert_same(found, sorted_rows(expected(out)))


def test_remote_dataset(dataset: Path, tmp_path: Path) -> None:
    """A URL opens through fsspec; a view of it in a file would be of no use to plain DuckDB."""
    memory = fsspec.filesystem("memory")
    memory.put(str(dataset), "/a20-duckdb", recursive=True)
    try:
        with a20_parquet.connect("memory://a20-duckdb") as connection:
            connection.execute("SET TimeZone = 'UTC'")
            assert_same(rows_of(connection, ORDER), sorted_rows(expected(dataset)))
            settings = "SELECT value FROM duckdb_settings() WHERE name LIKE 'auto%known_extensions'"
            assert connection.execute(settings).fetchall() == [("false",), ("false",)]
        with pytest.raises(UsageError, match="as_='table'"):
            a20_parquet.duckdb("memory://a20-duckdb", tmp_path / "a.duckdb")
        a20_parquet.duckdb("memory://a20-duckdb", tmp_path / "a.duckdb", as_="table")
    finally:
        memory.rm("/a20-duckdb", recursive=True)
    with opened(tmp_path / "a.duckdb") as connection:
        assert_same(rows_of(connection), expected(dataset))


def test_connections_are_apart(dataset: Path) -> None:
    """What one makes another does not see; cursors work in threads."""
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


def test_moved_dataset_is_named(dataset: Path, tmp_path: Path) -> None:
    """DuckDB's own error names the file that the view does not find."""
    out = tmp_path / "out"
    shutil.copytree(dataset, out)
    a20_parquet.duckdb(out, tmp_path / "a.duckdb")
    out.rename(tmp_path / "moved")
    with (
        opened(tmp_path / "a.duckdb") as connection,
        pytest.raises(duckdb.IOException, match="No files found") as caught,
    ):
        connection.execute("SELECT count(*) FROM windows")
    assert str(out) in str(caught.value)


@pytest.mark.parametrize("as_", AS)
def test_force_replaces_a_database_only(dataset: Path, tmp_path: Path, as_: As) -> None:
    """An old database goes, with its log, when the new one is whole; other files stay."""
    file = tmp_path / "a.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("CREATE TABLE old AS SELECT 1")
    with pytest.raises(UsageError, match="force=True"):
        a20_parquet.duckdb(dataset, file, as_=as_)
    (tmp_path / "a.duckdb.wal").write_bytes(b"of the old one")
    a20_parquet.duckdb(dataset, file, as_=as_, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.duckdb"]
    with opened(file) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == [("windows",)]
    notes = tmp_path / "notes.txt"
    notes.write_text("no database, but long enough to be one")
    with pytest.raises(UsageError, match="not a DuckDB database"):
        a20_parquet.duckdb(dataset, notes, as_=as_, force=True)
    assert notes.read_text().startswith("no database")


def damage(path: Path) -> None:
    """Overwrite the end of a file."""
    path.write_bytes(path.read_bytes()[:-20])


def swap(path: Path) -> None:
    """Leave one row."""
    pl.read_parquet(path, hive_partitioning=False).head(1).write_parquet(path)


@pytest.mark.parametrize(
    ("harm", "says"), [(Path.unlink, "missing"), (damage, "bytes"), (swap, "bytes")]
)
def test_failed_load_leaves_the_old_file(
    dataset: Path, tmp_path: Path, harm: Callable[[Path], None], says: str
) -> None:
    """A missing, damaged or changed data file is named, and what was there stays."""
    out, file = tmp_path / "out", tmp_path / "made" / "a.duckdb"
    shutil.copytree(dataset, out)
    file.parent.mkdir()
    a20_parquet.duckdb(out, file, as_="table")
    before = file.read_bytes()
    broken = out / Catalog.open(out).files["path"][2]
    harm(broken)
    with pytest.raises(DatasetError, match=says) as caught:
        a20_parquet.duckdb(out, file, as_="table", force=True)
    assert str(broken) in str(caught.value)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["a.duckdb"]


@pytest.mark.parametrize("as_", ["view", "table"])
def test_older_duckdb_can_open_it(dataset: Path, tmp_path: Path, as_: As) -> None:
    """The file is of the first stable storage version."""
    made = a20_parquet.duckdb(dataset, tmp_path / "a.duckdb", as_=as_)
    with duckdb.connect(made.file, read_only=True) as opened:
        found = opened.execute("select tags['storage_version'] from duckdb_databases()").fetchall()
    assert any(str(version).startswith("v1.0.0") for (version,) in found)


def test_wrong_places_and_options(dataset: Path, tmp_path: Path) -> None:
    """Each is one clean error."""
    wrong: list[tuple[type[A20ParquetError], str, Path, dict[str, Any]]] = [
        (UsageError, "is a folder", tmp_path, {}),
        (UsageError, "is not a folder", tmp_path / "no" / "a.duckdb", {}),
        (UsageError, "question mark", tmp_path / "a?.duckdb", {}),
        (UsageError, "data files", dataset / "data" / "a.duckdb", {}),
        (UsageError, "workers", tmp_path / "a", {"workers": 0}),
        (UsageError, "size", tmp_path / "a", {"memory": "much"}),
        (UsageError, "view or table", tmp_path / "a", {"as_": "chair"}),
        (UsageError, "memory", tmp_path / "a", {"as_": "table", "memory": 1000}),
    ]
    if os.access("/proc", os.R_OK):
        wrong.append((DatasetError, "cannot be", Path("/proc/a.duckdb"), {}))
    for kind, message, file, options in wrong:
        with pytest.raises(kind, match=message):
            a20_parquet.duckdb(dataset, file, **options)
    assert not any(tmp_path.iterdir())
    with pytest.raises(DatasetError, match="does not exist"):
        a20_parquet.connect(tmp_path / "none")


@pytest.mark.slow
def test_killed_load_leaves_no_file(dataset: Path, tmp_path: Path) -> None:
    """After SIGKILL there is no database, and the next run cleans up."""
    file = tmp_path / "a.duckdb"
    code = f"""
import time, a20_parquet
from a20_parquet.progress import NoProgress
class Slow(NoProgress):
    def advance(self, count_bytes):
        print("loading", flush=True)
        time.sleep(60)
a20_parquet.duckdb({str(dataset)!r}, {str(file)!r}, as_="table", progress=Slow())
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"loading\n"
        process.send_signal(signal.SIGKILL)
    assert not file.exists()
    assert len(list(tmp_path.iterdir())) == 1
    time.sleep(0.01)
    a20_parquet.duckdb(dataset, file, as_="table")
    assert [path.name for path in tmp_path.iterdir()] == ["a.duckdb"]


def test_command(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command makes a view by default, a table with a bar, and prints text or JSON."""
    file = tmp_path / "a.duckdb"
    code, out, _ = run(monkeypatch, capsys, "duckdb", dataset, file)
    assert code == 0
    assert "view windows: 240 windows of" in out
    assert run(monkeypatch, capsys, "duckdb", dataset, file)[0] == 2
    options = ["--as", "table", "--force", "--json", "--memory", "200MB"]
    code, out, err = run(monkeypatch, capsys, "duckdb", dataset, file, *options)
    assert code == 0
    assert json.loads(out)["as"] == "table"
    assert "loading" in err
