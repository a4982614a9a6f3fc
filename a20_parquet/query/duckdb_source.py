"""Lets DuckDB read windows as ``scan`` does: filters of a query choose files before one is opened.

DuckDB hands filters to the Arrow sources that it has for other libraries. Their protocol is its
own and may change: ``connect`` uses it only with versions of DuckDB that it knows.
"""

import logging
import operator
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from duckdb._sources import ArrowScanSource
from duckdb._sources.nodes import Node

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import A20ParquetError
from a20_parquet.query.duckdb_filters import FilterTranslator
from a20_parquet.query.scan import read_batches
from a20_parquet.query.sql import column_types
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.windows.schema import EMBEDDING

_LOGGER = logging.getLogger(__name__)
# Rows of a batch, if windows are only counted.
_MOST_ROWS: Final = 1 << 20
ROW: Final = "a20_row"
"""Name of the column that counts windows."""


class WindowSource(ArrowScanSource, pl.LazyFrame):
    """The windows of a dataset, for ``DuckDBPyConnection.from_arrow``.

    The first column is ``ROW``, zero for each window: DuckDB counts rows by the first column. It is
    a LazyFrame in name only: DuckDB takes objects of known libraries alone.
    """

    schema_is_stable = True

    def __init__(self, catalog: Catalog) -> None:
        """Prepare to read a dataset."""
        super().__init__(catalog)
        self._catalog = catalog
        schema = catalog.schema
        # As polars exports them: batches need no cast then.
        none: Any = pl.DataFrame(schema={ROW: pl.Int8(), **schema}).to_arrow()
        self._schema = none.schema
        types = column_types(catalog.dims, catalog.partition_by, catalog.features)
        metadata = set(schema) - {EMBEDDING, *(each.name for each in catalog.features)}
        self._filters = FilterTranslator({name: (schema[name], types[name]) for name in metadata})

    def rows(self) -> int:
        """Return the number of all windows."""
        return self._catalog.head.totals.windows

    def __arrow_c_schema__(self) -> object:
        """Return the Arrow schema of all columns."""
        return self._schema.__arrow_c_schema__()

    def accepts(self, predicate: Node) -> bool:
        """Whether ``stream`` can apply a filter exactly as DuckDB would."""
        return self._filters.translate(predicate) is not None

    def stream(self, columns: Sequence[int] | None, filters: Sequence[Node]) -> tuple[object, bool]:
        """Return a stream of the windows that pass the filters, with these columns."""
        schema = self._schema
        if columns is not None:
            schema = pa.schema([schema.field(index) for index in columns])
        batches = self._batches(schema, filters)
        return pa.RecordBatchReader.from_batches(schema, batches).__arrow_c_stream__(), True

    def _batches(self, schema: Any, filters: Sequence[Node]) -> Iterator[Any]:
        keys = self._catalog.partition_by.keys
        names = [name for name in schema.names if name != ROW] or keys[:1]
        translated = [self._filters.translate(each) for each in filters]
        predicate = reduce(operator.and_, translated) if translated else None
        query = WindowQuery(self._catalog, names, predicate)
        try:
            self._catalog.check_unchanged()
            if query.needs_no_file and schema.names == [ROW]:
                reading = _zeros(int(query.matching_files()["wanted"].sum()), schema)
            else:
                reading = _arrow(read_batches(self._catalog, names, predicate))
            for batch in reading:
                yield batch if batch.schema.equals(schema) else _select(batch, schema)
        except A20ParquetError as error:
            _LOGGER.debug("a query of DuckDB failed", exc_info=True)
            # DuckDB prints the traceback behind the message.
            raise error.with_traceback(None) from None


def _arrow(frames: Iterator[pl.DataFrame]) -> Iterator[Any]:
    for frame in frames:
        yield from frame.to_arrow().to_batches()


def _zeros(count: int, schema: Any) -> Iterator[Any]:
    """Yield ``count`` rows of the column ``ROW``."""
    rows = pa.array(np.zeros(min(count, _MOST_ROWS), np.int8))
    for first in range(0, count, _MOST_ROWS):
        chunk = rows.slice(0, min(_MOST_ROWS, count - first))
        yield pa.RecordBatch.from_arrays([chunk], schema=schema)


def _select(batch: Any, schema: Any) -> Any:
    """Return a batch with the columns of ``schema``, of which ``ROW`` may be missing."""
    if ROW in schema.names and ROW not in batch.schema.names:
        batch = batch.append_column(ROW, pa.array(np.zeros(batch.num_rows, np.int8)))
    return batch.select(schema.names).cast(schema)
