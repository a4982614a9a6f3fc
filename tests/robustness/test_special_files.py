"""Named pipes and devices: said at once to be no files, never waited for."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from a20_parquet import (
    connect,
    convert,
    duckdb,
    info,
    inspect,
    repair,
    report,
    scan,
    similar,
    verify,
)
from a20_parquet.errors import A20ParquetError, DatasetError
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard

_SAID = "pipe, a socket or a device|is a file|is not a report"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of one shard, ``in/a-00000-of-00001``, beside a pipe, ``pipe``."""
    shard = write_shard(
        tmp_path / "in" / "a-00000-of-00001", [make_record(random_tensor((2, 1, 8)))]
    )
    os.mkfifo(tmp_path / "pipe")
    convert(shard, tmp_path / "dataset", decoder="wire")
    return tmp_path / "dataset"


@pytest.mark.parametrize(
    "call",
    [
        lambda folder: convert(folder / "pipe", folder / "out", decoder="wire"),
        lambda folder: convert("/dev/zero", folder / "out", decoder="wire"),
        lambda folder: convert(folder / "in", folder / "pipe", decoder="wire"),
        lambda folder: convert(folder / "in", "/dev/null", decoder="wire"),
        lambda folder: convert(folder / "in", folder / "out", sites=folder / "sites.csv"),
        lambda folder: convert(folder / "in", folder / "out", npy_json=folder / "pipe"),
        lambda folder: inspect(folder / "pipe"),
        lambda folder: info(folder / "pipe"),
        lambda folder: similar(folder / "dataset", folder / "window.npy"),
        lambda folder: duckdb(folder / "dataset", folder / "pipe", force=True),
        lambda folder: report(folder / "dataset", folder / "pipe"),
    ],
)
def test_no_pipe_is_opened(dataset: Path, call: Callable[[Path], object]) -> None:
    """A pipe or a device that a user names is refused."""
    (dataset.parent / "sites.csv").symlink_to("pipe")
    (dataset.parent / "window.npy").symlink_to("pipe")
    with pytest.raises(A20ParquetError, match=_SAID):
        call(dataset.parent)


@pytest.mark.parametrize("name", ["manifest.json", "files.parquet", "data"])
def test_no_pipe_in_a_dataset_is_opened(dataset: Path, name: str) -> None:
    """Nor one in the place of a dataset's file."""
    path = next(dataset.rglob("*-0000.parquet")) if name == "data" else dataset / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(A20ParquetError, match=_SAID):
        similar(dataset, f"{FILENAME}@0")
    if name == "data":
        [problem] = verify(dataset).problems
        assert "pipe" in str(problem)


@pytest.mark.parametrize("there", ["nothing", "pipe", "folder", "other file", "damaged"])
def test_duckdb_is_given_the_datasets_files_only(dataset: Path, there: str) -> None:
    """Queries read regular files of the right size, and wait for no other."""
    with connect(dataset) as connection:
        expected = connection.sql("SELECT sum(embedding[1]) FROM windows").fetchall()
    path = next(dataset.rglob("*-0000.parquet"))
    content = path.read_bytes()
    path.unlink()
    if there == "pipe":
        os.mkfifo(path)
    elif there == "folder":
        path.mkdir()
    elif there == "other file":
        path.write_bytes(content + b" ")
    elif there == "damaged":
        path.write_bytes(content[:-100] + bytes(100))
    with pytest.raises(DatasetError, match=str(path)):
        duckdb(dataset, dataset.parent / "windows.duckdb")
    with connect(dataset) as connection:
        windows = connection.sql("SELECT sum(embedding[1]) FROM windows")
        if there == "damaged":
            # Only the footer is: pages have checksums of their own.
            assert windows.fetchall() == expected
        else:
            with pytest.raises(Exception, match=str(path)):
                windows.fetchall()


def test_a_configuration_that_is_a_pipe_is_none(dataset: Path) -> None:
    """A pipe called ``config.json`` beside shards tells nothing."""
    os.mkfifo(dataset.parent / "in" / "config.json")
    found = convert(dataset.parent / "in", dataset.parent / "out", decoder="wire")
    assert found.totals.windows == 2


@pytest.mark.parametrize("put", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("name", ["commit.json", "plan.json", "files.parquet"])
def test_no_pipe_among_what_a_conversion_left_is_opened(
    dataset: Path, name: str, put: Callable[[Path], object]
) -> None:
    """Nor one below ``conversion/``; each command ends with a good dataset, or one clean error."""
    for use in (
        lambda: convert(dataset.parent / "in", dataset, decoder="wire"),
        lambda: convert(dataset.parent / "in", dataset, decoder="wire", overwrite=True),
        lambda: repair(dataset),
        lambda: info(dataset),
        lambda: verify(dataset),
    ):
        (dataset / "conversion").mkdir(exist_ok=True)
        if not (dataset / "conversion" / name).exists():
            put(dataset / "conversion" / name)
        with suppress(A20ParquetError):
            use()
    assert scan(dataset).collect().height == 2


def test_a_pipe_is_no_folder_to_delete(tmp_path: Path) -> None:
    """What would delete a folder does not wait for whoever writes to a pipe at its place."""
    os.mkfifo(tmp_path / "runs")
    (tmp_path / "link").symlink_to("runs")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from a20_parquet.storage.files import remove_tree\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        remove_tree(Path(name))\n"
        "    except OSError as error:\n"
        "        print(error)\n"
    )
    places = [str(tmp_path / "runs"), str(tmp_path / "link")]
    done = subprocess.run(
        [sys.executable, "-c", code, *places],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.count("Not a directory") == 2
    assert (tmp_path / "runs").is_fifo()
