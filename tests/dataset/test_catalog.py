"""Opening datasets: what is refused, and why."""

import shutil
from collections.abc import Callable
from pathlib import Path

import fsspec
import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.windows.partition import PartitionBy
from tests.helpers.datasets import make_dataset
from tests.helpers.parquet_files import encode, windows
from tests.helpers.recordings import DIMS, write_recordings


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small shards."""
    return write_recordings(tmp_path_factory.mktemp("shards"))


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset that may be spoilt."""
    from a20_parquet.parquet import Compression

    content = encode([windows(5)], Compression.NONE)
    return make_dataset(tmp_path / "dataset", [content], [5], dims=8)


def unfinish(dataset: Path) -> None:
    """Leave what an unfinished conversion leaves."""
    (dataset / "manifest.json").unlink()
    (dataset / "conversion").mkdir()
    (dataset / "conversion" / "plan.json").write_text("{}")


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Change a file."""

    def change(dataset: Path) -> None:
        path = dataset / name
        content = path.read_bytes()
        assert old.encode() in content
        path.write_bytes(content.replace(old.encode(), new.encode()))

    return change


def write(name: str, content: bytes) -> Callable[[Path], int]:
    """Write a file anew."""
    return lambda dataset: (dataset / name).write_bytes(content)


SPOILT: list[tuple[Callable[[Path], object], str]] = [
    (shutil.rmtree, "does not exist. Name the folder that a20-parquet convert wrote"),
    (lambda dataset: (dataset / "manifest.json").unlink(), "has no manifest.json"),
    (unfinish, "conversion has not finished"),
    (write("manifest.json", b'{"manifest_version": 3}'), "manifest.json is not a manifest that"),
    (write("manifest.json", b"[]"), "manifest.json is not a manifest that"),
    (write("manifest.json", b"\xff\xfe"), "manifest.json is not a manifest that"),
    (write("manifest.json", b""), "manifest.json is not a manifest that"),
    (replace("manifest.json", '"a20_parquet"', '"another"'), "format: Input should be"),
    (replace("manifest.json", '"site"', '"moon"'), "options.partition_by"),
    (
        replace("manifest.json", '"version":1', '"version":2'),
        "has format version 2, and this version of a20-parquet reads format version 1",
    ),
    (replace("files.parquet", "site_0000", "site_0001"), "files.parquet: its checksum is"),
    (write("files.parquet", b""), "files.parquet: its checksum is 00000000"),
    (lambda dataset: (dataset / "files.parquet").unlink(), "files.parquet cannot be read"),
]


@pytest.mark.parametrize(("spoil", "message"), SPOILT, ids=[message for _, message in SPOILT])
@pytest.mark.parametrize("place", ["local", "memory"])
def test_no_dataset(
    dataset: Path, spoil: Callable[[Path], object], message: str, place: str
) -> None:
    """The error names the place and the reason."""
    spoil(dataset)
    url = str(dataset)
    if place == "memory":
        memory = fsspec.filesystem("memory")
        for path in [path for path in dataset.rglob("*") if path.is_file()]:
            memory.pipe(str(path), path.read_bytes())
        url = f"memory:/{dataset}"
    for opening in (Catalog.open, a20_parquet.scan):
        with pytest.raises(DatasetError) as caught:
            opening(url)
        assert message in str(caught.value)
        assert str(dataset) in str(caught.value)


@pytest.mark.parametrize("part", ["data", "files.parquet", "manifest.json"])
def test_a_part_of_a_dataset(dataset: Path, part: str) -> None:
    """The error says what to name instead, also where that is a URL."""
    with pytest.raises(DatasetError, match=f"part of a dataset. Name .*: {dataset}$"):
        Catalog.open(dataset / part)
    fsspec.filesystem("memory").put(str(dataset), str(dataset), recursive=True)
    with pytest.raises(DatasetError, match=r"part of a dataset. Name .*: memory:/.*/dataset$"):
        Catalog.open(f"memory:/{dataset}/{part}")


def test_paths_are_paths(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local path may be relative, and hold what means something else in URLs."""
    odd = dataset.with_name("a::b?c#d")
    dataset.rename(odd)
    monkeypatch.chdir(odd.parent)
    assert Catalog.open(odd.name).location == str(odd)
    assert Catalog.open(f"{odd}/").files.equals(Catalog.open(odd).files)


def test_unknown_protocol() -> None:
    """A URL that no file system is known for."""
    with pytest.raises(UsageError, match="nosuch://x: cannot be opened: Protocol not known"):
        Catalog.open("nosuch://x")


KEY_TYPES = {"site": pl.String, "date": pl.Date, "month": pl.String, "year": pl.Int64}


@pytest.mark.parametrize("partition_by", PartitionBy)
def test_what_a_catalog_knows(shards: Path, tmp_path: Path, partition_by: PartitionBy) -> None:
    """Types of columns and keys, places of files, locally and from URLs."""
    out = tmp_path / "out"
    totals = a20_parquet.convert(shards, out, partition_by=partition_by).totals
    fsspec.filesystem("memory").put(str(out), str(out), recursive=True)
    local = Catalog.open(str(out) + "/")
    assert local.location == local.root == str(out)
    for place in (str(out), f"file://{out}", f"memory:/{out}"):
        catalog = Catalog.open(place)
        assert catalog.is_local == (not place.startswith("memory"))
        assert catalog.partition_by is partition_by
        assert catalog.dims == DIMS
        assert catalog.files.equals(local.files)
        assert catalog.files["rows"].sum() == catalog.manifest.totals.windows == totals.windows
        found = dict(catalog.schema)
        assert [(key, found.pop(key)) for key in partition_by.keys] == [
            (key, KEY_TYPES[key]()) for key in partition_by.keys
        ]
        assert found.pop("embedding") == pl.Array(pl.Float32, DIMS)
        assert tuple(found) == catalog.metadata_columns
        path = catalog.files["path"][0]
        assert catalog.filesystem.size(catalog.path(path)) == catalog.files["bytes"][0]
        assert fsspec.open(catalog.url(path)).fs.exists(catalog.path(path))
