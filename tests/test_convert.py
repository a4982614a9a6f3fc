"""Conversions from end to end, read back by others."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import a20_parquet
from a20_parquet.errors import DatasetError, RecordError, SourceError, UsageError
from a20_parquet.source.decode import load_tensorflow
from tests.shards import FILENAME, make_record, random_tensor, write_shard

A2O_NAMES = [
    "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
    "site_0285/20201014T230000+1030_Arkaba-Dry-A_49501.flac",
    "site_0286/20201014T010000+1030_Arkaba-Wet-A_49600.flac",
    "20210301T235900-0330_Site-3_7.wav",
    "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
]


def read_with_tensorflow(
    shards: list[Path], compression: str = ""
) -> dict[tuple[str, float, int], npt.NDArray[np.uint32]]:
    """All windows by (filename, offset, channel), as TensorFlow reads them, as raw bits."""
    tf = load_tensorflow()
    windows = {}
    for raw in tf.data.TFRecordDataset([str(path) for path in shards], compression):
        features = tf.io.parse_single_example(
            raw,
            {
                "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
                "filename": tf.io.FixedLenFeature([], tf.string),
                "embedding": tf.io.FixedLenFeature([], tf.string),
            },
        )
        serialized = features["embedding"]
        is_half = tf.io.decode_proto(serialized, "tensorflow.TensorProto", ["dtype"], [tf.int32])[
            1
        ][0].numpy() == [19]
        dtype = tf.float16 if is_half.all() else tf.float32
        tensor = tf.cast(tf.io.parse_tensor(serialized, dtype), tf.float32).numpy()
        for t in range(tensor.shape[0]):
            for c in range(tensor.shape[1]):
                offset_s = float(features["timestamp_s"].numpy()) + 5.0 * t
                key = (features["filename"].numpy().decode(), offset_s, c)
                assert key not in windows
                windows[key] = tensor[t, c].view(np.uint32)
    return windows


def as_bits(frame: pl.DataFrame) -> dict[tuple[str, float, int], npt.NDArray[np.uint32]]:
    """The windows of a polars frame in the same form."""
    keys = frame.select("filename", "recording_offset_in_file", "channel").rows()
    return {
        key: row.view(np.uint32)
        for key, row in zip(keys, frame["embedding"].to_numpy(), strict=True)
    }


def assert_same_windows(
    found: dict[tuple[str, float, int], npt.NDArray[np.uint32]],
    expected: dict[tuple[str, float, int], npt.NDArray[np.uint32]],
) -> None:
    """Both hold the same windows, bit for bit."""
    assert found.keys() == expected.keys()
    for key, bits in expected.items():
        np.testing.assert_array_equal(found[key], bits)


def digests(dataset: Path, *, but: str = "") -> dict[str, str]:
    """SHA-256 of every file of a dataset."""
    return {
        path.relative_to(dataset).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in dataset.rglob("*")
        if path.is_file() and path.name != but
    }


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of shuffled records: several sites, channels, record lengths and float16."""
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(7)
    for shard in range(4):
        records = []
        for record in range(30):
            number = shard * 30 + record
            shape = (int(rng.integers(0, 13)), int(rng.choice([1, 1, 5])), 16)
            tensor = random_tensor(shape, number, np.float16 if number % 7 == 0 else np.float32)
            name = A2O_NAMES[int(rng.integers(len(A2O_NAMES)))]
            records.append(make_record(tensor, name, 60.0 * number))
        write_shard(folder / f"embeddings-{shard:05d}-of-00004", records)
    return folder


