"""Datasets that an earlier or a later version of this program wrote."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.errors import DatasetError
from a20_parquet.query.info import info
from a20_parquet.verification.verify import verify
from tests.helpers.conversions import digests
from tests.helpers.manifests import as_first, edit_manifest
from tests.helpers.schemas import schema_validator
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard

Change = Callable[[dict[str, Any]], None]

LATER: list[tuple[Change, str]] = [
    (lambda manifest: manifest.update(later=1), "later"),
    (lambda manifest: manifest["totals"].update(later={"a": [1]}), "totals.later"),
    (lambda manifest: manifest["options"].update(later=None), "options.later"),
    (lambda manifest: manifest["shards"][0].update(later="x"), "shards.later"),
    (
        lambda manifest: manifest["conversions"][0]["reading"].update(later=True),
        "conversions.reading.later",
    ),
    (lambda manifest: manifest["quarantine"][0].update(later=1.5), "quarantine.later"),
]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of one good record and one in quarantine, the shard beside it."""
    records = [make_record(random_tensor((3, 1, 8), 1), name) for name in (FILENAME, "x.wav")]
    write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(tmp_path / "in", tmp_path / "dataset")
    return tmp_path / "dataset"


@pytest.mark.parametrize(("change", "name"), LATER, ids=[name for _, name in LATER])
def test_a_field_of_a_later_version(dataset: Path, change: Change, name: str) -> None:
    """Readers ignore it and the schema allows it; an append, which would lose it, is refused."""
    known = info(dataset)
    edit_manifest(dataset, change)
    before = digests(dataset)
    assert info(dataset) == known
    assert verify(dataset, dataset.parent / "in").is_good
    assert len(a20_parquet.scan(dataset).collect()) == 3
    manifest = json.loads((dataset / "manifest.json").read_text())
    schema_validator("manifest.schema.json").validate(manifest)
    other = write_shard(
        dataset.parent / "b-00000-of-00001", [make_record(random_tensor((2, 1, 8)))]
    )
    for sources in (other, dataset / "quarantine", dataset.parent / "in"):
        with pytest.raises(DatasetError, match="only a newer version can add to it") as caught:
            a20_parquet.convert(sources, dataset, unknown_site="Lab")
        assert f"would lose: {name}." in str(caught.value)
        assert digests(dataset) == before
    assert a20_parquet.convert(other, dataset, overwrite=True).totals.shards == 1


def test_a_later_format_version(dataset: Path) -> None:
    """Every command says which version the dataset has and what to install."""
    edit_manifest(dataset, lambda manifest: manifest.update(version=2, later=1, totals=None))
    before = digests(dataset)
    expected = "has format version 2, and this version of a20-parquet reads format version 1. "
    for command in (info, verify, a20_parquet.scan):
        with pytest.raises(DatasetError, match=expected):
            command(dataset)
    with pytest.raises(DatasetError, match=expected):
        a20_parquet.convert(dataset.parent / "in", dataset)
    assert digests(dataset) == before
    assert a20_parquet.convert(dataset.parent / "in", dataset, overwrite=True).totals.shards == 1


def test_the_first_manifests(dataset: Path) -> None:
    """They are read, valid, and appended to."""
    manifest = edit_manifest(dataset, as_first)
    del manifest["checksum"]
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    schema_validator("manifest.schema.json").validate(manifest)
    assert info(dataset).windows == 3
    assert verify(dataset, dataset.parent / "in").is_good
    again = a20_parquet.convert(dataset.parent / "in", dataset)
    assert (again.new_shards, again.held_shards) == (0, 1)
    other = write_shard(
        dataset.parent / "b-00000-of-00001", [make_record(random_tensor((2, 1, 8)))]
    )
    assert a20_parquet.convert(other, dataset).totals.shards == 2
    retried = a20_parquet.convert(dataset / "quarantine", dataset, unknown_site="Lab")
    assert retried.quarantine == {}
    assert verify(dataset, [dataset.parent / "in", other]).is_good
