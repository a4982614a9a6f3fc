"""What reads datasets reads them in stores as on this machine."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

import a20_parquet
from tests.helpers.conversions import A2O_NAMES
from tests.stores.conversions import read_folder
from tests.stores.deeds import Answer, CutAnswer, Deed, Drop
from tests.stores.servers import Store

pytestmark = [pytest.mark.store, pytest.mark.usefixtures("impatient")]


@pytest.fixture(scope="session")
def copies(stores: dict[str, Store], messy: Path, shuffled: Path, local: Path) -> dict[str, str]:
    """A bucket in each store: shards in ``in``, whole ones in ``whole``, the dataset in ``out``."""
    for store in stores.values():
        store.open().mkdir("copies")
        store.put(messy, "copies/in")
        store.put(shuffled, "copies/whole")
        store.put(local, "copies/out")
    return {scheme: f"{scheme}://copies" for scheme in stores}


@pytest.fixture
def copy(store: Store, copies: dict[str, str]) -> str:
    """The URL of one of them; some requests to it fail."""
    deeds: list[Deed] = [Answer(503), CutAnswer(), Drop()]
    for number, deed in enumerate(deeds):
        store.proxy.inject(deed, "GET|HEAD", skip=3 + 2 * number, times=None, every=15)
    return copies[store.scheme]


def test_info(copy: str, local: Path) -> None:
    """The same but for the place."""
    found = a20_parquet.info(f"{copy}/out")
    assert found.dataset == f"{copy}/out"
    assert found == replace(a20_parquet.info(local), dataset=found.dataset)


@pytest.mark.parametrize("with_source", [False, True])
def test_verify(copy: str, messy: Path, local: Path, *, with_source: bool) -> None:
    """Nothing is wrong, and as much was checked."""
    source = f"{copy}/in" if with_source else ()
    found = a20_parquet.verify(f"{copy}/out", source, decoder="wire")
    assert found.is_good, found.problems
    expected = a20_parquet.verify(local, messy if with_source else (), decoder="wire")
    same = replace(expected, dataset=found.dataset, seconds=found.seconds)
    assert found == same


def test_verify_finds_what_is_wrong(store: Store, bucket: str, local: Path) -> None:
    """A changed byte, and a missing object."""
    out = store.put(local, f"{bucket}/out")
    first, second, *_ = sorted(path for path in store.read(out) if path.startswith("data/"))
    content = bytearray(store.read(out)[first])
    content[100] ^= 1
    store.open().pipe_file(f"{bucket}/out/{first}", bytes(content))
    store.open().rm_file(f"{bucket}/out/{second}")
    problems = a20_parquet.verify(out).problems
    assert {problem.path for problem in problems} == {first, second}


def test_scan(copy: str, local: Path) -> None:
    """All windows, and some."""
    found, expected = a20_parquet.scan(f"{copy}/out"), a20_parquet.scan(local)
    assert_frame_equal(found.collect(), expected.collect())
    of_site = pl.col("site") == "Site-3"
    columns = ["filename", "window_start"]
    assert_frame_equal(
        found.filter(of_site).select(columns).collect(),
        expected.filter(of_site).select(columns).collect(),
    )


def test_connect(copy: str, local: Path) -> None:
    """DuckDB reads through fsspec."""
    query = (
        "select site, date, count(*), sum(embedding[3]), epoch(max(window_start)) from windows "
        "group by all order by all"
    )
    with a20_parquet.connect(f"{copy}/out") as found, a20_parquet.connect(local) as expected:
        assert found.sql(query).fetchall() == expected.sql(query).fetchall()


def test_similar(copy: str, local: Path) -> None:
    """The same windows with the same similarities."""
    first = a20_parquet.scan(local).select("filename", "recording_offset_in_file").first()
    name, offset = first.collect().row(0)
    assert name in A2O_NAMES
    to = f"{name}@{offset}"
    assert_frame_equal(
        a20_parquet.similar(f"{copy}/out", to), a20_parquet.similar(local, to), rel_tol=1e-12
    )


def test_report(copy: str, local: Path, tmp_path: Path) -> None:
    """The same page but for the place."""
    found = a20_parquet.report(f"{copy}/out", tmp_path / "found.html").read_text()
    expected = a20_parquet.report(local, tmp_path / "expected.html").read_text()
    assert found.replace(f"{copy}/out", "out") == expected


def test_read_windows(copy: str, shuffled: Path) -> None:
    """Shards stream from a store too."""
    found = a20_parquet.read_windows(f"{copy}/whole", decoder="wire").read_all()
    expected = a20_parquet.read_windows(shuffled, decoder="wire").read_all()
    assert found.equals(expected)


def test_npy_json(copy: str, shuffled: Path, tmp_path: Path) -> None:
    """So do those that only become the notebook's files."""
    a20_parquet.npy_json(f"{copy}/whole", tmp_path / "found", decoder="wire")
    a20_parquet.npy_json(shuffled, tmp_path / "expected", decoder="wire")
    found = read_folder(tmp_path / "found")
    assert len(found) == 8
    assert found == read_folder(tmp_path / "expected")
