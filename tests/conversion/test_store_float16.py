"""``--store float16``: half the bytes, exact where shards hold halves, else the error is told."""

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from tests.helpers.command_line import run
from tests.helpers.conversions import (
    as_bits,
    assert_same_windows,
    digests,
    read_with_tensorflow,
    use_tiny_memory,
)
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard

HALF: dict[str, Any] = {"store": "float16", "partition_by": "site", "decoder": "wire"}


def stored(dataset: Path) -> Any:
    """All embeddings as pyarrow reads them, shape ``(windows, dims)``, float16."""
    tables = [pq.ParquetFile(file).read() for file in sorted(dataset.rglob("data/**/*.parquet"))]
    column = pa.concat_tables(tables)["embedding"].combine_chunks()
    assert column.type.value_type == pa.float16()
    return column.flatten().to_numpy(zero_copy_only=False).reshape(-1, column.type.list_size)


def expected_halves(shards: list[Path]) -> dict[Any, Any]:
    """The windows that TensorFlow reads, rounded by NumPy, as the bits of floats."""
    return {
        key: bits.view(np.float32).astype(np.float16).astype(np.float32).view(np.uint32)
        for key, bits in read_with_tensorflow(shards).items()
    }


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
@pytest.mark.parametrize("by", ["site", "site,date"])
def test_all_readers_have_the_halves(
    shuffled: Path, tmp_path: Path, compression: str, by: str
) -> None:
    """Readers of this program give float32, others what the files hold."""
    options = HALF | {"compression": compression, "partition_by": by, "row_group_rows": 700}
    a20_parquet.convert(shuffled, tmp_path / "out", **options)
    expected = expected_halves(sorted(shuffled.iterdir()))
    found = a20_parquet.scan(tmp_path / "out").collect()
    assert found.schema["embedding"] == pl.Array(pl.Float32, 16)
    assert_same_windows(as_bits(found), expected)
    plain = pl.read_parquet(tmp_path / "out" / "data", try_parse_hive_dates=False)
    assert plain.schema["embedding"] == pl.Array(pl.Float16, 16)
    wide = plain.with_columns(pl.col("embedding").cast(pl.Array(pl.Float32, 16)))
    assert_same_windows(as_bits(wide), expected)
    files = f"{tmp_path}/out/data/**/*.parquet"
    with duckdb.connect() as memory:
        rows = memory.execute(
            "select filename, recording_offset_in_file, channel, embedding from read_parquet(?)",
            [files],
        ).fetchall()
    assert len(rows) == len(expected)
    for name, offset_s, channel, embedding in rows:
        bits = np.array(embedding, np.float32).view(np.uint32)
        np.testing.assert_array_equal(bits, expected[name, offset_s, channel])
    with a20_parquet.connect(tmp_path / "out") as connection:
        kinds = connection.sql("select distinct typeof(embedding) from windows").fetchall()
    assert kinds == [("FLOAT[16]",)]
    assert stored(tmp_path / "out").shape == (len(expected), 16)
    assert a20_parquet.verify(tmp_path / "out", source=[shuffled]).is_good


@pytest.mark.parametrize("embeddings", ["located", "copied"])
@pytest.mark.parametrize("decoder", ["wire", "tensorflow"])
def test_every_way_gives_the_same_bytes(
    shuffled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embeddings: str, decoder: str
) -> None:
    """Also with tiny buffers, and so the measured rounding is the same."""
    a20_parquet.convert(shuffled, tmp_path / "a", **HALF)
    use_tiny_memory(monkeypatch)
    options = HALF | {"decoder": decoder, "embeddings": embeddings}
    a20_parquet.convert(shuffled, tmp_path / "b", **options)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_rounding_is_measured(tmp_path: Path) -> None:
    """NumPy in double precision finds the same errors; the manifest keeps them."""
    tensor = random_tensor((12, 2, 16), 3) * 100
    tensor[0, 0, :4] = [1e-9, -3e-5, np.nan, -np.inf]
    tensor[1, 1] = 0
    shard = write_shard(tmp_path / "in" / "a-00000-of-00001", [make_record(tensor)])
    made = a20_parquet.convert(shard, tmp_path / "out", **HALF)
    assert made.rounding is not None
    finite = np.isfinite(tensor)
    with np.errstate(over="ignore"):
        halves = tensor.astype(np.float16)
    floats = np.where(finite, tensor, 0).astype(np.float64).reshape(-1, 16)
    rounded = np.where(finite, halves, 0).astype(np.float64).reshape(-1, 16)
    off = np.abs(floats - rounded)
    normal = np.abs(floats) >= 2.0**-14
    assert made.rounding.changed == np.count_nonzero(off)
    assert made.rounding.max_absolute == off.max()
    assert made.rounding.max_relative == (off[normal] / np.abs(floats[normal])).max() < 2.0**-11
    some = floats.any(axis=1)
    lengths = np.linalg.norm(floats[some], axis=1) * np.linalg.norm(rounded[some], axis=1)
    cosine = ((floats * rounded).sum(axis=1)[some] / lengths).min()
    assert made.rounding.least_cosine == pytest.approx(cosine, abs=2e-9)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["options"]["store"] == "float16"
    assert manifest["conversions"][0]["rounding"]["max_absolute"] == off.max()
    info = a20_parquet.info(tmp_path / "out")
    assert (info.store, info.rounding) == ("float16", made.rounding)
    found = stored(tmp_path / "out")
    np.testing.assert_array_equal(found, halves.reshape(-1, 16))
    assert a20_parquet.verify(tmp_path / "out", source=[shard]).is_good