def test_real_shards_equal_what_tensorflow_reads(real_data: Path, tmp_path: Path) -> None:
    """402 windows of real recordings, float32 and float16, bit for bit; all readers agree."""
    out = tmp_path / "out"
    conversion = a20_parquet.convert(real_data / "perch-real" / "embeddings-0000[01]*", out)
    assert conversion.totals.windows == 402
    assert conversion.totals.records == 34
    assert conversion.runs_on_disk == 0
    scan = pl.scan_parquet(out / "data")
    schema = scan.collect_schema()
    assert schema["embedding"] == pl.Array(pl.Float32, 1280)
    assert schema["site"] == pl.String
    assert schema["date"] == pl.Date
    shards = sorted((real_data / "perch-real").glob("embeddings-0000[01]*"))
    assert_same_windows(as_bits(scan.collect()), read_with_tensorflow(shards))


def test_every_reader_gives_the_same_rows(shards: Path, tmp_path: Path) -> None:
    """polars, DuckDB, pyarrow and pandas open ``data/`` and agree on rows, keys and types."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out)
    order = ["filename", "recording_offset_in_file", "channel"]
    by_polars = pl.read_parquet(out / "data").sort(order)
    by_arrow = pl.DataFrame(
        pl.from_arrow(ds.dataset(out / "data", partitioning="hive").to_table())
    ).sort(order)
    query = f"from read_parquet('{out}/data/**/*.parquet', hive_partitioning=true)"
    relation = duckdb.sql(query)
    assert relation is not None
    by_duckdb = relation.pl()
    by_pandas = pd.read_parquet(out / "data")
    assert len(by_pandas) == len(by_polars) == conversion_windows(out)
    assert by_polars["date"].dtype == by_duckdb["date"].dtype == pl.Date
    for other in (by_arrow, by_duckdb.sort(order)):
        bits = as_bits(other.with_columns(pl.col("embedding").cast(pl.Array(pl.Float32, 16))))
        assert_same_windows(bits, as_bits(by_polars))
        keys = ["site", "date", "window_start", *order]
        ours, theirs = by_polars.select(keys), other.select(keys)
        assert [tuple(map(str, row)) for row in ours.rows()] == [
            tuple(map(str, row)) for row in theirs.rows()
        ]


def conversion_windows(dataset: Path) -> int:
    """What the manifest says."""
    manifest = json.loads((dataset / "manifest.json").read_text())
    return int(manifest["totals"]["windows"])


def test_all_windows_arrive_in_sorted_files(shards: Path, tmp_path: Path) -> None:
    """Each window is there once, in its site's and day's file, in the promised order."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out)
    assert_same_windows(
        as_bits(pl.read_parquet(out / "data")), read_with_tensorflow(sorted(shards.iterdir()))
    )
    files = pl.read_parquet(out / "files.parquet")
    assert sorted(files["path"]) == list(files["path"]) or files["path"].n_unique() == len(files)
    for path, site, date, rows, first, last in files.select(
        "path", "site", "date", "rows", "first_window_start", "last_window_start"
    ).rows():
        frame = pl.read_parquet(out / path, hive_partitioning=False)
        assert path == f"data/site={site}/date={date}/part-0000.parquet"
        assert len(frame) == rows
        assert frame["window_start"].min() == first
        assert frame["window_start"].max() == last
        assert set(frame["window_start_local"].dt.date()) == {date}
        keys = ["window_start", "filename", "recording_offset_in_file", "channel"]
        assert frame.select(keys).rows() == sorted(frame.select(keys).rows())


@pytest.mark.parametrize("partition_by", ["site,date", "site,month", "site,year", "site"])
def test_workers_and_memory_do_not_change_a_byte(
    shards: Path, tmp_path: Path, partition_by: str
) -> None:
    """One worker or two, everything in memory or many runs on disk: the same files."""
    found = []
    runs = []
    for number, (workers, memory) in enumerate(
        [(1, "1GiB"), (2, "1GiB"), (1, "10MB"), (2, "21MB"), (1, "9969664")]
    ):
        out = tmp_path / str(number)
        conversion = a20_parquet.convert(
            shards,
            out,
            partition_by=partition_by,
            workers=workers,
            memory=memory,
            row_group_rows=50,
            max_file_size=100 * 64,
        )
        found.append(digests(out))
        runs.append(conversion.runs_on_disk)
    assert all(other == found[0] for other in found)
    assert len(found[0]) > 10


