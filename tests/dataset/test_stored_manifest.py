"""Manifests of which queries parse the head alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import a20_parquet
from a20_parquet.dataset.manifest import Manifest, ManifestHead
from a20_parquet.dataset.manifest_content import StoredManifest, manifest_content, parse_manifest
from a20_parquet.errors import DatasetError
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard

TEXTS = st.text(max_size=9) | st.sampled_from(
    ['"', "\\", ',"quarantine":[', '],"totals":{', '\\","quarantine":[{', "\n", "ä\U0001f426"]
)


def read(content: bytes) -> StoredManifest:
    """The manifest of a file named ``m``."""
    return StoredManifest(content, "m")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a shard, with a record in quarantine."""
    folder = tmp_path_factory.mktemp("folder")
    records = [make_record(random_tensor((3, 1, 8)), name) for name in (FILENAME, "x.wav")]
    shard = write_shard(folder / "a-00000-of-00001", records)
    a20_parquet.convert(shard, folder / "dataset", decoder="wire")
    return folder / "dataset"


def fields(manifest: ManifestHead) -> dict[str, Any]:
    """What the head of a manifest has."""
    return {name: getattr(manifest, name) for name in ManifestHead.model_fields}


def test_the_head_is_that_of_the_whole(dataset: Path) -> None:
    """It is parsed without the rest, as long as nobody asks."""
    content = (dataset / "manifest.json").read_bytes()
    whole, _ = parse_manifest(content, "m")
    stored = read(content)
    assert type(stored.head) is ManifestHead
    assert fields(stored.head) == fields(whole)
    assert stored.manifest == whole
    assert stored.unknown_fields == ()


@given(texts=st.lists(TEXTS, min_size=4, max_size=4), shards=st.integers(0, 3))
def test_texts_that_look_like_fields(dataset: Path, texts: list[str], shards: int) -> None:
    """Whatever is in them, the head ends where it ends."""
    whole, _ = parse_manifest((dataset / "manifest.json").read_bytes(), "m")
    where, url, remark, version = texts
    (conversion,) = whole.conversions
    reading = conversion.reading.model_copy(update={"where": where, "unknown_site": url})
    update = {"reading": reading, "hop_remark": remark, "version": version}
    manifest = whole.model_copy(
        update={
            "shards": (whole.shards[0].model_copy(update={"url": url}),) * shards,
            "conversions": (conversion.model_copy(update=update),),
        }
    )
    content = manifest_content(manifest)
    stored = read(content)
    assert type(stored.head) is ManifestHead
    assert fields(stored.head) == fields(stored.manifest) | {"checksum": stored.head.checksum}
    assert stored.manifest == parse_manifest(content, "m")[0]
    assert stored.manifest.shards == manifest.shards


def test_earlier_versions_wrote_another_form(dataset: Path) -> None:
    """Then all of it is parsed at once, and gives the same."""
    content = (dataset / "manifest.json").read_bytes()
    manifest = json.loads(content)
    signed = dict(sorted(manifest.items(), key=lambda item: item[0] == "checksum"))
    for text in (json.dumps(signed, indent=1), json.dumps(signed), json.dumps(manifest)):
        stored = read(text.encode())
        assert isinstance(stored.head, Manifest)
        assert stored.manifest == read(content).manifest


def test_no_flipped_bit_changes_the_head(dataset: Path) -> None:
    """Also of the shards, which are not parsed: the checksum is of all."""
    content = (dataset / "manifest.json").read_bytes()
    good = fields(read(content).head)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        try:
            found = fields(read(bytes(flipped)).head)
        except DatasetError:
            continue
        assert found == good or found["checksum"] is None, place


def test_a_forged_shard(dataset: Path, tmp_path: Path) -> None:
    """Queries do without it; whoever needs the shards is told."""
    copy = tmp_path / "dataset"
    copy.symlink_to(dataset)
    content = (dataset / "manifest.json").read_bytes()
    try:
        edit_manifest(copy, lambda manifest: manifest["shards"][0].update(conversion=7))
        assert a20_parquet.scan(copy).collect().height == 3
        for use in (a20_parquet.info, a20_parquet.verify):
            with pytest.raises(DatasetError, match=r"shards: .*of a conversion that is not listed"):
                use(copy)
    finally:
        (dataset / "manifest.json").write_bytes(content)
