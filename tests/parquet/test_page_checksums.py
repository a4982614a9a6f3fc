"""Damaged pages are found where they are read; pages of earlier versions have nothing to check."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import Compression
from a20_parquet.verification.verify import verify
from a20_parquet.windows.schema import EMBEDDING, Feature
from tests.helpers.datasets import make_dataset
from tests.helpers.features import windows_with
from tests.helpers.parquet_files import encode
from tests.helpers.recordings import write_recordings
from tests.helpers.thrift import read_footer, read_pages
from tests.helpers.unchecked import write_no_checksums

ROWS, DIMS = 40, 16
FEATURES = (Feature("some", 3), Feature("all", 2))


@pytest.fixture(params=list(Compression))
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Two files of three row groups each, with features and nulls."""
    masks = [np.arange(ROWS) % 4 != 1, np.ones(ROWS, np.bool_)]
    batch = windows_with(dict(zip(FEATURES, masks, strict=True)), ROWS, DIMS)
    groups = [batch.slice(0, 15), batch.slice(15, 15), batch.slice(30)]
    content = encode(groups, request.param)
    return make_dataset(
        tmp_path / "dataset",
        [content, content],
        [ROWS, ROWS],
        dims=DIMS,
        compression=request.param,
        row_group_rows=15,
        features=FEATURES,
    )


def last_file(dataset: Path) -> Path:
    """The one that is damaged."""
    return max((dataset / "data").rglob("*.parquet"))


def damaged(path: Path) -> Iterator[str]:
    """Flip one bit in each page in turn, and yield the page's column."""
    content = path.read_bytes()
    names = [
        name
        for group in read_footer(content)[4]
        for chunk in group[1]
        for name in [chunk[3][3][0].decode()] * (2 if 11 in chunk[3] else 1)
    ]
    for number, (name, page) in enumerate(zip(names, read_pages(content), strict=True)):
        changed = bytearray(content)
        changed[page.start + number * 7919 % (page.stop - page.start)] ^= 1 << number % 8
        path.write_bytes(changed)
        yield name
    path.write_bytes(content)


def test_a_scan_finds_every_damaged_page(dataset: Path) -> None:
    """Of each column; a scan of other columns does not care."""
    whole = a20_parquet.scan(dataset).collect()
    assert_frame_equal(a20_parquet.scan(dataset).collect(), whole)
    path = last_file(dataset)
    names = set()
    for name in damaged(path):
        names.add(name)
        scan = a20_parquet.scan(dataset)
        for query in (scan, scan.select(name), scan.filter(site="site_0001").select(name)):
            with pytest.raises(DatasetError, match=r"site=site_0001/part-0000\.parquet.* CRC"):
                query.collect()
        assert_frame_equal(scan.drop(name).collect(), whole.drop(name))
    assert names == set(whole.columns) - {"site", "date"}


def test_a_search_finds_every_damaged_page_of_embeddings(dataset: Path) -> None:
    """It reads them with our own reader."""
    searched = [name for name in damaged(last_file(dataset)) if name == EMBEDDING]
    assert len(searched) == 3
    for name in damaged(last_file(dataset)):
        if name == EMBEDDING:
            with pytest.raises(DatasetError, match=r"site=site_0001/part-0000\.parquet.* CRC"):
                a20_parquet.similar(dataset, np.ones(DIMS))


def test_a_search_checks_what_it_is_limited_by(tmp_path: Path) -> None:
    """A wrong time would leave windows out."""
    write_recordings(tmp_path / "in")
    a20_parquet.convert(tmp_path / "in", tmp_path / "dataset", partition_by="site")
    path = last_file(tmp_path / "dataset")
    for name in damaged(path):
        if name == "window_start_local":
            with pytest.raises(DatasetError, match="CRC"):
                a20_parquet.similar(tmp_path / "dataset", np.ones(DIMS), from_date="2000-01-01")


def test_datasets_of_earlier_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They read, verify and take further shards; what carries no checksum is not checked."""
    shards = sorted(write_recordings(tmp_path / "in").iterdir())
    old, new = tmp_path / "old", tmp_path / "new"
    with monkeypatch.context() as earlier:
        write_no_checksums(earlier)
        a20_parquet.convert(shards[0], old)
    a20_parquet.convert(shards[0], new)
    paths = Catalog.open(old).files["path"].to_list()
    for path in paths:
        assert all(4 not in page.header for page in read_pages((old / path).read_bytes()))
        assert all(4 in page.header for page in read_pages((new / path).read_bytes()))

    for dataset in (old, new):
        assert verify(dataset, shards[0]).is_good
    whole = a20_parquet.scan(new).collect()
    assert_frame_equal(a20_parquet.scan(old).collect(), whole)
    query = whole[EMBEDDING][9].to_numpy()
    assert_frame_equal(a20_parquet.similar(old, query), a20_parquet.similar(new, query))

    content = (old / paths[0]).read_bytes()
    embeddings = next(read_pages(content))
    changed = bytearray(content)
    changed[embeddings.stop - 2] ^= 1
    (old / paths[0]).write_bytes(changed)
    assert not a20_parquet.scan(old).collect().equals(whole)
    assert not verify(old).is_good
    (old / paths[0]).write_bytes(content)

    for dataset in (old, new):
        a20_parquet.convert(shards, dataset)
        assert verify(dataset, shards).is_good
    assert_frame_equal(a20_parquet.scan(old).collect(), a20_parquet.scan(new).collect())
