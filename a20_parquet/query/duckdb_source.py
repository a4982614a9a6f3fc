"""Lets DuckDB read windows as ``scan`` does: filters of a query choose files before one is opened.

DuckDB hands filters to the Arrow sources that it has for other libraries. Their protocol is its
own and may change: ``connect`` uses it only with versions of DuckDB that it knows.
"""

import logging
import operator
from collections.abc import Iterator, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from duckdb._sources import ArrowScanSource
from duckdb._sources.nodes import Node

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import A20ParquetError, DatasetError
from a20_parquet.query.duckdb_filters import FilterTranslator
from a20_parquet.query.duckdb_view import check_files
from a20_parquet.query.scan import read_batches
from a20_parquet.query.sql import column_types, identifier, is_readable, no_windows, select_windows
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.windows.schema import EMBEDDING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LOGGER = logging.getLogger(__name__)
# To plan and start a query of its own takes DuckDB as long as to read the metadata of a few files.
_FEW_FILES: Final = 16
# Rows of a batch, if windows are only counted.
_MOST_ROWS: Final = 1 << 20
ROW: Final = "a20_row"
"""Name of the column that counts windows."""


class WindowSource(ArrowScanSource, pl.LazyFrame):
    """The windows of a dataset, for ``DuckDBPyConnection.from_arrow``.

    Embeddings and few files are read by this package; the metadata of many files by DuckDB. The
    first column is ``ROW``, zero for each window: DuckDB counts rows by the first column. It is a
    LazyFrame in name only: DuckDB takes objects of known libraries alone.
    """

    schema_is_stable = True

    def __init__(self, catalog: Catalog, connection: "DuckDBPyConnection") -> None:
        """Prepare to read.

        Args:
            catalog: of the dataset.
            connection: used to read metadata; another one than that of the queries.
        """
        super().__init__(catalog)
        self._catalog = catalog
        self._connection = connection
        schema = catalog.schema
        self._types = column_types(catalog.dims, catalog.partition_by, catalog.features)
        # As DuckDB exports them: its batches need no cast then.
        none: Any = connection.sql(no_windows({ROW: "TINYINT"} | self._types)).to_arrow_table()
        self._schema = none.schema
        self._metadata = set(schema) - {EMBEDDING, *(each.name for each in catalog.features)}
        self._is_readable = is_readable(catalog.location)
        self._filters = FilterTranslator(
            {name: (schema[name], self._types[name]) for name in self._metadata}
        )

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
            elif self._is_for_duckdb(query, names):
                reading = self._read_metadata(query.matching_files(), names, filters)
            else:
                reading = _arrow(read_batches(self._catalog, names, predicate))
            for batch in reading:
                yield batch if batch.schema.equals(schema) else _select(batch, schema)
        except A20ParquetError as error:
            _LOGGER.debug("a query of DuckDB failed", exc_info=True)
            # DuckDB prints the traceback behind the message.
            raise error.with_traceback(None) from None

    def _is_for_duckdb(self, query: WindowQuery, names: Sequence[str]) -> bool:
        return (
            self._is_readable
            and not query.needs_no_file
            and self._metadata.issuperset(names)
            and len(query.matching_files()) > _FEW_FILES
        )

    def _read_metadata(
        self, files: pl.DataFrame, names: Sequence[str], filters: Sequence[Node]
    ) -> Iterator[Any]:
        """Read metadata of many files with DuckDB, which opens files faster.

        Raises:
            DatasetError: a file is missing or damaged, or the dataset was replaced.
        """
        catalog = self._catalog
        if catalog.is_local:
            check_files(catalog, files)
        paths = files["path"].to_list()
        windows = select_windows(catalog.location, paths, self._types, catalog.partition_by)
        selected = ", ".join(map(identifier, names))
        passes = " AND ".join(["true", *(each.fragment() for each in filters)])
        query = f"SELECT {selected} FROM ({windows}) WHERE {passes}"  # noqa: S608 - all quoted
        try:
            yield from self._connection.cursor().sql(query).to_arrow_reader()
        except (duckdb.Error, ValueError) as error:
            raise DatasetError(
                f"{catalog.location}: DuckDB cannot read its files: {error}. "
                "Copy or convert the dataset again."
            ) from error
        # A dataset that was replaced meanwhile may have given windows of both.
        catalog.check_unchanged()


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
