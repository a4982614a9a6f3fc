"""Conversions from end to end, read back by others."""

import json
from pathlib import Path

import duckdb
import fsspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import a20_parquet
from a20_parquet.errors import SourceError
from tests.helpers.conversions import (
    as_bits,
    assert_same_windows,
    digests,
    read_with_tensorflow,
    use_tiny_memory,
)
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard


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


def test_every_reader_gives_the_same_rows(shuffled: Path, tmp_path: Path) -> None:
    """polars, DuckDB, pyarrow and pandas open ``data/`` and agree on rows, keys and types."""
    out = tmp_path / "out"
    a20_parquet.convert(shuffled, out)
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


def test_all_windows_arrive_in_sorted_files(shuffled: Path, tmp_path: Path) -> None:
    """Each window is there once, in its site's and day's file, in the promised order."""
    out = tmp_path / "out"
    a20_parquet.convert(shuffled, out)
    assert_same_windows(
        as_bits(pl.read_parquet(out / "data")), read_with_tensorflow(sorted(shuffled.iterdir()))
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
    shuffled: Path, tmp_path: Path, partition_by: str
) -> None:
    """One worker or two, everything in memory or many runs on disk: the same files."""
    found = []
    runs = []
    for number, (workers, memory) in enumerate(
        [(1, "1GiB"), (2, "1GiB"), (1, "10MB"), (2, "21MB"), (1, "9969664")]
    ):
        out = tmp_path / str(number)
        conversion = a20_parquet.convert(
            shuffled,
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


@pytest.mark.slow
def test_many_runs_merge_to_the_same_bytes(
    shuffled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tiny buffers, as on an input far larger than the budget, give what large ones give."""
    a20_parquet.convert(shuffled, tmp_path / "large")
    use_tiny_memory(monkeypatch)
    conversion = a20_parquet.convert(shuffled, tmp_path / "tiny")
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
def test_compressed_datasets_hold_the_same(
    shuffled: Path, tmp_path: Path, compression: str
) -> None:
    """Every ``--compression`` reads back bit for bit."""
    a20_parquet.convert(shuffled, tmp_path / "out", compression=compression)
    assert_same_windows(
        as_bits(pl.read_parquet(tmp_path / "out" / "data")),
        read_with_tensorflow(sorted(shuffled.iterdir())),
    )


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_sources_may_be_urls(shuffled: Path, tmp_path: Path, protocol: str) -> None:
    """fsspec URLs of a folder give the same data files as the folder itself."""
    source = f"file://{shuffled}"
    if protocol == "memory":
        memory = fsspec.filesystem("memory")
        for path in shuffled.iterdir():
            memory.pipe(f"/in/{path.name}", path.read_bytes())
        source = "memory://in"
    a20_parquet.convert(source, tmp_path / "url")
    a20_parquet.convert(shuffled, tmp_path / "path")
    assert digests(tmp_path / "url", but="manifest.json") == digests(
        tmp_path / "path", but="manifest.json"
    )


def test_large_partitions_are_split(shuffled: Path, tmp_path: Path) -> None:
    """No file holds more embedding bytes than ``--max-file-size``; the rows go on in the next."""
    a20_parquet.convert(shuffled, tmp_path / "out", partition_by="site", max_file_size=6400)
    files = pl.read_parquet(tmp_path / "out" / "files.parquet")
    assert files["rows"].max() == 100
    split = files.filter(pl.col("site") == "site_0285")
    assert [Path(path).name for path in split["path"]] == [
        f"part-{part:04d}.parquet" for part in range(len(split))
    ]
    starts = split["first_window_start"].to_list()
    assert starts == sorted(starts)


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


def test_shards_without_records(tmp_path: Path) -> None:
    """Empty shards beside others are counted; nothing but empty ones is an error."""
    empty = write_shard(tmp_path / "in" / "a-00000-of-00002", [])
    with pytest.raises(SourceError, match=f"{empty} holds no record that is whole.*dims"):
        a20_parquet.convert(empty, tmp_path / "out")
    write_shard(tmp_path / "in" / "a-00001-of-00002", [make_record(random_tensor((2, 1, 4)))])
    totals = a20_parquet.convert(tmp_path / "in", tmp_path / "out").totals
    assert (totals.shards, totals.records, totals.windows) == (2, 1, 2)


def test_a_shard_that_is_cut_in_its_first_record(tmp_path: Path) -> None:
    """The error names the byte offset of the damage, and says what was found there."""
    shard = write_shard(tmp_path / "a.tfrecord", [make_record(random_tensor((2, 1, 4)))])
    shard.write_bytes(shard.read_bytes()[:20])
    found = f"no record that is whole \\({shard} at byte 0: the shard ends 20 bytes into a frame\\)"
    with pytest.raises(SourceError, match=found):
        a20_parquet.convert(shard, tmp_path / "out")


def test_records_without_windows_make_an_empty_dataset(tmp_path: Path) -> None:
    """A dataset may hold no window at all, and still be complete."""
    write_shard(tmp_path / "in" / "a.tfrecord", [make_record(random_tensor((0, 1, 4)))])
    totals = a20_parquet.convert(tmp_path / "in", tmp_path / "out").totals
    assert (totals.records, totals.windows, totals.files) == (1, 0, 0)


def test_manifest_has_no_trace_of_the_machine(shuffled: Path, tmp_path: Path) -> None:
    """No clock, host, scratch path, workers or budget in the manifest."""
    scratch = tmp_path / "elsewhere"
    a20_parquet.convert(shuffled, tmp_path / "out", scratch=scratch, workers=2, memory="21MB")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert set(manifest) == {
        "format",
        "version",
        "id",
        "checksum",
        "options",
        "totals",
        "files_checksum",
        "shards",
        "conversions",
        "origins",
        "quarantine",
    }
    assert "elsewhere" not in json.dumps(manifest)
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "data",
        "files.parquet",
        "manifest.json",
    ]


def test_schema_survives_in_the_files(shuffled: Path, tmp_path: Path) -> None:
    """pyarrow gives back the very schema, fixed-size list and nullability included."""
    from a20_parquet.windows.schema import window_schema

    a20_parquet.convert(shuffled, tmp_path / "out")
    for path in (tmp_path / "out" / "data").rglob("*.parquet"):
        assert pa.parquet.read_schema(path).remove_metadata() == window_schema(16)
