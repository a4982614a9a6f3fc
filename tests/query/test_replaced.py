"""What was opened before a dataset was replaced, or a process was forked, says so at once."""

import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from duckdb import InvalidInputException
from duckdb import connect as connect_duckdb

from a20_parquet import connect, convert, duckdb, scan
from a20_parquet.errors import DatasetError
from tests.helpers.shards import make_record, random_tensor, write_shard

pytestmark = pytest.mark.slow

_CHILD = """
import os, sys
import a20_parquet
frame = a20_parquet.scan(sys.argv[1])
assert len(frame.collect()) == 2
child = os.fork()
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(frame.collect()) == 2
    sys.exit(0)
code = 0
queries = [a20_parquet.scan, a20_parquet.info, a20_parquet.connect]
for engine in "in-memory", "streaming":
    queries.append(lambda _, engine=engine: frame.head(1).collect(engine=engine))
for query in queries:
    try:
        query(sys.argv[1])
        code = 1
    except Exception as error:
        code = code or (0 if "forked" in str(error) else 2)
os._exit(code)
"""


def _shard(folder: Path, seed: int) -> Path:
    return write_shard(
        folder / f"{seed}-00000-of-00001", [make_record(random_tensor((2, 1, 8), seed))]
    )


def test_an_overwritten_dataset_is_no_longer_the_one_that_was_opened(tmp_path: Path) -> None:
    """A frame of before an overwrite is refused, also where the new one has as many windows."""
    dataset = tmp_path / "dataset"
    convert(_shard(tmp_path, 0), dataset, decoder="wire")
    frame = scan(dataset)
    before = frame.collect()
    convert(_shard(tmp_path, 1), dataset, decoder="wire", overwrite=True)
    with pytest.raises(DatasetError, match="was replaced since it was opened"):
        frame.collect()
    assert not scan(dataset).collect().equals(before)


@pytest.mark.parametrize("as_file", [False, True])
def test_duckdb_reads_no_other_dataset(tmp_path: Path, *, as_file: bool) -> None:
    """A view goes on after an append, with the rows of before, and fails after an overwrite."""
    dataset, rows = tmp_path / "dataset", "SELECT * FROM windows"
    convert(_shard(tmp_path, 0), dataset, decoder="wire")
    if as_file:
        duckdb(dataset, tmp_path / "view.duckdb")
    with connect_duckdb(tmp_path / "view.duckdb") if as_file else connect(dataset) as connection:
        before = connection.sql(rows).fetchall()
        convert([tmp_path / "0-00000-of-00001", _shard(tmp_path, 1)], dataset, decoder="wire")
        assert connection.sql(rows).fetchall() == before
        convert(tmp_path / "1-00000-of-00001", dataset, decoder="wire", overwrite=True)
        for query in (rows, "SELECT count(*) FROM windows", f"{rows} WHERE site = 'none'"):
            with pytest.raises(InvalidInputException, match="was replaced since it was opened"):
                connection.sql(query).fetchall()


def test_an_append_changes_nothing_of_what_was_opened(tmp_path: Path) -> None:
    """A frame of before an append gives the windows of before, and goes on."""
    dataset = tmp_path / "dataset"
    convert(_shard(tmp_path, 0), dataset, decoder="wire")
    frame = scan(dataset)
    before = frame.collect()
    convert([tmp_path / "0-00000-of-00001", _shard(tmp_path, 1)], dataset, decoder="wire")
    assert frame.collect().equals(before)
    (dataset / "manifest.json").unlink()
    with pytest.raises(DatasetError, match=r"manifest\.json"):
        frame.collect()


def test_a_store_tells_of_an_overwrite(tmp_path: Path) -> None:
    """So does a dataset in a store, as far as the store tells one manifest from another."""
    store = fsspec.filesystem("memory")
    place = f"/{tmp_path.name}-store"
    frames = []
    for seed in range(2):
        convert(_shard(tmp_path, seed), tmp_path / str(seed), decoder="wire")
        store.put(f"{tmp_path}/{seed}/", place, recursive=True)
        frames.append(scan(f"memory:/{place}"))
        assert len(frames[-1].collect()) == 2
    with pytest.raises(DatasetError, match="was replaced since it was opened"):
        frames[0].collect()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="nothing tells of threads")
def test_a_forked_child_says_that_it_can_read_nothing(tmp_path: Path) -> None:
    """Where polars' threads did not come along, opening is refused instead of waiting."""
    convert(_shard(tmp_path, 0), tmp_path / "dataset", decoder="wire")
    command = [sys.executable, "-W", "ignore", "-c", _CHILD, str(tmp_path / "dataset")]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
