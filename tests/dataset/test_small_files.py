"""Embeddings of small files with one read: those of pyarrow, or nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.small_files import is_small, read_small
from a20_parquet.parquet import Compression
from tests.helpers.datasets import make_dataset
from tests.helpers.parquet_files import encode, windows

DIMS = 4
ROWS = [1 + number % 5 for number in range(60)]


def make(folder: Path, compression: Compression = Compression.NONE) -> Catalog:
    """A dataset of files of a few rows."""
    files = [
        encode([windows(rows, DIMS, seed=number)], compression) for number, rows in enumerate(ROWS)
    ]
    make_dataset(folder, files, ROWS, dims=DIMS, compression=compression)
    return Catalog.open(folder)


def read(catalog: Catalog, path: str) -> npt.NDArray[np.uint32] | None:
    """The bits of a file's floats, shape (rows, dims), or None."""
    ((size, rows),) = catalog.files.filter(path=path).select("bytes", "rows").iter_rows()
    out = np.full((rows, DIMS), np.nan, np.float32)
    return out.view(np.uint32) if read_small(catalog, path, size, out) else None


def by_pyarrow(path: Path) -> npt.NDArray[np.uint32]:
    """The same by pyarrow."""
    column = pq.ParquetFile(path).read(["embedding"])["embedding"].combine_chunks()
    floats: npt.NDArray[np.float32] = column.flatten().to_numpy().reshape(-1, DIMS)
    return floats.view(np.uint32)


def test_as_pyarrow_reads_them(tmp_path: Path) -> None:
    """Nearly all are read; those whose checksum takes fewer bytes are not."""
    catalog = make(tmp_path)
    found = {path: read(catalog, path) for path in catalog.files["path"]}
    assert is_small(catalog, max(ROWS))
    for path, floats in found.items():
        if floats is not None:
            np.testing.assert_array_equal(floats, by_pyarrow(tmp_path / path))
    unread = sum(floats is None for floats in found.values())
    assert 0 < unread < len(ROWS) // 4


def test_flipped_bits(tmp_path: Path) -> None:
    """No flipped bit of a page gets through."""
    catalog = make(tmp_path)
    name = next(name for name in catalog.files["path"] if read(catalog, name) is not None)
    path = tmp_path / name
    chunk = pq.read_metadata(path).row_group(0).column(0)
    content = path.read_bytes()
    for place in range(
        chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size
    ):
        for bit in (0, 7):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            assert read(catalog, name) is None, (place, bit)
    path.write_bytes(content)
    assert read(catalog, name) is not None


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe_instead(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "lost": Path.unlink,
    "a folder": folder_instead,
    "a pipe": pipe_instead,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "cut off early": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "by another writer": lambda path: pq.write_table(pq.ParquetFile(path).read(), path),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_other_files(tmp_path: Path, damage: Callable[[Path], object]) -> None:
    """They are left to a reader that says what is wrong."""
    catalog = make(tmp_path)
    name = next(name for name in catalog.files["path"] if read(catalog, name) is not None)
    damage(tmp_path / name)
    assert read(catalog, name) is None


def test_what_is_not_small(tmp_path: Path) -> None:
    """Pages that are compressed, and files of several pages or row groups."""
    assert not is_small(make(tmp_path / "zstd", Compression.ZSTD), 1)
    catalog = make(tmp_path / "none")
    assert not is_small(catalog, (1 << 20) // (4 * DIMS) + 1)
    assert not is_small(catalog, catalog.head.options.row_group_rows + 1)
