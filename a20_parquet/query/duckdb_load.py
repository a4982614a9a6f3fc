"""Streams a dataset's windows into a DuckDB table, in the dataset's order."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import A20ParquetError
from a20_parquet.progress import Progress
from a20_parquet.query.map_batches import map_batches
from a20_parquet.query.sql import RELATION, identifier
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.resources import METADATA_ROW_BYTES

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_VECTOR_ROWS = 2048
_MAX_ROW_GROUP_ROWS = 60 * _VECTOR_ROWS
_ROW_GROUPS = 8
# How often a batch is in memory: here, in Arrow, and in DuckDB before it counts it as its own.
_COPIES = 3
_SOURCE = "a20_source"


def row_group_rows(budget: int, list_bytes: int) -> int:
    """How many rows DuckDB gathers before it writes them, so that some groups fit the budget.

    Args:
        budget: in bytes.
        list_bytes: of a row's embedding and features.
    """
    fitting = budget // _ROW_GROUPS // (list_bytes + METADATA_ROW_BYTES)
    return min(max(fitting // _VECTOR_ROWS, 1) * _VECTOR_ROWS, _MAX_ROW_GROUP_ROWS)


def database_memory(budget: int) -> int:
    """What of a budget in bytes is DuckDB's own; the rest is for what is read."""
    return budget * 3 // 4


def load_windows(
    connection: "DuckDBPyConnection",
    catalog: Catalog,
    *,
    budget: int,
    workers: int,
    progress: Progress,
) -> None:
    """Fill the empty table ``windows``.

    Raises:
        DatasetError: a data file is missing or damaged.
    """
    source = _Source(catalog, budget - database_memory(budget), workers, progress)
    names = ", ".join(identifier(name) for name in catalog.schema)
    schema = pl.DataFrame(schema=catalog.schema).to_arrow().schema
    connection.register(_SOURCE, pa.RecordBatchReader.from_batches(schema, source.batches()))
    try:
        # One statement: an own one for each batch rewrites the last row group every time.
        fill = f"INSERT INTO {RELATION} SELECT {names} FROM {_SOURCE}"  # noqa: S608 - all quoted
        connection.execute(fill)
    except Exception as error:
        if source.error is not None:
            raise source.error from error
        raise
    finally:
        connection.unregister(_SOURCE)


class _Source:
    """Reads all windows; DuckDB hides the errors of what it reads from, so they are kept here."""

    def __init__(self, catalog: Catalog, budget: int, workers: int, progress: Progress) -> None:
        self.error: A20ParquetError | None = None
        # Each worker has a batch in hand and another one waiting.
        batch_bytes = budget // (_COPIES * (2 * workers + 1))
        self._windows = WindowQuery(catalog, None, batch_bytes=batch_bytes)
        self._workers = workers
        self._progress = progress

    def batches(self) -> Iterator[Any]:
        """Give all windows as record batches in the dataset's order."""
        frames = map_batches(
            self._windows,
            self._windows.read,
            name="loading",
            progress=self._progress,
            workers=self._workers,
        )
        try:
            for frame in frames:
                yield from frame.to_arrow().to_batches()
        except A20ParquetError as error:
            self.error = error
            raise
