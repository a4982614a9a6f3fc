"""Pages that a store is asked for: those of the wanted rows, found through the offset index."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import fsspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.dataset.page_range import PageRange
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import ColumnChunk, Embeddings, RowGroups
from a20_parquet.query.read_rows import take_embeddings
from tests.helpers.datasets import make_dataset
from tests.helpers.parquet_files import encode, windows

DIMS = 4096  # 64 rows a page
ROWS = 200
GROUPS = 2
URL = "memory://page-range/dataset"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two row groups of four pages, also in a store."""
    root = tmp_path_factory.mktemp("dataset")
    every = windows(GROUPS * ROWS, DIMS)
    batches = [every.slice(first, ROWS) for first in range(0, GROUPS * ROWS, ROWS)]
    make_dataset(root, [encode(batches)], [GROUPS * ROWS], dims=DIMS, row_group_rows=ROWS)
    fsspec.filesystem("memory").put(f"{root}/", URL, recursive=True)
    return root


@pytest.fixture(scope="module")
def everything(local: Path) -> Embeddings:
    """All embeddings, by polars."""
    found: Embeddings = pl.read_parquet(local / "data/**/*.parquet")["embedding"].to_numpy()
    return found


@pytest.fixture
def requests() -> Iterator[list[int]]:
    """The size of each range that the store is asked for at once."""
    sizes: list[int] = []
    store = type(fsspec.filesystem("memory"))
    cat_file = store.cat_file

    def counted(self: Any, path: str, *args: Any, **options: Any) -> bytes:
        content: bytes = cat_file(self, path, *args, **options)
        if path.endswith("part-0000.parquet"):
            sizes.append(len(content))
        return content

    with patch.object(store, "cat_file", counted):
        yield sizes


@pytest.mark.parametrize("row", [0, 63, 64, 199, 200, 399])
def test_one_window_costs_its_page(everything: Embeddings, requests: list[int], row: int) -> None:
    """The last request gets a megabyte, and not the row group's three."""
    keys = ["filename", "recording_offset_in_file"]
    one = a20_parquet.scan(URL).select(keys).slice(row, 1).collect()
    requests.clear()
    assert np.array_equal(a20_parquet.take_numpy(URL, one), everything[row : row + 1])
    page = min(64, ROWS - row % ROWS // 64 * 64) * DIMS * 4
    assert page < requests[-1] < page + 32_000
    # The rest is the footer and the metadata of the row groups.
    assert sum(requests) < page + 400_000


@given(
    rows=st.sets(st.integers(0, GROUPS * ROWS - 1), min_size=1, max_size=4),
    seed=st.randoms(use_true_random=False),
)
def test_any_rows(everything: Embeddings, rows: set[int], seed: Random) -> None:
    """They are the same, in any order, and through a filter."""
    asked = seed.sample(sorted(rows), len(rows))
    catalog = Catalog.open(URL)
    found = take_embeddings(catalog, np.array(asked))
    assert np.array_equal(found, everything[asked])
    names = pl.DataFrame(windows(GROUPS * ROWS)).with_row_index("row")
    keys = names.filter(pl.col("row").is_in(asked)).select("filename", "recording_offset_in_file")
    scanned = a20_parquet.scan(URL).join(
        keys.lazy(), on=keys.columns, how="semi", maintain_order="left"
    )
    filtered = a20_parquet.scan(URL).filter(pl.struct(keys.columns).is_in(keys.to_struct()))
    for query in (scanned, filtered):
        assert np.array_equal(query.collect()["embedding"].to_numpy(), everything[sorted(rows)])


@pytest.mark.parametrize("kind", ["flips", "shifts"])
def test_damaged_indexes_change_no_row(everything: Embeddings, kind: str) -> None:
    """The index has no checksum: what it says wrong is an error, or is not used."""
    catalog = Catalog.open(URL)
    path, size, rows = catalog.files.select("path", "bytes", "rows").row(0)
    content = catalog.read(path)
    length = int.from_bytes(content[-8:-4], "little")
    chunk = RowGroups(content[-8 - length : -8]).read(1, [0]).chunks[0]
    for place in range(chunk.index_start, chunk.index_start + chunk.index_size):
        damaged = bytearray(content)
        damaged[place] = damaged[place] ^ 1 << place % 8 if kind == "flips" else 0
        catalog.filesystem.pipe_file(catalog.path(path), bytes(damaged))
        try:
            for row in (0, 100, 199):
                with DataFile(catalog, path, rows=rows, size=size) as opened:
                    for pages, page in opened.pages(1, (row, row)):
                        out = np.empty((page.rows, DIMS), np.float32)
                        opened.read_page(pages, page, out)
                        start = ROWS + page.first
                        assert np.array_equal(out, everything[start : start + page.rows])
        except DatasetError:
            continue
        finally:
            catalog.filesystem.pipe_file(catalog.path(path), content)


def test_forms_of_others_are_read_whole() -> None:
    """No index, or one of another form: all pages."""
    chunk = ColumnChunk(80, 4, 100, 200, 5)
    assert PageRange.of_rows(chunk, 10, b"", 3, 4) == PageRange(0, 10, 4, 104)
