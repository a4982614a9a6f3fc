"""The merge, the files it writes, and what makes a dataset complete."""

# ruff: noqa: S311 - random rows, the same each time

import contextlib
import json
import os
import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import crc32c
import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from a20_parquet.dataset.layout import DatasetLayout, write_durably
from a20_parquet.dataset.manifest import (
    DataFile,
    Manifest,
    Plan,
    ShardSummary,
    TableOptions,
    commit_unit,
    committed_files,
    finalise,
)
from a20_parquet.dataset.merge import MergeCursor, UnitWriter
from a20_parquet.dataset.parquet import Compression, ParquetLayout
from a20_parquet.dataset.run import Run
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.table.partition import PartitionBy
from a20_parquet.table.plan import MergeUnit, OutputFile, plan_merge
from a20_parquet.table.schema import keyed_schema, metadata_schema, window_schema
from tests.dataset.runs import DIMS, Row, embeddings_of, held, random_rows, sort_key
from tests.table.heads import make_keyed

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OPTIONS = TableOptions(
    partition_by=PartitionBy.SITE_DATE,
    compression=Compression.NONE,
    max_file_size=512_000_000,
    row_group_rows=2048,
    window_seconds=5.0,
    dims=DIMS,
)
PLAN = Plan(options=OPTIONS, shards=(("shard", "file:///shard", 10),))


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
        runs.append(memory.write(folder / f"run-{number}", batch) if on_disk else memory)
    return runs


def buffer(rows: int) -> Any:
    """An embedding buffer full of what no test expects."""
    return np.full((rows, DIMS), np.nan, np.float32)


def check_cursor(cursor: MergeCursor, expected: list[Row], steps: Callable[[], int]) -> None:
    """Read all rows in some steps and compare them with the oracle's."""
    metadata = make_keyed(expected)
    done = 0
    while done < len(expected):
        count = min(steps(), len(expected) - done)
        out = buffer(count)
        batch = cursor.read(out)
        assert isinstance(batch, pa.RecordBatch)
        assert batch.schema == keyed_schema()
        assert batch.to_pylist() == metadata.slice(done, count).to_pylist()
        assert out.tobytes() == embeddings_of(expected[done : done + count]).tobytes()
        done += count
    with pytest.raises(EOFError):
        cursor.read(buffer(1))


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


@pytest.mark.parametrize("seed", range(12))
def test_cursor_over_slices(seed: int, tmp_path: Path) -> None:
    """Only the rows of the slices come, and empty slices are no harm."""
    rng = random.Random(seed)
    sizes = [rng.randint(1, 25) for _ in range(rng.randint(1, 7))]
    rows = random_runs(rng, sizes, disjoint=seed % 3 == 0)
    batch = rng.choice([1, 4, 1024])
    runs = make_runs(rng, rows, tmp_path, batch)
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


def write_all(
    layout: DatasetLayout, rows: list[list[Row]], row_group_rows: int = 3, by: str = "site,date"
) -> tuple[list[MergeUnit], list[DataFile], list[int]]:
    """Merge rows into a claimed dataset, with files of 7 rows and units of 20."""
    runs: list[Run] = [held(mine) for mine in rows]
    units = plan_merge([run.partitions for run in runs], rows_per_file=7, rows_per_unit=20)
    parquet = ParquetLayout(window_schema(DIMS), Compression.NONE)
    writer = UnitWriter(
        layout,
        parquet,
        PartitionBy(by),
        row_group_rows=row_group_rows,
        turn=threading.Lock(),
    )
    advanced: list[int] = []
    files = []
    for unit in units:
        cursor = MergeCursor(runs, unit.slices, batch_rows=2, staging=buffer(2))
        files += writer.write(unit, cursor, advanced.append)
    return units, files, advanced


@pytest.fixture
def claimed(tmp_path: Path) -> DatasetLayout:
    """A dataset that a conversion has begun."""
    layout = DatasetLayout.at(tmp_path / "dataset")
    layout.claim(PLAN, overwrite=False)
    return layout


