"""``duckdb`` writes a database file whole or not at all, and replaces databases only."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.query.duckdb_file import As
from tests.helpers.command_line import run
from tests.helpers.duckdb_windows import convert_odd_values, opened

AS: list[As] = ["view", "table"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Windows of several sites and dates."""
    return convert_odd_values(tmp_path_factory.mktemp("database"))


@pytest.mark.parametrize("as_", AS)
def test_what_was_made(dataset: Path, tmp_path: Path, as_: As) -> None:
    """The result describes the only file, of the first stable storage version."""
    file = tmp_path / "a.duckdb"
    made = a20_parquet.duckdb(dataset, file, as_=as_)
    assert (made.file, made.windows, made.as_) == (file, 240, as_)
    assert made.bytes == file.stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["a.duckdb"]
    with duckdb.connect(made.file, read_only=True) as connection:
        query = "SELECT tags['storage_version'] FROM duckdb_databases()"
        versions = connection.execute(query).fetchall()
    assert any(str(version).startswith("v1.0.0") for (version,) in versions)


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


@pytest.mark.parametrize(
    ("message", "file", "options"),
    [
        ("is a folder", "", {}),
        ("is not a folder", "no/a.duckdb", {}),
        ("question mark", "a?.duckdb", {}),
        ("workers", "a", {"workers": 0}),
        ("size", "a", {"memory": "much"}),
        ("view or table", "a", {"as_": "chair"}),
        ("memory", "a", {"as_": "table", "memory": 1000}),
    ],
)
def test_wrong_paths_and_options(
    dataset: Path, tmp_path: Path, message: str, file: str, options: dict[str, Any]
) -> None:
    """Each is one usage error, and nothing is written."""
    with pytest.raises(UsageError, match=message):
        a20_parquet.duckdb(dataset, tmp_path / file, **options)
    assert not any(tmp_path.iterdir())


def test_paths_that_cannot_be_written(dataset: Path) -> None:
    """A database cannot be among the data files, nor where the system allows no files."""
    with pytest.raises(UsageError, match="data files"):
        a20_parquet.duckdb(dataset, dataset / "data" / "a.duckdb")
    if os.access("/proc", os.R_OK):
        with pytest.raises(DatasetError, match="cannot be"):
            a20_parquet.duckdb(dataset, Path("/proc/a.duckdb"))


def test_a_missing_dataset(tmp_path: Path) -> None:
    """As ``scan`` says it."""
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
