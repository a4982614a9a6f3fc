"""Runs, in memory and on scratch disk."""

# ruff: noqa: S311 - random rows, the same each time

import random
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from a20_parquet.errors import DatasetError
from a20_parquet.runs.run import InMemoryRun
from a20_parquet.runs.stored_run import StoredRun, write_run
from a20_parquet.storage.path import parse_path
from a20_parquet.windows.order import keyed_schema
from tests.helpers.metadata import make_keyed, window_table
from tests.helpers.runs import DIMS, embeddings_of, held, random_rows, read_run, sort_key


@pytest.mark.parametrize("batch_rows", [1, 2, 7, 1000])
@pytest.mark.parametrize("rows", [1, 2, 14, 50])
def test_held_and_disk_runs_give_the_same_rows(rows: int, batch_rows: int, tmp_path: Path) -> None:
    """Both kinds give any slice of the sorted rows, with their embeddings bit for bit."""
    rng = random.Random(rows)
    unsorted = random_rows(rng, rows, 3)
    expected = sorted(unsorted, key=sort_key)
    metadata = make_keyed(expected)
    embeddings = embeddings_of(expected)
    memory = held(unsorted, rng)
    disk = StoredRun(write_run(memory, tmp_path / "run", batch_rows))
    stored = StoredRun(write_run(memory, parse_path(f"memory://runs{tmp_path}/run"), batch_rows))
    groups = [(k, len(list(g))) for k, g in groupby((r["site"], r["period"]) for r in expected)]
    bounds = [(0, rows), (rows - 1, rows), *(sorted(rng.sample(range(rows + 1), 2)) for _ in "123")]
    for run in (memory, disk, stored):
        found = run.partitions
        assert found.site.to_pylist() == [site for (site, _), _ in groups]
        assert found.period.to_pylist() == [period for (_, period), _ in groups]
        assert found.rows.tolist() == [count for _, count in groups]
        for start, stop in bounds:
            told, values = read_run(run, start, stop)
            assert told == metadata.slice(start, stop - start).to_pylist()
            assert values.tobytes() == embeddings[start:stop].tobytes()
            assert run.read_metadata(start, stop).schema == keyed_schema()
    assert [run.on_disk for run in (memory, disk, stored)] == [False, True, True]
    assert [run.is_remote for run in (memory, disk, stored)] == [False, False, True]


def test_a_run_is_three_files(tmp_path: Path) -> None:
    """The files are the documented ones: raw floats, metadata in small batches, and the index."""
    rows = sorted(random_rows(random.Random(1), 5, 0), key=sort_key)
    write_run(held(rows), tmp_path / "run-1", 2)
    names = ["run-1.embeddings", "run-1.index.arrow", "run-1.metadata.arrow"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    floats = np.fromfile(tmp_path / names[0], "<f4").reshape(-1, DIMS)
    assert floats.tobytes() == embeddings_of(rows).tobytes()
    with pa.OSFile(str(tmp_path / names[2])) as file:
        assert [len(batch) for batch in pa.ipc.open_stream(file)] == [2, 2, 1]


def test_writing_goes_through_a_small_buffer(tmp_path: Path) -> None:
    """A copy buffer smaller than a row, or than the run, changes nothing."""
    rows = random_rows(random.Random(2), 20, 0)
    expected = embeddings_of(sorted(rows, key=sort_key))
    written = [
        write_run(held(rows), tmp_path / "default", 3),
        *(
            write_run(held(rows), tmp_path / str(size), 3, copy_bytes=size)
            for size in (1, 7 * DIMS * 4, 10**6)
        ),
    ]
    assert len({files.embeddings for files in written}) == 1
    for disk in map(StoredRun, written):
        assert read_run(disk, 0, 20)[1].tobytes() == expected.tobytes()


def test_names_with_dots_stay_apart(tmp_path: Path) -> None:
    """Two runs whose names differ in number only do not share files."""
    first = StoredRun(
        write_run(held(random_rows(random.Random(3), 4, 0)), tmp_path / "run-000000-0000", 2)
    )
    write_run(held(random_rows(random.Random(4), 4, 1)), tmp_path / "run-000000-0001", 2)
    assert {row["shard"] for row in read_run(first, 0, 4)[0]} == {0}


def test_a_cut_run_is_told(tmp_path: Path) -> None:
    """Embeddings that are shorter than when they were written are an error that names the file."""
    disk = StoredRun(write_run(held(random_rows(random.Random(5), 4, 0)), tmp_path / "run", 2))
    path = tmp_path / "run.embeddings"
    path.write_bytes(path.read_bytes()[:-1])
    read_run(disk, 0, 3)
    with pytest.raises(DatasetError, match=r"run\.embeddings has been cut short"):
        read_run(disk, 3, 4)


@pytest.mark.parametrize("suffix", [".metadata.arrow", ".index.arrow"])
def test_damaged_metadata_is_told(suffix: str, tmp_path: Path) -> None:
    """Metadata or an index that was cut short is one of this package's errors too."""
    files = write_run(held(random_rows(random.Random(6), 40, 0)), tmp_path / "run", 2)
    path = tmp_path / f"run{suffix}"
    path.write_bytes(path.read_bytes()[:100])
    run = StoredRun(files)
    with pytest.raises(DatasetError):
        _ = run.partitions, read_run(run, 0, 40)


def test_a_held_run_does_not_copy(tmp_path: Path) -> None:
    """A held run reads where the windows were decoded, and writes what lies there then."""
    rows = sorted(random_rows(random.Random(7), 3, 0), key=sort_key)
    buffer = embeddings_of(rows)
    keyed = window_table(make_keyed(rows))
    memory = InMemoryRun(buffer, np.arange(3), keyed)
    buffer[:] = 7
    assert read_run(memory, 0, 3)[1].tolist() == [[7.0] * DIMS] * 3
    disk = StoredRun(write_run(memory, tmp_path / "run", 1))
    buffer[:] = 8
    assert read_run(disk, 0, 3)[1].tolist() == [[7.0] * DIMS] * 3
