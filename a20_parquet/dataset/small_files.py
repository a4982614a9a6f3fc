"""Reads the embeddings of small local files, which takes less time than opening a ``DataFile``."""

from typing import Final

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import MAGIC, Compression, Embeddings, LocalInput, read_one_page

# What ``ListColumn`` writes as one page.
_MOST_BYTES: Final = 1 << 20


def is_small(catalog: Catalog, rows: int) -> bool:
    """Whether ``read_small`` may read a file of this number of rows."""
    options = catalog.head.options
    return (
        catalog.is_local
        and rows * catalog.dims * 4 <= _MOST_BYTES
        and rows <= options.row_group_rows
        and options.compression is Compression.NONE
        and catalog.store.item_bytes == 4  # noqa: PLR2004 - float32
    )


def read_small(catalog: Catalog, path: str, size: int, out: Embeddings) -> bool:
    """Read all embeddings of a file.

    Args:
        catalog: of its dataset.
        path: relative to the dataset.
        size: of the file in bytes, as in the catalog.
        out: gets its rows, shape ``(rows, dims)``; ``is_small`` must be true for them.

    Returns:
        False if the file is missing, damaged or has another form. Then ``out`` holds anything, and
        a ``DataFile`` reads it or tells why not.
    """
    try:
        source = LocalInput(catalog.path(path))
    except OSError:
        return False
    try:
        return source.size == size and read_one_page(source, len(MAGIC), out)
    except (OSError, DatasetError):
        return False
    finally:
        source.close()
