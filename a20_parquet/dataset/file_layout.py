"""How the data files of a dataset are encoded."""

from typing import Final

from a20_parquet.dataset.manifest import TableOptions
from a20_parquet.parquet import ParquetLayout
from a20_parquet.windows.order import SORT_KEYS
from a20_parquet.windows.schema import METADATA, window_schema

_SORTED_BY: Final = tuple(key for key in SORT_KEYS if key in {column.name for column in METADATA})


def file_layout(table: TableOptions) -> ParquetLayout:
    """Return schema, order of rows and compression of all data files."""
    schema = window_schema(table.dims, table.features)
    return ParquetLayout(schema, table.compression, _SORTED_BY)
