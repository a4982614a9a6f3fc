"""Datasets and their quarantine among the sources."""

from pathlib import Path

import pytest

from a20_parquet.errors import SourceError
from a20_parquet.shards.discover import find_shards
from tests.helpers.listings import labels, lay, reasons


def test_damaged_bytes_are_no_shard(tmp_path: Path) -> None:
    """What was kept of a damaged shard is passed over, also where it begins with a whole frame."""
    lay(tmp_path, "x.tfrecord", "x.tfrecord.damaged", "y-00000-of-00001.damaged")
    listing = find_shards([tmp_path])
    assert labels(listing) == ["x.tfrecord"]
    kept = "damaged bytes kept from another shard"
    assert reasons(listing, tmp_path) == {
        "x.tfrecord.damaged": kept,
        "y-00000-of-00001.damaged": kept,
    }
    with pytest.raises(SourceError, match="no shard found"):
        find_shards([tmp_path / "x.tfrecord.damaged"])


def test_quarantine_as_a_source(tmp_path: Path) -> None:
    """Its lists are no files that are passed over, and shards without any record in it not missing.

    Elsewhere both are said.
    """
    names = ("a-00000-of-00003.tfrecord", "a-00000-of-00003.jsonl", "b.damaged", "b.jsonl")
    for folder in ("quarantine", "shards"):
        lay(tmp_path, *(f"{folder}/{name}" for name in (*names, "other.jsonl")))
        for path in (tmp_path / folder).glob("*.jsonl"):
            path.write_text("{}")
    listing = find_shards(tmp_path / "quarantine")
    assert labels(listing) == ["a-00000-of-00003.tfrecord"]
    assert reasons(listing, tmp_path / "quarantine").keys() == {"b.damaged", "other.jsonl"}
    assert listing.missing == ()
    listing = find_shards(tmp_path / "shards")
    assert reasons(listing, tmp_path / "shards").keys() == {*names[1:], "other.jsonl"}
    assert len(listing.missing) == 1


@pytest.mark.parametrize("source", ["", "*", "*.tfrecord*", "link"])
def test_dataset_inside_a_source_is_left_out(tmp_path: Path, source: str) -> None:
    """Shards in the dataset that is being written are none of the source's."""
    lay(tmp_path, "x.tfrecord", "out.tfrecords/quarantine/x.tfrecord", "out2/z.tfrecord")
    (tmp_path / "link").symlink_to(tmp_path)
    listing = find_shards([tmp_path / source], tmp_path / "link" / "out.tfrecords")
    assert "x.tfrecord" in labels(listing)
    assert all("quarantine" not in shard.url for shard in listing.shards)
    left_out = [i.url for i in listing.passed_over if i.reason == "part of the dataset"]
    assert [url.removesuffix("out.tfrecords/quarantine/x.tfrecord") != url for url in left_out] == [
        True
    ]


@pytest.mark.parametrize("source", [".", "quarantine", "quarantine/*", "quarantine/x.tfrecord"])
def test_source_inside_the_dataset_is_read(tmp_path: Path, source: str) -> None:
    """Who names the quarantine as a source means it."""
    lay(tmp_path, "out/quarantine/x.tfrecord")
    listing = find_shards([tmp_path / "out" / source], tmp_path / "out")
    assert labels(listing) == ["x.tfrecord"]