@pytest.mark.parametrize("row_group_rows", [1, 3, 100])
def test_files(claimed: DatasetLayout, row_group_rows: int) -> None:
    """Three readers find the oracle's rows in the files, in order and bit for bit."""
    rng = random.Random(row_group_rows)
    rows = random_runs(rng, [40, 3, 25], disjoint=False)
    units, files, advanced = write_all(claimed, rows, row_group_rows)
    expected = sorted((row for mine in rows for row in mine), key=sort_key)
    assert sum(advanced) == len(expected) * DIMS * 4
    assert sorted(claimed.data.rglob("*.parquet")) == sorted(claimed.root / f.path for f in files)
    done = 0
    for file in files:
        mine = expected[done : done + file.rows]
        done += file.rows
        check_file(claimed.root / file.path, file, mine)
    assert done == len(expected)
    assert committed_files(claimed, len(units)) == files


def check_file(path: Path, file: DataFile, rows: list[Row]) -> None:
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


def test_paths(claimed: DatasetLayout) -> None:
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


def test_a_file_that_is_there_is_not_overwritten(claimed: DatasetLayout) -> None:
    """A file in the way is an error that names it, and no marker is written."""
    rows = [random_rows(random.Random(0), 5, 0)]
    _, files, _ = write_all(claimed, rows)
    marker = claimed.units / "unit-000000.json"
    marker.unlink()
    with pytest.raises(DatasetError, match=files[0].path):
        write_all(claimed, rows)
    assert not marker.exists()


def test_a_folder_that_can_not_be_made(claimed: DatasetLayout) -> None:
    """A recorder's name that is too long for a folder is an error that names the folder."""
    row = random_rows(random.Random(0), 1, 0)[0] | {"site": "a" * 300}
    with pytest.raises(DatasetError, match="can't be written"):
        write_all(claimed, [[row]])


def data_file(path: str = "data/site=a/part-0000.parquet", **other: Any) -> DataFile:
    """A data file that nobody wrote."""
    values = {
        "path": path,
        "site": "a",
        "period": 18_549,
        "rows": 3,
        "bytes": 100,
        "checksum": "00c0ffee",
        "first_window_us": -1,
        "last_window_us": 10**15,
    }
    return DataFile.model_validate(values | other)


def test_markers(claimed: DatasetLayout) -> None:
    """Files of all units come back in the order of the units, however they were committed."""
    first, second, third = data_file("1"), data_file("2", period=None), data_file("3")
    commit_unit(claimed, 1, [third])
    commit_unit(claimed, 0, [first, second])
    assert committed_files(claimed, 2) == [first, second, third]
    assert committed_files(claimed, 0) == []
    with pytest.raises(DatasetError, match=r"unit-000002\.json is missing"):
        committed_files(claimed, 3)


def test_half_written_marker_counts_for_nothing(claimed: DatasetLayout) -> None:
    """What a crash leaves of a marker in the making is not taken for one."""
    (claimed.units / "unit-000000.json.tmp").write_text("[")
    with pytest.raises(DatasetError, match=r"unit-000000\.json is missing"):
        committed_files(claimed, 1)


