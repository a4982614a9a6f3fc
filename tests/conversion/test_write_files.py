"""The merge, and the files that it writes."""

# ruff: noqa: S311 - random rows, the same each time

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import crc32c
import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import DatasetError
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.merge_plan import MergeUnit, OutputFile
from a20_parquet.runs.run import Run
from a20_parquet.runs.stored_run import StoredRun, write_run
from a20_parquet.windows.order import keyed_schema
from a20_parquet.windows.schema import metadata_schema, window_schema
from tests.helpers.layout import LocalLayout
from tests.helpers.metadata import make_keyed
from tests.helpers.runs import DIMS, Row, embeddings_of, held, random_rows, sort_key
from tests.helpers.units import buffer, write_all

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def random_runs(rng: random.Random, sizes: Sequence[int], *, disjoint: bool) -> list[list[Row]]:
    """Rows of several runs, which overlap everywhere or nowhere."""
    names = ["".join(chr(ord("a") + 3 * i + k) for k in range(3)) for i in range(len(sizes))]
    return [
        random_rows(rng, size, shard, names[shard] if disjoint else "abc")
        for shard, size in enumerate(sizes)
    ]


def make_runs(rng: random.Random, rows: list[list[Row]], folder: Path, batch: int) -> list[Run]:
    """Runs of these rows, some in memory and some on disk."""
    runs: list[Run] = []
    for number, mine in enumerate(rows):
        memory = held(mine, rng)
        on_disk = rng.random() < 0.5
        path = folder / f"run-{number}"
        runs.append(StoredRun(write_run(memory, path, batch)) if on_disk else memory)
    return runs


def read_rows(cursor: MergeCursor, count: int, steps: Callable[[], int]) -> tuple[Any, bytes]:
    """Read rows and the bytes of their embeddings, at once or in pages of some size."""
    out = buffer(count)
    if steps() == 1:
        return cursor.read(out), out.tobytes()
    metadata, read = cursor.read_paged(out)
    page = steps()
    spans = [(start, min(start + page, count)) for start in range(0, count, page)]
    return metadata, b"".join(read(start, stop).tobytes() for start, stop in spans)


def check_cursor(cursor: MergeCursor, expected: list[Row], steps: Callable[[], int]) -> None:
    """Read all rows in some steps and compare them with the oracle's."""
    metadata = make_keyed(expected)
    done = 0
    while done < len(expected):
        count = min(steps(), len(expected) - done)
        batch, embeddings = read_rows(cursor, count, steps)
        assert isinstance(batch, pa.RecordBatch)
        assert batch.schema == keyed_schema()
        assert batch.to_pylist() == metadata.slice(done, count).to_pylist()
        assert embeddings == embeddings_of(expected[done : done + count]).tobytes()
        done += count
    with pytest.raises(EOFError):
        cursor.read(buffer(1))
    with pytest.raises(EOFError):
        cursor.read_paged(buffer(1))


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize(
    "sizes", [(1,), (40,), (1, 1), (30, 30), (3, 120, 2), (20, 1, 20, 5), (9, 8, 7, 6, 5, 4, 3)]
)
@pytest.mark.parametrize(("batch", "staging"), [(1, 1), (1, 50), (3, 2), (1024, 64)])
def test_cursor(
    sizes: tuple[int, ...], batch: int, staging: int, tmp_path: Path, *, disjoint: bool
) -> None:
    """Any runs merge into the oracle's order, whatever the buffers' sizes."""
    rng = random.Random(f"{sizes} {batch} {staging} {disjoint}")
    rows = random_runs(rng, sizes, disjoint=disjoint)
    runs = make_runs(rng, rows, tmp_path, batch)
    slices = [(0, len(mine)) for mine in rows]
    cursor = MergeCursor(runs, slices, batch_rows=batch, staging=buffer(staging))
    expected = sorted((row for mine in rows for row in mine), key=sort_key)
    check_cursor(cursor, expected, lambda: rng.choice([1, 2, 5, 30]))


@settings(max_examples=20)
@given(rng=st.randoms(use_true_random=False))
def test_cursor_over_slices(tmp_path_factory: pytest.TempPathFactory, rng: random.Random) -> None:
    """Only the rows of the slices come, and empty slices are no harm."""
    sizes = [rng.randint(1, 25) for _ in range(rng.randint(1, 7))]
    rows = random_runs(rng, sizes, disjoint=rng.random() < 0.3)
    batch = rng.choice([1, 4, 1024])
    runs = make_runs(rng, rows, tmp_path_factory.mktemp("runs"), batch)
    slices = [(0, 0) if rng.random() < 0.3 else rng_slice(rng, size) for size in sizes]
    expected = [
        row
        for mine, (start, stop) in zip(rows, slices, strict=True)
        for row in sorted(mine, key=sort_key)[start:stop]
    ]
    cursor = MergeCursor(runs, slices, batch_rows=batch, staging=buffer(rng.choice([1, 3, 64])))
    check_cursor(cursor, sorted(expected, key=sort_key), lambda: rng.choice([1, 3, 100]))


def rng_slice(rng: random.Random, size: int) -> tuple[int, int]:
    """A random slice of some rows, which may be empty."""
    start, stop = sorted(rng.choices(range(size + 1), k=2))
    return start, stop


