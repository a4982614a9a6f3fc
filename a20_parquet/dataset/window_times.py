"""When the windows of a data file start: a few bytes a window, the embeddings are left unread."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from a20_parquet.table.coverage import TIME_COLUMNS

_BATCH_ROWS = 1 << 18


def read_window_times(catalog: Catalog, path: str, rows: int) -> Iterator[Any]:
    """Yield Arrow record batches of a data file's ``coverage.TIME_COLUMNS``.

    Args:
        catalog: the dataset.
        path: the file, relative to the dataset.
        rows: how many rows ``files.parquet`` says that it has.

    Raises:
        DatasetError: the file can't be read, lacks a column or has another number of rows.
    """
    try:
        with _open(catalog, path) as file:
            if file.metadata.num_rows != rows:
                raise DatasetError(
                    f"{catalog.url(path)}: it has {file.metadata.num_rows} rows, expected {rows} "
                    "as in files.parquet. Convert the shards again."
                )
            yield from file.iter_batches(_BATCH_ROWS, columns=TIME_COLUMNS, use_threads=False)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(
            f"{catalog.url(path)}: can't be read: {error}. Convert the shards again."
        ) from error


def _open(catalog: Catalog, path: str) -> Any:
    if catalog.is_local:  # Arrow's own file reads without Python
        return pq.ParquetFile(catalog.path(path))
    # Nothing is read ahead: what follows the columns is the next row group's embeddings.
    source = catalog.filesystem.open(catalog.path(path), "rb", cache_type="none")
    return pq.ParquetFile(source, pre_buffer=True)