def test_many_runs_merge_to_the_same_bytes(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiny buffers, as on an input far larger than the budget, give what large ones give."""
    from a20_parquet import job
    from a20_parquet.memory import MemoryPlan

    a20_parquet.convert(shards, tmp_path / "large")
    tiny = MemoryPlan(
        workers=2, batch_bytes=100, gather_rows=61, slice_rows=3, staging_rows=7, holds_all=False
    )
    monkeypatch.setattr(job, "plan_memory", lambda **_: tiny)
    conversion = a20_parquet.convert(shards, tmp_path / "tiny")
    assert conversion.runs_on_disk > 10
    assert digests(tmp_path / "tiny") == digests(tmp_path / "large")


def test_underestimated_input_spills_and_loses_nothing(tmp_path: Path) -> None:
    """Shards that inflate far more than expected overflow their buffer into runs."""
    records = [
        make_record(np.zeros((12, 1, 16), np.float32), FILENAME, 60.0 * i) for i in range(500)
    ]
    write_shard(tmp_path / "in" / "a-00000-of-00001", records, "GZIP")
    conversion = a20_parquet.convert(tmp_path / "in", tmp_path / "out")
    assert conversion.runs_on_disk > 0
    assert len(pl.read_parquet(tmp_path / "out" / "data")) == 6000


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_compressed_shards_convert_alike(tmp_path: Path, compression: str) -> None:
    """GZIP and ZLIB shards give the windows that TensorFlow reads from them."""
    tensors = [random_tensor((3, 2, 8), seed) for seed in range(5)]
    records = [make_record(tensor, FILENAME, 60.0 * i) for i, tensor in enumerate(tensors)]
    shard = write_shard(tmp_path / "in" / "a.tfrecord", records, compression)
    a20_parquet.convert(shard, tmp_path / "out")
    assert_same_windows(
        as_bits(pl.read_parquet(tmp_path / "out" / "data")),
        read_with_tensorflow([shard], compression),
    )


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_compressed_datasets_hold_the_same(shards: Path, tmp_path: Path, compression: str) -> None:
    """Every ``--compression`` reads back bit for bit."""
    a20_parquet.convert(shards, tmp_path / "out", compression=compression)
    assert_same_windows(
        as_bits(pl.read_parquet(tmp_path / "out" / "data")),
        read_with_tensorflow(sorted(shards.iterdir())),
    )


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_sources_may_be_urls(shards: Path, tmp_path: Path, protocol: str) -> None:
    """fsspec URLs of a folder give the same data files as the folder itself."""
    source = f"file://{shards}"
    if protocol == "memory":
        memory = fsspec.filesystem("memory")
        for path in shards.iterdir():
            memory.pipe(f"/in/{path.name}", path.read_bytes())
        source = "memory://in"
    a20_parquet.convert(source, tmp_path / "url")
    a20_parquet.convert(shards, tmp_path / "path")
    assert digests(tmp_path / "url", but="manifest.json") == digests(
        tmp_path / "path", but="manifest.json"
    )


def test_large_partitions_are_split(shards: Path, tmp_path: Path) -> None:
    """No file holds more embedding bytes than ``--max-file-size``; the rows go on in the next."""
    a20_parquet.convert(shards, tmp_path / "out", partition_by="site", max_file_size=6400)
    files = pl.read_parquet(tmp_path / "out" / "files.parquet")
    assert files["rows"].max() == 100
    split = files.filter(pl.col("site") == "site_0285")
    assert [Path(path).name for path in split["path"]] == [
        f"part-{part:04d}.parquet" for part in range(len(split))
    ]
    starts = split["first_window_start"].to_list()
    assert starts == sorted(starts)


def test_damaged_shard_stops_with_its_place(shards: Path, tmp_path: Path) -> None:
    """A wrong checksum names shard, record and byte offset, and leaves an empty folder."""
    shard = tmp_path / "embeddings-00000-of-00001"
    content = bytearray((shards / "embeddings-00000-of-00004").read_bytes())
    content[-20] ^= 1
    shard.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        a20_parquet.convert(shard, tmp_path / "out")
    assert caught.value.record == 29
    assert str(shard) in str(caught.value)
    assert f"byte {caught.value.offset}" in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_hoplite_filename_is_named(real_data: Path, tmp_path: Path) -> None:
    """A filename of another form stops the conversion and is named; nothing looks complete."""
    with pytest.raises(RecordError, match=r"neg/bar_neg\.wav"):
        a20_parquet.convert(real_data / "hoplite", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_other_dimensions_are_refused(tmp_path: Path) -> None:
    """A record with another D stops, and says where; ``--dims`` says which D to expect."""
    records = [make_record(random_tensor((1, 1, dims))) for dims in (8, 9)]
    shard = write_shard(tmp_path / "a.tfrecord", records)
    with pytest.raises(RecordError, match="9 dimensions, expected 8") as caught:
        a20_parquet.convert(shard, tmp_path / "out")
    assert caught.value.record == 1
    with pytest.raises(RecordError, match="8 dimensions, expected 9"):
        a20_parquet.convert(shard, tmp_path / "out", dims=9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory": "3XB"}, "--memory"),
        ({"memory": "1MB"}, "at least"),
        ({"workers": 0}, "--workers"),
        ({"partition_by": "date"}, "--partition-by"),
        ({"window_seconds": 0}, "--window-seconds"),
        ({"window_seconds": float("nan")}, "--window-seconds"),
        ({"no_such": 1}, "--no-such"),
    ],
)
def test_bad_options_are_named(
    shards: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """An option that makes no sense is a usage error with its name, before anything is written."""
    with pytest.raises(UsageError, match=message):
        a20_parquet.convert(shards, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_window_seconds_from_config(tmp_path: Path) -> None:
    """Perch's ``config.json`` tells the hop, unless ``--window-seconds`` does."""
    write_shard(tmp_path / "in" / "a.tfrecord", [make_record(random_tensor((3, 1, 8)))])
    config = {"embed_fn_config": {"model_config": {"hop_size_s": 2.5}}}
    (tmp_path / "in" / "config.json").write_text(json.dumps(config))
    a20_parquet.convert(tmp_path / "in", tmp_path / "a")
    a20_parquet.convert(tmp_path / "in", tmp_path / "b", window_seconds=1)
    for name, expected in (("a", [0.0, 2.5, 5.0]), ("b", [0.0, 1.0, 2.0])):
        frame = pl.read_parquet(tmp_path / name / "data")
        assert frame["recording_offset_in_file"].to_list() == expected


def test_existing_dataset_is_refused_unless_overwritten(shards: Path, tmp_path: Path) -> None:
    """A finished dataset stays as it is without ``--overwrite`` and is replaced with it."""
    out = tmp_path / "out"
    a20_parquet.convert(shards, out)
    before = digests(out)
    with pytest.raises(UsageError, match="--overwrite"):
        a20_parquet.convert(shards, out)
    assert digests(out) == before
    one = shards / "embeddings-00000-of-00004"
    assert a20_parquet.convert(one, out, overwrite=True).totals.shards == 1
    assert len(pl.read_parquet(out / "data")) == conversion_windows(out)


def test_other_peoples_folder_is_never_touched(shards: Path, tmp_path: Path) -> None:
    """A folder with anything else in it is refused, with ``--overwrite`` too."""
    (tmp_path / "thesis.tex").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="not touched"):
            a20_parquet.convert(shards, tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_full_disk_is_said_before_the_start(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little free space stops the command before a shard is read."""

    class Full:
        free = 10

    monkeypatch.setattr("shutil.disk_usage", lambda _: Full)
    with pytest.raises(DatasetError, match="10 are free"):
        a20_parquet.convert(shards, tmp_path / "out")


def test_killed_conversion_never_looks_complete(shards: Path, tmp_path: Path) -> None:
    """Killed while it writes, it leaves no manifest, is refused, and can be overwritten."""
    out = tmp_path / "out"
    code = (
        "import sys, time, a20_parquet\n"
        "from a20_parquet.dataset import merge\n"
        "write = merge.UnitWriter._write_file\n"
        "def slow(*args):\n"
        "    file = write(*args)\n"
        "    print('written', flush=True)\n"
        "    time.sleep(60)\n"
        "    return file\n"
        "merge.UnitWriter._write_file = slow\n"
        "a20_parquet.convert(sys.argv[1], sys.argv[2])\n"
    )
    arguments = [sys.executable, "-c", code, str(shards), str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    assert list(out.glob("data/**/*.parquet"))
    assert not (out / "manifest.json").exists()
    with pytest.raises(UsageError, match="unfinished"):
        a20_parquet.convert(shards, out)
    a20_parquet.convert(shards, out, overwrite=True)
    a20_parquet.convert(shards, tmp_path / "fresh")
    assert digests(out) == digests(tmp_path / "fresh")


def test_interrupt_stops_and_cleans_up(shards: Path, tmp_path: Path) -> None:
    """Ctrl-C ends with exit code 130, and the folder is empty again."""
    out = tmp_path / "out"
    code = (
        "import sys, time\n"
        "from a20_parquet import cli\n"
        "from a20_parquet.dataset import merge\n"
        "def slow(*args):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(2)\n"
        "    raise OSError('not reached in the main thread')\n"
        "merge.UnitWriter._write_file = slow\n"
        "sys.argv[1:] = ['convert', *sys.argv[1:]]\n"
        "cli.main()\n"
    )
    arguments = [sys.executable, "-c", code, str(shards), str(out)]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"writing\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        message = process.stderr.read().decode()
    assert process.returncode == 130, message
    assert "interrupted" in message
    assert list(out.iterdir()) == []


def test_shards_without_records(tmp_path: Path) -> None:
    """Empty shards beside others are counted; nothing but empty ones is an error."""
    empty = write_shard(tmp_path / "in" / "a-00000-of-00002", [])
    with pytest.raises(SourceError, match="holds a record"):
        a20_parquet.convert(empty, tmp_path / "out")
    write_shard(tmp_path / "in" / "a-00001-of-00002", [make_record(random_tensor((2, 1, 4)))])
    totals = a20_parquet.convert(tmp_path / "in", tmp_path / "out").totals
    assert (totals.shards, totals.records, totals.windows) == (2, 1, 2)


def test_records_without_windows_make_an_empty_dataset(tmp_path: Path) -> None:
    """A dataset may hold no window at all, and still be complete."""
    write_shard(tmp_path / "in" / "a.tfrecord", [make_record(random_tensor((0, 1, 4)))])
    totals = a20_parquet.convert(tmp_path / "in", tmp_path / "out").totals
    assert (totals.records, totals.windows, totals.files) == (1, 0, 0)


def test_manifest_has_no_trace_of_the_machine(shards: Path, tmp_path: Path) -> None:
    """No clock, host, scratch path, workers or budget in the manifest."""
    scratch = tmp_path / "elsewhere"
    a20_parquet.convert(shards, tmp_path / "out", scratch=scratch, workers=2, memory="21MB")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(manifest) == {
        "format",
        "version",
        "options",
        "totals",
        "files_checksum",
        "shards",
    }
    assert "elsewhere" not in json.dumps(manifest)
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "data",
        "files.parquet",
        "manifest.json",
    ]


def test_schema_survives_in_the_files(shards: Path, tmp_path: Path) -> None:
    """pyarrow gives back the very schema, fixed-size list and nullability included."""
    from a20_parquet.table.schema import window_schema

    a20_parquet.convert(shards, tmp_path / "out")
    for path in (tmp_path / "out" / "data").rglob("*.parquet"):
        assert pa.parquet.read_schema(path).remove_metadata() == window_schema(16)