def test_cursor_over_nothing() -> None:
    """A cursor without rows says so, with runs and without."""
    run = held(random_rows(random.Random(0), 3, 0))
    for runs, slices in [([], []), ([run], [(1, 1)]), ([run, run], [(0, 0), (3, 3)])]:
        with pytest.raises(EOFError):
            MergeCursor(runs, slices, batch_rows=4, staging=buffer(4)).read(buffer(1))


def test_equal_keys_keep_shard_and_record_order() -> None:
    """The same windows in several shards come in shard order, whatever the order of the runs."""
    same = [
        [{"site": "a", "period": 0, "window_start": 0, "filename": "x"} | {"shard": s, "record": r}]
        for s, r in [(2, 0), (0, 9), (1, 5), (0, 10)]
    ]
    defaults = {"recording_offset_in_file": 0.0, "channel": 0}
    runs = [held([row | defaults for row in mine]) for mine in same]
    cursor = MergeCursor(runs, [(0, 1)] * 4, batch_rows=1, staging=buffer(1))
    found = cursor.read(buffer(4)).to_pylist()
    assert [(row["shard"], row["record"]) for row in found] == [(0, 9), (0, 10), (1, 5), (2, 0)]


@pytest.mark.parametrize("row_group_rows", [1, 3, 100])
def test_files(claimed: LocalLayout, row_group_rows: int) -> None:
    """Three readers find the oracle's rows in the files, in order and bit for bit."""
    rng = random.Random(row_group_rows)
    rows = random_runs(rng, [40, 3, 25], disjoint=False)
    _, files, advanced = write_all(claimed, rows, row_group_rows)
    expected = sorted((row for mine in rows for row in mine), key=sort_key)
    assert sum(advanced) == len(expected) * DIMS * 4
    assert sorted(claimed.data.rglob("*.parquet")) == sorted(claimed.root / f.path for f in files)
    done = 0
    for file in files:
        mine = expected[done : done + file.rows]
        done += file.rows
        check_file(claimed.root / file.path, file, mine)
    assert done == len(expected)


def check_file(path: Path, file: FileSummary, rows: list[Row]) -> None:
    """Compare one file, and what is told of it, with its rows."""
    content = path.read_bytes()
    assert (file.bytes, file.checksum) == (len(content), f"{crc32c.crc32c(content):08x}")
    assert {(row["site"], row["period"]) for row in rows} == {(file.site, file.period)}
    instants = [row["window_start"] for row in rows if row["window_start"] is not None]
    bounds = (min(instants), max(instants)) if instants else (None, None)
    assert (file.first_window_us, file.last_window_us) == bounds
    values = embeddings_of(rows).tobytes()
    metadata = make_keyed(rows).select(metadata_schema().names).to_pylist()

    by_pyarrow = pq.ParquetFile(path).read()
    assert by_pyarrow.schema == window_schema(DIMS)
    by_polars = pl.read_parquet(path, hive_partitioning=False)
    assert by_polars.columns == window_schema(DIMS).names
    for column in (by_pyarrow["embedding"].combine_chunks(), by_polars["embedding"].to_arrow()):
        assert column.flatten().to_numpy().tobytes() == values
    assert by_pyarrow.drop_columns("embedding").to_pylist() == metadata
    assert by_polars.drop("embedding").to_dicts() == metadata

    query = (
        "select embedding, filename, epoch_us(window_start), channel"
        " from read_parquet($path, hive_partitioning = false, file_row_number = true)"
        " order by file_row_number"
    )
    with duckdb.connect() as connection:
        by_duckdb = connection.execute(query, {"path": str(path)}).fetchall()
    assert np.array([row[0] for row in by_duckdb], np.float32).tobytes() == values
    keys = [(row["filename"], row["window_start"], row["channel"]) for row in rows]
    assert [row[1:] for row in by_duckdb] == keys


def test_paths(claimed: LocalLayout) -> None:
    """Files lie in Hive folders, are numbered within their partition, and null has its folder."""
    row = random_rows(random.Random(0), 1, 0)[0] | {"site": "site_0285"}
    rows = [row | {"period": period, "record": n} for period in (18_549, None) for n in range(8)]
    _, files, _ = write_all(claimed, [rows])
    assert [(file.path, file.rows) for file in files] == [
        ("data/site=site_0285/date=__HIVE_DEFAULT_PARTITION__/part-0000.parquet", 7),
        ("data/site=site_0285/date=__HIVE_DEFAULT_PARTITION__/part-0001.parquet", 1),
        ("data/site=site_0285/date=2020-10-14/part-0000.parquet", 7),
        ("data/site=site_0285/date=2020-10-14/part-0001.parquet", 1),
    ]


def test_a_file_that_is_there_is_not_overwritten(claimed: LocalLayout) -> None:
    """A file in the way is an error that names it."""
    rows = [random_rows(random.Random(0), 5, 0)]
    _, files, _ = write_all(claimed, rows)
    with pytest.raises(DatasetError, match=files[0].path):
        write_all(claimed, rows)


def test_a_folder_that_can_not_be_made(claimed: LocalLayout) -> None:
    """A recorder's name that is too long for a folder is an error that names the folder."""
    row = random_rows(random.Random(0), 1, 0)[0] | {"site": "a" * 300}
    with pytest.raises(DatasetError, match="cannot be written"):
        write_all(claimed, [[row]])


def test_output_file_is_what_the_plan_says() -> None:
    """Rows of a unit are those of its files."""
    files = tuple(OutputFile(site="a", period=0, part=part, rows=part + 1) for part in range(3))
    assert MergeUnit(number=0, files=files, slices=np.zeros((0, 2), np.int64)).rows == 6
