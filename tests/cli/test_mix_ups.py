"""Errors name what is at a path, and what was probably meant, if arguments are mixed up."""

import shutil
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner

import a20_parquet
from a20_parquet.cli import main as cli
from a20_parquet.errors import A20ParquetError, DatasetError, SourceError, UsageError
from tests.helpers.command_line import run
from tests.helpers.shards import make_record, random_tensor, write_shard

COUNT = 5
NAME = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``shards`` and a ``dataset`` made of them; not to be changed."""
    folder = tmp_path_factory.mktemp("mixed-up")
    for n in range(COUNT):
        record = make_record(random_tensor((2, 1, 8), n), NAME, 60.0 * n)
        write_shard(folder / "shards" / f"e-{n:05d}-of-{COUNT:05d}", [record])
    a20_parquet.convert(folder / "shards", folder / "dataset", decoder="wire")
    return folder


def test_swapped_arguments(folder: Path) -> None:
    """The folder of shards is left alone, and named as what it is."""
    with pytest.raises(UsageError) as caught:
        a20_parquet.convert(folder / "dataset", folder / "shards")
    assert "but shards (e-00000-of-00005, " in str(caught.value)
    assert "and 2 more). SOURCE comes first, DATASET last" in str(caught.value)
    assert len(list((folder / "shards").iterdir())) == COUNT


def test_database_before_dataset(folder: Path, tmp_path: Path) -> None:
    """The error gives the order of the arguments, whether the database is there or not."""
    file = tmp_path / "w.duckdb"
    for _ in range(2):
        with pytest.raises(DatasetError, match="called like a database: DATASET comes first"):
            a20_parquet.duckdb(file, folder / "dataset")
        file.touch()


@pytest.mark.parametrize("name", ["convert", "npy-json"])
def test_one_argument_of_two(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """What is missing is the last one; without any it is the first."""
    last = {"convert": "DATASET", "npy-json": "FOLDER"}[name]
    code, _, err = run(monkeypatch, capsys, name, folder / "shards", "--workers", 1)
    assert (code, f"Missing argument '{last}'" in err) == (2, True)
    code, _, err = run(monkeypatch, capsys, name)
    assert (code, "Missing argument 'SOURCE...'" in err) == (2, True)


@pytest.mark.parametrize("name", ["convert", "inspect", "npy_json", "plan", "read_windows"])
def test_a_dataset_as_source(folder: Path, tmp_path: Path, name: str) -> None:
    """No command takes it for shards, nor its quarantine for all of it."""
    dataset = Path(shutil.copytree(folder / "dataset", tmp_path / "dataset"))
    write_shard(dataset / "quarantine" / "x.tfrecord", [make_record(random_tensor((1, 1, 8)))])
    to = (tmp_path / "out",) if name in {"convert", "npy_json"} else ()
    with pytest.raises(
        SourceError, match=r"dataset is a dataset, not a folder of shards.*/quarantine\."
    ):
        getattr(a20_parquet, name)(dataset, *to)


def test_a_dataset_as_its_own_source(folder: Path) -> None:
    """Nothing is in its quarantine that could go back."""
    dataset = folder / "dataset"
    for wrong in (
        lambda: a20_parquet.convert(dataset, dataset),
        lambda: a20_parquet.verify(dataset, dataset),
    ):
        with pytest.raises(SourceError, match="is a dataset, not a folder of shards"):
            wrong()


def test_a_part_of_a_dataset_as_source(folder: Path, tmp_path: Path) -> None:
    """Its files are named."""
    with pytest.raises(SourceError, match=r"files? passed over: part-0000\.parquet"):
        a20_parquet.convert(folder / "dataset" / "data", tmp_path / "out")


@pytest.mark.parametrize("place", ["local", "memory"])
@pytest.mark.parametrize("name", ["connect", "info", "report", "scan", "verify"])
def test_shards_as_dataset(folder: Path, place: str, name: str) -> None:
    """They are named, and what to do with them."""
    shards = str(folder / "shards")
    if place == "memory":
        fsspec.filesystem("memory").put(shards, f"/mixed-up-{name}", recursive=True)
        shards = f"memory://mixed-up-{name}"
    with pytest.raises(DatasetError, match=r"holds shards \(e-00000-of-00005, .* and 2 more\)"):
        getattr(a20_parquet, name)(shards)


@pytest.mark.parametrize(
    ("below", "told"),
    [
        ("", "has no manifest.json, but .*/dataset has. Name that one"),
        ("shards/e-00000-of-00005", "is a shard, and a dataset is a folder"),
        ("dataset/data", "is a part of a dataset. Name the dataset itself: .*/dataset$"),
        ("dataset/manifest.json", "is a part of a dataset"),
        ("dataset/data/site=site_0285", "is a part of a dataset. .*/dataset$"),
        ("none", "does not exist"),
    ],
)
def test_something_else_as_dataset(folder: Path, below: str, told: str) -> None:
    """What it is, and which folder was meant."""
    with pytest.raises(A20ParquetError, match=told):
        a20_parquet.info(folder / below)


@pytest.mark.parametrize("typed", ["--overwrit", "--overwrite2", "--forced", "--verbos"])
def test_what_deletes_is_not_suggested(typed: str) -> None:
    """Neither for what looks like it, nor for what was ever mistyped so."""
    for name in ("convert", "duckdb"):
        done = CliRunner().invoke(cli.cli, [name, "a", "b", typed])
        assert done.exit_code == 2
        assert "'--overwrite'" not in done.stderr
        assert "'--force'" not in done.stderr
    assert "--verbose" in done.stderr or typed != "--verbos"
