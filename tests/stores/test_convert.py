"""Conversions from and to stores: the same bytes as on one machine."""

from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.errors import RecordError, UsageError
from tests.stores.conversions import OPTIONS, comparable, read_folder
from tests.stores.servers import Store

pytestmark = [pytest.mark.store, pytest.mark.usefixtures("impatient")]


class _Places:
    """Where shards, dataset and runs lie: on this machine, or in either store."""

    def __init__(self, stores: dict[str, Store], folder: Path, name: str) -> None:
        self._stores = stores
        self._folder = folder
        self._name = name

    def put(self, kind: str, folder: Path) -> str:
        """Where the shards of a folder lie."""
        if kind == "local":
            return str(folder)
        return self._stores[kind].put(folder, f"{self._bucket(kind)}/{folder.name}")

    def at(self, kind: str, name: str) -> str:
        """Where something is to lie."""
        if kind == "local":
            return str(self._folder / name)
        return f"{kind}://{self._bucket(kind)}/{name}"

    def read(self, url: str) -> dict[str, bytes]:
        """What lies there."""
        scheme, is_url, _ = url.partition("://")
        return self._stores[scheme].read(url) if is_url else read_folder(Path(url))

    def _bucket(self, kind: str) -> str:
        filesystem = self._stores[kind].open()
        if not filesystem.exists(self._name):
            filesystem.mkdir(self._name)
        return self._name


@pytest.fixture
def places(reachable: dict[str, Store], tmp_path: Path, request: pytest.FixtureRequest) -> _Places:
    """Empty ones."""
    return _Places(reachable, tmp_path, f"convert-{abs(hash(request.node.name))}")


@pytest.mark.parametrize(
    ("source", "dataset"), [("s3", "s3"), ("gs", "gs"), ("local", "s3"), ("gs", "local")]
)
def test_in_memory(
    places: _Places, messy: Path, expected: dict[str, str], source: str, dataset: str
) -> None:
    """Nothing but the dataset is left, and it is the same."""
    out = places.at(dataset, "out")
    conversion = a20_parquet.convert(places.put(source, messy), out, **OPTIONS)
    assert (conversion.runs_on_disk, conversion.totals.shards) == (0, 4)
    assert str(conversion.dataset) == out
    assert comparable(places.read(out)) == expected


@pytest.mark.parametrize(
    "kinds",
    [
        ("s3", "s3", None),
        ("gs", "gs", None),
        ("local", "gs", "local"),
        ("s3", "local", "gs"),
        ("gs", "s3", "s3"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("small_memory")
def test_in_runs(
    places: _Places, messy: Path, expected: dict[str, str], kinds: tuple[str, str, str | None]
) -> None:
    """Runs lie in the dataset, or where they are wanted, and are gone in the end."""
    source, dataset, scratch = kinds
    out = places.at(dataset, "out")
    folder = places.at(scratch, "scratch") if scratch else None
    given = places.put(source, messy)
    conversion = a20_parquet.convert(given, out, scratch=folder, **OPTIONS)
    assert conversion.runs_on_disk > 2
    assert comparable(places.read(out)) == expected
    assert folder is None or places.read(folder) == {}


@pytest.mark.usefixtures("small_memory")
def test_append(store: Store, bucket: str, messy: Path, tmp_path: Path) -> None:
    """New shards become further files; held ones are read no more than to know them."""
    shards = sorted(messy.iterdir())
    out = f"{store.scheme}://{bucket}/out"
    first = store.put(messy, f"{bucket}/in")
    a20_parquet.convert([f"{first}/{path.name}" for path in shards[:2]], out, **OPTIONS)
    conversion = a20_parquet.convert(first, out, **OPTIONS)
    assert (conversion.new_shards, conversion.held_shards) == (2, 2)
    a20_parquet.convert(shards[:2], tmp_path / "out", **OPTIONS)
    a20_parquet.convert(messy, tmp_path / "out", **OPTIONS)
    assert comparable(store.read(out)) == comparable(read_folder(tmp_path / "out"))


def test_overwrite(store: Store, bucket: str, messy: Path, expected: dict[str, str]) -> None:
    """Nothing of the dataset before is left."""
    out = f"{store.scheme}://{bucket}/out"
    one = min(messy.iterdir())
    a20_parquet.convert(one, out, partition_by="site", **OPTIONS)
    a20_parquet.convert(messy, out, overwrite=True, **OPTIONS)
    assert comparable(store.read(out)) == expected


def test_overwrite_of_the_sources(store: Store, bucket: str, messy: Path) -> None:
    """What is to be converted is not deleted first."""
    out = f"{store.scheme}://{bucket}/out"
    a20_parquet.convert(messy, out, **OPTIONS)
    before = store.digests(out)
    with pytest.raises(UsageError, match="would delete"):
        a20_parquet.convert(f"{out}/quarantine", out, overwrite=True, **OPTIONS)
    assert store.digests(out) == before


def _stop(sources: Any, out: str) -> None:
    with pytest.raises(RecordError):
        a20_parquet.convert(sources, out, max_errors=0, **OPTIONS)


@pytest.mark.usefixtures("small_memory")
def test_an_unfinished_conversion(
    store: Store, bucket: str, messy: Path, expected: dict[str, str]
) -> None:
    """It goes on with the same options and inputs, and refuses others, naming the difference."""
    out = f"{store.scheme}://{bucket}/out"
    source = store.put(messy, f"{bucket}/in")
    _stop(source, out)
    before = store.digests(out)
    others: list[tuple[str, dict[str, Any], str]] = [
        (source, {"partition_by": "site"}, "partition_by is site, was site,date"),
        (f"{source}/{min(messy.iterdir()).name}", {}, "missing: "),
    ]
    for sources, options, told in others:
        with pytest.raises(UsageError, match="unfinished conversion of other") as caught:
            a20_parquet.convert(sources, out, **OPTIONS, **options)
        assert told in str(caught.value)
    assert store.digests(out) == before
    conversion = a20_parquet.convert(source, out, workers=1, **OPTIONS)
    assert conversion.is_resumed
    assert comparable(store.read(out)) == expected


def test_a_complete_dataset(store: Store, bucket: str, messy: Path) -> None:
    """Nothing is left to do, wherever the shards lie now; other options are refused."""
    out = f"{store.scheme}://{bucket}/out"
    a20_parquet.convert(messy, out, **OPTIONS)
    before = store.digests(out)
    source = store.put(messy, f"{bucket}/in")
    conversion = a20_parquet.convert(source, out, **OPTIONS)
    assert (conversion.new_shards, conversion.held_shards) == (0, 4)
    with pytest.raises(UsageError, match="partition_by is site, was site,date"):
        a20_parquet.convert(source, out, partition_by="site", **OPTIONS)
    assert store.digests(out) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_anything_else(store: Store, bucket: str, messy: Path, *, overwrite: bool) -> None:
    """A folder with anything else in it, or a file, is refused, with ``--overwrite`` too."""
    store.open().pipe_file(f"{bucket}/out/thesis.tex", b"precious")
    store.open().pipe_file(f"{bucket}/file", b"precious")
    before = store.digests(f"{store.scheme}://{bucket}")
    for name, told in (("out", "not touched"), ("file", "is a file")):
        out = f"{store.scheme}://{bucket}/{name}"
        with pytest.raises(UsageError, match=told):
            a20_parquet.convert(messy, out, overwrite=overwrite, **OPTIONS)
    assert store.digests(f"{store.scheme}://{bucket}") == before
