"""The checksum that a manifest has of its own content."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from a20_parquet import convert, duckdb, info, report, scan, similar, verify
from a20_parquet.conversion.repair import repair
from a20_parquet.dataset.manifest_content import parse_manifest
from a20_parquet.errors import DatasetError
from tests.helpers.conversions import digests
from tests.helpers.manifests import edit_manifest
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard


def shard(folder: Path, name: str = "a-00000-of-00001", seed: int = 1) -> Path:
    """A shard of one good record, and one for quarantine."""
    records = [make_record(random_tensor((3, 1, 8), seed), name) for name in (FILENAME, "x.wav")]
    return write_shard(folder / name, records)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of the shard beside it."""
    folder = tmp_path_factory.mktemp("whole")
    convert(shard(folder), folder / "dataset", decoder="wire")
    return folder / "dataset"


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(whole, tmp_path / "dataset"))


def test_it_is_the_documented_one(dataset: Path) -> None:
    """Whoever follows the schema's words gets the same bytes."""
    before = (dataset / "manifest.json").read_bytes()
    edit_manifest(dataset, lambda manifest: manifest.update(later=1))
    edit_manifest(dataset, lambda manifest: manifest.pop("later"))
    assert (dataset / "manifest.json").read_bytes() == before


def test_every_flipped_bit_is_found(whole: Path) -> None:
    """No bit of the content can change without an error."""
    content = (whole / "manifest.json").read_bytes()
    good, _ = parse_manifest(content, "m")
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        try:
            found, unknown = parse_manifest(bytes(flipped), "m")
        except DatasetError:
            continue
        # Spaces may change, and the checksum's own name.
        assert found == good or (found.checksum is None and len(unknown) == 1), place


@pytest.mark.parametrize(
    "use",
    [
        lambda dataset: convert(dataset.parent / "in", dataset, decoder="wire"),
        lambda dataset: convert(dataset / "quarantine", dataset, unknown_site="Lab"),
        lambda dataset: duckdb(dataset, dataset.parent / "out.duckdb"),
        lambda dataset: report(dataset, dataset.parent / "out.html"),
        lambda dataset: similar(dataset, f"{FILENAME}@0"),
        info,
        scan,
        verify,
        repair,
    ],
)
def test_a_flipped_bit_of_a_shards_checksum(dataset: Path, use: Callable[[Path], object]) -> None:
    """Every command refuses it: else the shard would be appended once more."""
    shard(dataset.parent / "in")
    path = dataset / "manifest.json"
    manifest = json.loads(path.read_bytes())
    known = manifest["shards"][0]["checksum"]
    path.write_text(path.read_text().replace(known, f"{int(known, 16) ^ 1:064x}"))
    before = digests(dataset)
    with pytest.raises(DatasetError, match=r"manifest\.json: .* edited or is damaged.*repair"):
        use(dataset)
    assert digests(dataset) == before


def test_a_damaged_manifest_may_be_overwritten(dataset: Path) -> None:
    """It needs not be whole for that."""
    path = dataset / "manifest.json"
    path.write_text(path.read_text().replace('"windows":3', '"windows":4'))
    convert(shard(dataset.parent / "in"), dataset, decoder="wire", overwrite=True)
    assert verify(dataset, dataset.parent / "in", decoder="wire").is_good


@pytest.mark.parametrize("how", ["append", "repair"])
def test_an_older_manifest_gets_one(dataset: Path, how: str) -> None:
    """One without it is read; the next that writes it adds the checksum."""
    path = dataset / "manifest.json"
    whole = path.read_bytes()
    manifest = json.loads(whole)
    del manifest["checksum"]
    path.write_text(json.dumps(manifest, indent=1) + "\n")
    assert verify(dataset).is_good
    if how == "append":
        convert(shard(dataset.parent / "in", "b-00000-of-00001", 2), dataset, decoder="wire")
        assert json.loads(path.read_bytes())["checksum"]
    else:
        assert repair(dataset).mended == 0
        assert path.read_bytes() == whole
    assert verify(dataset).is_good