@pytest.mark.parametrize(
    ("by", "kind", "values"),
    [
        ("site,date", pa.date32(), [date(2020, 10, 14), date(1969, 12, 31), None]),
        ("site,month", pa.string(), ["3515-10", "1969-12", None]),
        ("site,year", pa.int64(), [18549, -1, None]),
        ("site", None, None),
    ],
)
def test_files_parquet(
    claimed: DatasetLayout, by: str, kind: Any, values: list[Any] | None
) -> None:
    """``files.parquet`` has a row a data file, with the period in the key's own type."""
    files = [
        data_file("1"),
        data_file("2", period=-1, site="b"),
        data_file("3", period=None, first_window_us=None, last_window_us=None),
    ]
    options = OPTIONS.model_copy(update={"partition_by": PartitionBy(by)})
    finalise(claimed, options, [], files)
    table = pq.read_table(claimed.files)
    key = PartitionBy(by).period
    names = ["rows", "bytes", "checksum", "first_window_start", "last_window_start"]
    assert table.column_names == ["path", "site", *([key] if key else []), *names]
    if key:
        assert table.schema.field(key).type == kind
        assert table[key].to_pylist() == values
    assert table["path"].to_pylist() == ["1", "2", "3"]
    assert table["site"].to_pylist() == ["a", "b", "a"]
    assert table["rows"].to_pylist() == [3, 3, 3]
    assert table["bytes"].to_pylist() == [100, 100, 100]
    assert table["checksum"].to_pylist() == ["00c0ffee"] * 3
    first = EPOCH - timedelta(microseconds=1)
    assert table["first_window_start"].to_pylist() == [first, first, None]
    last = EPOCH + timedelta(microseconds=10**15)
    assert table["last_window_start"].to_pylist() == [last, last, None]


def test_manifest(claimed: DatasetLayout) -> None:
    """The manifest counts what there is, knows the checksum, and reads back as it was."""
    shard = ShardSummary(label="l", url="file:///l", bytes=10, checksum="00", records=2, windows=24)
    files = [data_file("1"), data_file("2", site="b"), data_file("3", period=7)]
    manifest = finalise(claimed, OPTIONS, [shard, shard], files)
    assert manifest.totals.model_dump() == {
        "shards": 2,
        "records": 4,
        "windows": 9,
        "sites": 2,
        "dates": 2,
        "files": 3,
        "bytes": 300,
    }
    checksum = crc32c.crc32c(claimed.files.read_bytes())
    assert manifest.files_checksum == f"{checksum:08x}"
    assert Manifest.model_validate_json(claimed.manifest.read_text()) == manifest
    once = (claimed.manifest.read_bytes(), claimed.files.read_bytes())
    finalise(claimed, OPTIONS, [shard, shard], files)
    assert (claimed.manifest.read_bytes(), claimed.files.read_bytes()) == once
    for private in (str(claimed.root), os.uname().nodename):
        assert private not in claimed.manifest.read_text()


def test_manifest_of_nothing(claimed: DatasetLayout) -> None:
    """A dataset without a window is complete, with an empty list of files of the same columns."""
    manifest = finalise(claimed, OPTIONS, [], [])
    assert set(manifest.totals.model_dump().values()) == {0}
    assert pq.read_table(claimed.files).num_rows == 0
    assert pq.read_schema(claimed.files).field("date").type == pa.date32()


