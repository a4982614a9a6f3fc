"""Telling shards that a dataset holds from new ones, and what it counts then."""

import gzip
import json
import shutil
from pathlib import Path

import polars as pl
import pytest

import a20_parquet
from a20_parquet.conversion.new_shards import NewShards, find_new
from a20_parquet.dataset.existing import ExistingDataset
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.progress import NoProgress
from a20_parquet.shards.discover import find_shards
from tests.helpers.conversions import digests
from tests.helpers.layout import LocalLayout
from tests.helpers.shards import make_record, random_tensor, write_shard

NAMES = [f"site_{n:04d}/20201014T010000+1030_A_{n}.flac" for n in range(9)]


def shard(path: Path, *numbers: int, compression: str = "") -> Path:
    """A shard with a record of two windows of each number."""
    records = [make_record(random_tensor((2, 1, 8), n), NAMES[n]) for n in numbers]
    return write_shard(path, records, compression)


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of one shard that may be called anything, with two records in quarantine."""
    bad = [make_record(random_tensor((1, 1, 8)), f"{n}.wav") for n in range(2)]
    records = [make_record(random_tensor((2, 1, 8), n), NAMES[n]) for n in range(2)]
    path = write_shard(tmp_path / "first" / "a-00000-of-00001", [*records, *bad])
    a20_parquet.convert(path, tmp_path / "dataset")
    return tmp_path / "dataset"


def compare(dataset: Path, *sources: Path) -> NewShards:
    """What of the sources is new."""
    held = ExistingDataset.open(LocalLayout.at(dataset))
    return find_new(find_shards(list(sources)), held, ThreadPool(2), NoProgress())


def test_without_a_dataset(tmp_path: Path) -> None:
    """All is new."""
    listing = find_shards(shard(tmp_path / "a-00000-of-00001", 1))
    found = find_new(listing, None, ThreadPool(1), NoProgress())
    assert (found.shards, found.existing, found.retries) == (listing.shards, 0, {})


def test_the_same_shard_under_another_name(dataset: Path, tmp_path: Path) -> None:
    """It is held, wherever it lies and whatever it is called."""
    other = tmp_path / "elsewhere" / "z-00007-of-00009"
    other.parent.mkdir()
    shutil.copy(tmp_path / "first" / "a-00000-of-00001", other)
    found = compare(dataset, other)
    assert (found.shards, found.existing) == ((), 1)


def test_another_shard_of_the_same_size(dataset: Path, tmp_path: Path) -> None:
    """It is new where a single bit differs, and gets a label that is not taken."""
    original = tmp_path / "first" / "a-00000-of-00001"
    content = bytearray(original.read_bytes())
    content[-10] ^= 1
    other = tmp_path / "second" / original.name
    other.parent.mkdir()
    other.write_bytes(content)
    found = compare(dataset, original, other)
    (new,) = found.shards
    assert (found.existing, new.url, new.position) == (1, str(other), 0)
    assert new.label == "second__a-00000-of-00001"


def test_the_same_content_compressed(dataset: Path, tmp_path: Path) -> None:
    """Another stored size is another shard: its windows are told as duplicates."""
    original = (tmp_path / "first" / "a-00000-of-00001").read_bytes()
    other = tmp_path / "b-00000-of-00001"
    other.write_bytes(gzip.compress(original))
    assert len(compare(dataset, other).shards) == 1
    conversion = a20_parquet.convert(other, dataset)
    assert conversion.duplicates.identical == conversion.new_windows == 4


def test_labels_of_several_appends(dataset: Path, tmp_path: Path) -> None:
    """Each shard has its own, and that of a shard which is there never changes."""
    for number, folder in enumerate(("second", "third", "x/first"), 2):
        shard(tmp_path / folder / "a-00000-of-00001", number)
        a20_parquet.convert(tmp_path / folder, dataset)
    manifest = json.loads((dataset / "manifest.json").read_text())
    labels = [each["label"] for each in manifest["shards"]]
    assert labels[0] == "a-00000-of-00001"
    assert len(set(labels)) == 4
    assert [each["conversion"] for each in manifest["shards"]] == [0, 1, 2, 3]


def test_records_in_quarantine_are_told(dataset: Path, tmp_path: Path) -> None:
    """The shard of them is a retry, also when it was copied, and counts once."""
    kept = dataset / "quarantine" / "a-00000-of-00001.tfrecord"
    copy = tmp_path / "copy.tfrecord"
    shutil.copy(kept, copy)
    for sources in ((kept,), (copy,), (kept, copy)):
        found = compare(dataset, *sources)
        (retry,) = found.retries.values()
        assert [entry.record for entry in retry.records] == [2, 3]
        assert retry.shard.label == "a-00000-of-00001"
        assert (len(found.shards), list(found.retries)) == (1, [0])


def test_counts_of_what_is_held(dataset: Path) -> None:
    """Sizes, labels and the next number of each partition's files."""
    held = ExistingDataset.open(LocalLayout.at(dataset))
    manifest = held.manifest
    kept = dataset / "quarantine" / "a-00000-of-00001.tfrecord"
    assert held.sizes == {manifest.shards[0].bytes, kept.stat().st_size}
    assert (manifest.shards[0].bytes, manifest.shards[0].checksum) in held.contents
    assert (manifest.shards[0].bytes + 1, manifest.shards[0].checksum) not in held.contents
    assert list(held.labels) == ["a-00000-of-00001"]
    assert held.next_parts() == {("site_0000", 18549): 1, ("site_0001", 18549): 1}


def test_what_the_manifest_adds_up(dataset: Path, tmp_path: Path) -> None:
    """After an append all totals are those of the shards and files together."""
    appended = shard(tmp_path / "b" / "b-00000-of-00001", 1, 2, 3)
    conversion = a20_parquet.convert([tmp_path / "first", appended], dataset)
    totals = conversion.totals
    assert (conversion.new_shards, conversion.held_shards, conversion.new_windows) == (1, 1, 6)
    assert (totals.shards, totals.records, totals.windows, totals.quarantined) == (2, 7, 10, 2)
    files = pl.read_parquet(dataset / "files.parquet")
    assert totals.files == len(files) == 5
    assert totals.bytes == files["bytes"].sum()
    assert totals.windows == files["rows"].sum() == len(pl.read_parquet(dataset / "data"))
    assert totals.sites == 4
    manifest = json.loads((dataset / "manifest.json").read_text())
    assert [each["duplicates"]["identical"] for each in manifest["conversions"]] == [0, 2]
    order = files.select("site", "date", "path").rows()
    assert order == sorted(order)


def test_the_dataset_below_its_sources(tmp_path: Path) -> None:
    """What it holds itself is no source, its quarantine neither."""
    shard(tmp_path / "in" / "a-00000-of-00001", 1)
    bad = [make_record(random_tensor((1, 1, 8)), "x.wav")]
    write_shard(tmp_path / "in" / "b-00000-of-00001", bad)
    out = tmp_path / "in" / "out"
    a20_parquet.convert(tmp_path / "in", out)
    before = digests(out)
    again = a20_parquet.convert(tmp_path / "in", out)
    assert (again.new_shards, again.held_shards) == (0, 2)
    assert again.quarantine == {"bad_filename": 1}
    assert digests(out) == before