def test_halves_stay_exact(tmp_path: Path) -> None:
    """Also NaN and subnormal ones; nothing is rounded, and files take half the bytes."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    # Signalling NaN is not kept by every processor.
    bits = bits[(bits & 0x7C00 != 0x7C00) | (bits & 0x3FF == 0) | (bits & 0x200 != 0)]
    tensor = bits[: len(bits) // 1024 * 1024].view(np.float16).reshape(-1, 1, 1024)
    shard = write_shard(tmp_path / "in" / "a-00000-of-00001", [make_record(tensor)])
    made = a20_parquet.convert(shard, tmp_path / "out", **HALF)
    whole = a20_parquet.convert(shard, tmp_path / "wide", **(HALF | {"store": "float32"}))
    assert str(made.rounding) == "no value changed"
    assert whole.rounding is None
    found = stored(tmp_path / "out").view(np.uint16)
    np.testing.assert_array_equal(found, tensor.view(np.uint16).reshape(found.shape))
    assert made.totals.bytes < 0.6 * whole.totals.bytes


def test_too_large_values_go_to_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record with a finite value that would become infinite is kept byte for byte."""
    records = []
    for number, value in enumerate([65504.0, 65519.9, 65520.0, -1e30, np.inf]):
        tensor = random_tensor((2, 1, 4), number)
        tensor[1, 0, 2] = value
        tensor[0, 0, 0] = np.nan
        records.append(make_record(tensor, FILENAME, 60.0 * number))
    shard = write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    out = tmp_path / "out"
    code, shown, said = run(
        monkeypatch, capsys, "convert", shard, out, "--store", "float16", "--decoder", "wire"
    )
    assert code == 3
    assert "2 records in quarantine: 2 too_large" in shown
    assert "values rounded, by" in said
    listed = next((out / "quarantine").glob("*.jsonl")).read_text()
    assert "65520, expected 65504 at most as a float16 holds it" in listed
    assert a20_parquet.verify(out, source=[shard]).is_good
    assert len(a20_parquet.scan(out).collect()) == 6


def test_another_store_cannot_be_appended(shuffled: Path, tmp_path: Path) -> None:
    """An append of halves measures its own rounding; duplicates are found among rounded windows."""
    shards = sorted(shuffled.iterdir())
    for first, second in (("float16", "float32"), ("float32", "float16")):
        out = tmp_path / first
        a20_parquet.convert(shards[:2], out, **(HALF | {"store": first}))
        with pytest.raises(UsageError, match=f"store is .*{second}.*was .*{first}"):
            a20_parquet.convert(shards, out, **(HALF | {"store": second}))
    a20_parquet.convert(shards, tmp_path / "float16", **HALF)
    assert len(json.loads((tmp_path / "float16" / "manifest.json").read_text())["conversions"]) == 2
    again = tmp_path / "again" / "copy-00000-of-00001"
    again.parent.mkdir()
    shutil.copy(shards[0], again)
    with again.open("ab") as file:
        file.write(shards[1].read_bytes())
    made = a20_parquet.convert(again, tmp_path / "float16", drop_duplicates=True, **HALF)
    assert made.duplicates.identical > 0
    assert made.new_windows == 0
    assert a20_parquet.verify(tmp_path / "float16").is_good


def test_what_is_made_of_halves(shuffled: Path, tmp_path: Path) -> None:
    """Parts, shards, arrays, databases, searches and reports work with them."""
    whole = tmp_path / "whole"
    a20_parquet.convert(shuffled, whole, **HALF)
    windows = a20_parquet.scan(whole).collect()
    a20_parquet.export(whole, tmp_path / "part", where="channel = 0")
    assert a20_parquet.verify(tmp_path / "part").is_good
    assert stored(tmp_path / "part").shape[0] == windows.filter(channel=0).height
    a20_parquet.export(whole, tmp_path / "one.parquet", as_="parquet")
    one = pq.read_table(tmp_path / "one.parquet")
    assert one.schema.field("embedding").type.value_type == pa.float16()
    a20_parquet.export(whole, tmp_path / "two.npy", as_="npy")
    np.testing.assert_array_equal(
        np.load(tmp_path / "two.npy"),
        one["embedding"]
        .combine_chunks()
        .flatten()
        .to_numpy(zero_copy_only=False)
        .reshape(-1, 16)
        .astype(np.float32),
    )
    a20_parquet.export(whole, tmp_path / "shards", as_="tfrecord")
    made = a20_parquet.convert(tmp_path / "shards", tmp_path / "again", **HALF)
    assert made.rounding is not None
    assert not made.rounding.changed
    assert a20_parquet.scan(tmp_path / "again").collect().equals(windows)
    first = windows.row(0, named=True)
    to = f"{first['filename']}@{first['recording_offset_in_file']}"
    assert a20_parquet.similar(whole, to)["similarity"][0] == pytest.approx(1, abs=1e-6)
    _, embeddings = a20_parquet.read_numpy(whole)
    assert embeddings.dtype == np.float32
    assert (
        len(a20_parquet.take_numpy(whole, [(first["filename"], first["recording_offset_in_file"])]))
        == 1
    )
    a20_parquet.report(whole, tmp_path / "report.html")
    assert "float16" in (tmp_path / "report.html").read_text()
    a20_parquet.duckdb(whole, tmp_path / "x.duckdb", as_="table")
    with duckdb.connect(str(tmp_path / "x.duckdb")) as database:
        count = database.sql("select count(*) from windows where len(embedding) = 16").fetchall()
    assert count == [(len(windows),)]


def test_damage_is_found(shuffled: Path, tmp_path: Path) -> None:
    """A flipped bit in a page of halves."""
    a20_parquet.convert(shuffled, tmp_path / "out", **HALF)
    file = next((tmp_path / "out" / "data").rglob("*.parquet"))
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 4
    file.write_bytes(content)
    assert not a20_parquet.verify(tmp_path / "out").is_good
