"""Stratified samples: the same windows whatever the files, threads and order."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import a20_parquet
from a20_parquet.exporting import sample as sampling
from a20_parquet.exporting.sample import NUMBER, Sample, SampleCollector, key_hashes

KEYS = ["filename", "recording_offset_in_file", "channel"]


def sampled(
    dataset: Path, out: Path, *, workers: int = 2, seed: int = 0
) -> set[tuple[object, ...]]:
    a20_parquet.export(dataset, out, per=("site,hour", 3), seed=seed, workers=workers)
    return set(pl.read_parquet(out / "data").select(KEYS).rows())


def test_depends_on_windows_alone(grown: Path, shuffled: Path, tmp_path: Path) -> None:
    """Other keys, files, threads and order of appends give the same sample, another seed not."""
    expected = sampled(grown, tmp_path / "a")
    assert sampled(grown, tmp_path / "b", workers=1) == expected
    shards = sorted(shuffled.iterdir(), reverse=True)
    for shard in shards:
        a20_parquet.convert(shard, tmp_path / "other", decoder="wire", compression="zstd")
    assert sampled(tmp_path / "other", tmp_path / "c") == expected
    assert sampled(grown, tmp_path / "d", seed=1) != expected


def test_each_group_has_its_number(grown: Path, tmp_path: Path) -> None:
    """Three of each site and hour, or all; one hour of the local time is one group."""
    sampled(grown, tmp_path / "a")
    groups = ["site", pl.col("window_start_local").dt.hour().alias("hour")]
    counts = [
        pl.read_parquet(dataset / "data").group_by(groups).len().sort("site", "hour")
        for dataset in (grown, tmp_path / "a")
    ]
    assert counts[1].equals(counts[0].with_columns(pl.col("len").clip(upper_bound=3)))


@pytest.mark.parametrize("buffered", [1, sampling._BUFFERED])  # noqa: SLF001 - the default
@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_is_that_of_a_loop(monkeypatch: pytest.MonkeyPatch, buffered: int, batch_rows: int) -> None:
    """The smallest hashes of each group, ties in the dataset's order, in any batches."""
    monkeypatch.setattr(sampling, "_BUFFERED", buffered)
    rng = np.random.default_rng(5)
    rows = 400
    windows = pl.DataFrame(
        {
            "filename": rng.choice(["a", "b", "c"], rows),
            "recording_offset_in_file": rng.integers(0, 20, rows) * 5.0,
            "channel": pl.Series(rng.integers(0, 2, rows), dtype=pl.Int16),
            "site": [None if n == 2 else f"s{n}" for n in rng.integers(0, 3, rows)],
        }
    ).with_columns(pl.Series(NUMBER, np.arange(rows)))
    sample = Sample(per=("site",), most=17, seed=3)
    collector = SampleCollector(sample)
    for start in range(0, rows, batch_rows):
        collector.add(sample.candidates(windows[start : start + batch_rows]))
    numbers, groups = collector.finish()
    hashes = key_hashes(windows, 3).tolist()
    expected = []
    for site in {*windows["site"]}:
        group = [n for n in range(rows) if windows["site"][n] == site]
        expected += sorted(group, key=lambda n: (hashes[n], n))[:17]
    assert numbers.tolist() == sorted(expected)
    assert dict(groups.rows()) == dict.fromkeys(windows["site"], 17)


def test_hash_stays(grown: Path) -> None:
    """The hash of a window never changes: samples of years ago are drawn again."""
    windows = pl.DataFrame(
        {"filename": ["a.wav", "a.wav"], "recording_offset_in_file": [-0.0, 5.0], "channel": [0, 1]}
    )
    mask = (1 << 64) - 1

    def mix(value: int) -> int:
        value = (value + 0x9E3779B97F4A7C15) & mask
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
        return value ^ (value >> 31)

    salt = (7).to_bytes(8, "little")
    name = int.from_bytes(hashlib.blake2b(b"a.wav", digest_size=8, salt=salt).digest(), "little")
    offsets = np.array([0.0, 5.0]).view(np.uint64).tolist()
    expected = [
        mix(mix(name ^ mix(at)) ^ mix(channel)) for at, channel in zip(offsets, [0, 1], strict=True)
    ]
    assert key_hashes(windows, 7).tolist() == expected
    everything = pl.read_parquet(grown / "data")
    assert len(np.unique(key_hashes(everything, 0))) == len(everything)
