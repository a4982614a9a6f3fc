"""The real shards, sites and names."""

from pathlib import Path

import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.quarantine import read_entries
from tests.helpers.command_line import run
from tests.helpers.conversions import (
    as_bits,
    assert_same_windows,
    digests,
    read_with_tensorflow,
    use_tiny_memory,
)
from tests.helpers.shards import make_record, random_tensor, write_shard


def test_perch(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """402 windows as TensorFlow reads them, 6 records in quarantine, exit code 3."""
    out = tmp_path / "out"
    code, text, _ = run(monkeypatch, capsys, "convert", real_data / "perch-real", out)
    assert code == 3
    assert "402 windows" in text
    shards = sorted((real_data / "perch-real").glob("embeddings-*"))
    found = as_bits(pl.read_parquet(out / "data"))
    assert len(found) == 402
    assert_same_windows(found, read_with_tensorflow(shards[:2]))
    entries = list(read_entries(out / "quarantine", shards[2].name))
    assert [entry.record for entry in entries] == list(range(6))
    assert {entry.reason.value for entry in entries} == {"bad_filename"}
    assert (out / "quarantine" / f"{shards[2].name}.tfrecord").read_bytes() == shards[
        2
    ].read_bytes()
    code, text, _ = run(
        monkeypatch, capsys, "convert", out / "quarantine", out, "--unknown-site", "elsewhere"
    )
    assert code == 0
    assert_same_windows(as_bits(pl.read_parquet(out / "data")), read_with_tensorflow(shards))


def test_hoplite(real_data: Path, tmp_path: Path) -> None:
    """72 windows of 128 floats, all zero, from offset -0.0 on."""
    conversion = a20_parquet.convert(
        real_data / "hoplite", tmp_path / "out", unknown_site="elsewhere"
    )
    assert (conversion.totals.windows, conversion.totals.records) == (72, 6)
    assert conversion.quarantine == {}
    frame = pl.read_parquet(tmp_path / "out" / "data")
    assert frame["embedding"].dtype == pl.Array(pl.Float32, 128)
    assert not frame["embedding"].to_numpy().any()
    assert frame["site"].unique().to_list() == ["elsewhere"]


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["perch-real", "hoplite", "notebook/shards"])
@pytest.mark.parametrize("by", ["site", "site,date"])
def test_both_decoders_give_the_same(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, by: str
) -> None:
    """Each file of the dataset and of the notebook is the same, whatever the memory."""

    def convert(decoder: str) -> tuple[Path, Path]:
        out, npy = tmp_path / decoder, tmp_path / f"{decoder}-npy"
        a20_parquet.convert(
            real_data / folder,
            out,
            partition_by=by,
            unknown_site="elsewhere",
            npy_json=npy,
            overwrite=True,
            decoder=decoder,
        )
        return out, npy

    out, npy = map(digests, convert("tensorflow"))
    assert out
    assert npy
    assert tuple(map(digests, convert("wire"))) == (out, npy)
    use_tiny_memory(monkeypatch)
    assert tuple(map(digests, convert("wire"))) == (out, npy)


def test_sites(real_data: Path, tmp_path: Path) -> None:
    """Each of the 400 names gets its site's id, also those with an ampersand in the table."""
    names = (real_data / "a2o-filenames.txt").read_text().split()
    assert len(names) == 400
    odd = "20201014T010000+1030_Pegarah-Forest-Bootlace-Reserve-Dry-A_1.flac"
    records = [make_record(random_tensor((1, 1, 4)), name) for name in [*names, odd]]
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    out = tmp_path / "out"
    conversion = a20_parquet.convert(shard, out, sites=real_data / "a2o-sites.json")
    assert conversion.quarantine == {}
    frame = a20_parquet.scan(out).collect()
    assert len(frame) == 401
    assert frame["site_id"].null_count() == 0
    told = frame.select("site", "site_id").unique().rows()
    assert all(site == f"site_{number:04d}" for site, number in told)
    sites = pl.read_parquet(out / "sites.parquet")
    assert len(sites) == 340
    ids = {name.lower(): number for name, number in sites.select("name", "site_id").rows()}
    found = {
        filename.partition("_")[2].rpartition("_")[0].lower(): number
        for filename, number in frame.select("filename", "site_id").rows()
    }
    known = found.keys() & ids.keys()
    assert len(known) > 100
    assert {name: found[name] for name in known} == {name: ids[name] for name in known}