def test_write_durably(tmp_path: Path) -> None:
    """A small file is replaced whole, and nothing else is left."""
    path = tmp_path / "file"
    for text in ("first", "\N{KOALA}"):
        write_durably(path, text)
        assert path.read_text("utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


# What may lie at a dataset's place, by name.
def put_nothing(_: Path) -> None:
    """Not even the folder."""


def put_empty(root: Path) -> None:
    """An empty folder."""
    root.mkdir()


def put_file(root: Path) -> None:
    """A file where the folder should be."""
    root.write_text("mine")


def put_foreign(root: Path) -> None:
    """A folder with somebody's file."""
    root.mkdir()
    (root / "notes.txt").write_text("mine")


def put_foreign_manifest(root: Path) -> None:
    """A folder of another tool that calls its file manifest.json too."""
    (root / "data").mkdir(parents=True)
    (root / "data" / "precious").write_text("mine")
    (root / "manifest.json").write_text(json.dumps({"format": "other"}))


def put_manifest_of_no_object(root: Path) -> None:
    """A folder whose manifest.json is a list."""
    root.mkdir()
    (root / "manifest.json").write_text("[1]")


def put_manifest_of_no_json(root: Path) -> None:
    """A folder whose manifest.json is not even text."""
    root.mkdir()
    (root / "manifest.json").write_bytes(b"\xff\xfe")


def put_foreign_plan(root: Path) -> None:
    """A folder of another tool that has a conversion/plan.json too."""
    (root / "conversion").mkdir(parents=True)
    (root / "conversion" / "plan.json").write_text(json.dumps({"format": "other"}))
    (root / "data").mkdir()
    (root / "data" / "precious").write_text("mine")


def put_unfinished(root: Path) -> None:
    """A conversion that died in the merge."""
    layout = DatasetLayout(root)
    layout.claim(PLAN, overwrite=False)
    write_all(layout, [random_rows(random.Random(0), 9, 0)])
    (layout.conversion / "a20-parquet-runs-x").mkdir()
    (layout.conversion / "a20-parquet-runs-x" / "run.embeddings").write_bytes(b"1")


def put_complete(root: Path) -> None:
    """A finished dataset."""
    layout = DatasetLayout(root)
    layout.claim(PLAN, overwrite=False)
    units, _, _ = write_all(layout, [random_rows(random.Random(0), 9, 0)])
    finalise(layout, OPTIONS, [], committed_files(layout, len(units)))
    layout.release()


def listing(root: Path) -> list[tuple[str, bytes]]:
    """All there is at a place."""
    if not root.exists():
        return []
    paths = [root, *sorted(root.rglob("*"))]
    return [(str(p), p.read_bytes() if p.is_file() else b"") for p in paths]


def is_fresh(layout: DatasetLayout) -> bool:
    """Whether the place holds a conversion that has just begun."""
    names = {path.relative_to(layout.root).as_posix() for path in layout.root.rglob("*")}
    return names == {"data", "conversion", "conversion/units", "conversion/plan.json"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("put", [put_nothing, put_empty])
def test_claim_what_is_free(
    put: Callable[[Path], None], tmp_path: Path, *, overwrite: bool
) -> None:
    """Nothing and an empty folder can be claimed."""
    layout = DatasetLayout.at(tmp_path / "a" / "dataset")
    layout.root.parent.mkdir()
    put(layout.root)
    layout.check(overwrite=overwrite)
    layout.claim(PLAN, overwrite=overwrite)
    assert is_fresh(layout)
    assert Plan.model_validate_json(layout.plan.read_text()) == PLAN


@pytest.mark.parametrize(
    ("put", "told"), [(put_unfinished, "an unfinished conversion"), (put_complete, "a dataset")]
)
def test_claim_what_is_ours(put: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    """A dataset, finished or not, is refused without overwriting and replaced with it."""
    layout = DatasetLayout.at(tmp_path / "dataset")
    put(layout.root)
    before = listing(layout.root)
    for refuse in (layout.check, lambda *, overwrite: layout.claim(PLAN, overwrite=overwrite)):
        with pytest.raises(UsageError, match=f"holds {told}.*--overwrite"):
            refuse(overwrite=False)
        assert listing(layout.root) == before
    layout.claim(PLAN, overwrite=True)
    assert is_fresh(layout)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "put",
    [
        put_file,
        put_foreign,
        put_foreign_manifest,
        put_manifest_of_no_object,
        put_manifest_of_no_json,
        put_foreign_plan,
    ],
)
def test_claim_what_is_not_ours(
    put: Callable[[Path], None], tmp_path: Path, *, overwrite: bool
) -> None:
    """Anything else is refused, with overwriting too, and stays as it is."""
    layout = DatasetLayout.at(tmp_path / "dataset")
    put(layout.root)
    before = listing(layout.root)
    with pytest.raises(UsageError, match="Name a") as told:
        layout.claim(PLAN, overwrite=overwrite)
    assert "give --overwrite" not in str(told.value)
    assert listing(layout.root) == before


def test_release_and_abandon(tmp_path: Path) -> None:
    """Releasing leaves the dataset, abandoning leaves an empty folder, and both can be claimed."""
    layout = DatasetLayout.at(tmp_path / "dataset")
    put_complete(layout.root)
    names = {path.name for path in layout.root.iterdir()}
    assert names == {"data", "files.parquet", "manifest.json"}
    layout.claim(PLAN, overwrite=True)
    layout.abandon()
    assert list(layout.root.iterdir()) == []
    layout.claim(PLAN, overwrite=False)
    assert is_fresh(layout)


class Killed(BaseException):
    """Stands for the end of the process."""


class Death:
    """Lets a number of changes to the file system happen, and none after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, changes: int) -> None:
        self.left = changes
        self.died = False
        for name in ("unlink", "rmdir", "mkdir", "replace", "remove"):
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name)))

    def _wrap(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def limited(*args: Any, **options: Any) -> Any:
            if self.left == 0:
                self.died = True
                raise Killed
            self.left -= 1
            return change(*args, **options)

        return limited


def claim(layout: DatasetLayout) -> None:
    """Begin afresh."""
    layout.claim(PLAN, overwrite=True)


def is_whole(layout: DatasetLayout) -> bool:
    """Whether every file that a complete dataset names is there."""
    paths = pq.read_table(layout.files)["path"].to_pylist() if layout.files.exists() else [""]
    return all((layout.root / path).is_file() for path in paths)


KILLED = [
    (put_complete, claim),
    (put_unfinished, claim),
    (put_complete, DatasetLayout.release),
    (put_nothing, claim),
    (put_unfinished, DatasetLayout.abandon),
]


@pytest.mark.parametrize(("put", "act"), KILLED)
def test_killed_at_any_change(
    put: Callable[[Path], None], act: Callable[[DatasetLayout], None], tmp_path: Path
) -> None:
    """Whenever a process dies, nothing broken passes for complete, and the place can be claimed."""
    for changes in range(1000):
        layout = DatasetLayout.at(tmp_path / str(changes))
        put(layout.root)
        if act is DatasetLayout.release:
            layout.units.mkdir(parents=True)
            layout.plan.write_text(PLAN.model_dump_json())
        with pytest.MonkeyPatch.context() as patch:
            death = Death(patch, changes)
            with contextlib.suppress(Killed):
                act(layout)
        if layout.manifest.exists():
            assert is_whole(layout)
        layout.claim(PLAN, overwrite=True)
        assert is_fresh(layout)
        if not death.died:
            assert changes > 0
            return
    pytest.fail("it never came to an end")


def test_claim_of_a_place_that_can_not_be_written(tmp_path: Path) -> None:
    """A folder below a file can't be made, which is an error that names the place."""
    (tmp_path / "file").write_text("mine")
    layout = DatasetLayout.at(tmp_path / "file" / "dataset")
    with pytest.raises(DatasetError, match="can't be written"):
        layout.claim(PLAN, overwrite=False)


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset's place is a local folder, made absolute; other URLs are refused."""
    monkeypatch.chdir(tmp_path)
    assert DatasetLayout.at("a").root == tmp_path / "a"
    assert DatasetLayout.at(tmp_path / "a").root == tmp_path / "a"
    assert DatasetLayout.at(f"file://{tmp_path}/a").root == tmp_path / "a"
    with pytest.raises(UsageError, match="local folder"):
        DatasetLayout.at("s3://bucket/a")


def test_models_are_strict() -> None:
    """What a marker or manifest of another version holds in addition is refused, not dropped."""
    for value in (data_file(), PLAN, OPTIONS):
        with pytest.raises(ValueError, match="extra"):
            type(value).model_validate(value.model_dump() | {"extra": 1})


def test_output_file_is_what_the_plan_says() -> None:
    """Rows of a unit are those of its files."""
    files = tuple(OutputFile(site="a", period=0, part=part, rows=part + 1) for part in range(3))
    assert MergeUnit(number=0, files=files, slices=()).rows == 6
