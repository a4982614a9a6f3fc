"""Embeddings of chosen rows of several files, in one array or block after block."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.parquet import Compression
from a20_parquet.query.file_slices import (
    FileSlice,
    read_blocks,
    read_embeddings,
)
from a20_parquet.query.window_query import WindowQuery
from tests.helpers.datasets import make_dataset
from tests.helpers.parquet_files import encode, windows

DIMS = 1280
# Files of one page, of several, of several row groups, and of a single row.
GROUPS = [[84], [500], [250, 250, 3], [1], [204], [205], [60], [60]]


def raw(embeddings: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
    """The floats' bits."""
    return np.ascontiguousarray(embeddings).view(np.uint32)


def parts_of(catalog: Catalog, rows_a_part: int) -> list[FileSlice]:
    """Every file, cut into parts."""
    row_bytes = 4 * catalog.dims + 200
    source = WindowQuery(catalog, ["embedding"], batch_bytes=rows_a_part * row_bytes)
    return [part for batch in source.batches() for part in batch]


@pytest.mark.slow
@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("rows_a_part", [100, 100_000])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_rows_that_are_kept(
    tmp_path: Path, compression: Compression, rows_a_part: int, share: float
) -> None:
    """The array and the blocks hold just those rows, bit for bit and with their numbers."""
    files = [
        [windows(rows, DIMS, seed=17 * file + group) for group, rows in enumerate(groups)]
        for file, groups in enumerate(GROUPS)
    ]
    root = make_dataset(
        tmp_path,
        [encode(batches, compression) for batches in files],
        [sum(groups) for groups in GROUPS],
        dims=DIMS,
        compression=compression,
        row_group_rows=500,
    )
    paths = sorted((root / "data").rglob("*.parquet"))
    expected = pl.concat([pl.read_parquet(path, columns=["embedding"]) for path in paths])
    bits = raw(expected["embedding"].to_numpy())

    catalog = Catalog.open(root)
    rng = np.random.default_rng(5)
    parts = parts_of(catalog, rows_a_part)
    kept = [rng.random(len(part.wanted())) < share for part in parts]
    wanted = np.flatnonzero(np.concatenate(kept))
    found = np.empty((sum(map(np.count_nonzero, kept)), DIMS), np.float32)
    read_embeddings(parts, kept, found)
    np.testing.assert_array_equal(raw(found), bits[wanted])
    for options in ({}, {"block_bytes": 1}, {"block_bytes": 1 << 24}):
        numbers = [np.empty(0, np.int64)]
        for rows, block in read_blocks(parts, kept, EmbeddingBuffer(), DIMS, **options):
            assert len(rows) == len(block)
            np.testing.assert_array_equal(raw(block), bits[rows])
            numbers.append(rows)
        np.testing.assert_array_equal(np.concatenate(numbers), wanted)


def test_scratch_grows_and_keeps() -> None:
    """What was written stays when more memory is needed."""
    scratch = EmbeddingBuffer()
    scratch.rows(2, 3)[:] = 1
    larger = scratch.rows(5, 3)
    assert larger.shape == (5, 3)
    np.testing.assert_array_equal(larger[:2], 1)
