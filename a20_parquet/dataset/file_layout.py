"""How the data files of a dataset are encoded, and what each says of itself."""

import json
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from a20_parquet._version import __version__
from a20_parquet.dataset.options import TableOptions
from a20_parquet.parquet import ParquetLayout
from a20_parquet.windows.order import SORT_KEYS
from a20_parquet.windows.schema import METADATA, Column, file_columns

FILE_KEY: Final = "a20_parquet"
"""Key, in a file's metadata, of the JSON that describes its dataset."""
_SORTED_BY: Final = tuple(key for key in SORT_KEYS if key in {column.name for column in METADATA})


@dataclass(frozen=True, slots=True)
class FileLayout:
    """What all files that one conversion writes have in common."""

    table: TableOptions
    dataset_id: str
    """See ``Manifest.id``."""

    @property
    def description(self) -> str:
        """What each file says of its dataset, as JSON: it holds nothing of time or machine."""
        table = self.table
        values = {
            "dataset": self.dataset_id,
            "model": table.model,
            "window_seconds": table.window_size_seconds,
            "hop_seconds": table.window_seconds,
            "version": __version__,
        }
        known = {name: value for name, value in values.items() if value is not None}
        return json.dumps(known, separators=(",", ":"))

    @property
    def parquet(self) -> ParquetLayout:
        """Schema with units and meanings, order of rows, and compression."""
        table = self.table
        stored = file_columns(table.dims, table.features, table.store, table.key_columns)
        fields = map(_described, stored)
        schema = pa.schema(fields, metadata={FILE_KEY: self.description})
        return ParquetLayout(schema, table.compression, _SORTED_BY)


def _described(column: Column) -> Any:
    about = {"meaning": column.meaning} | ({"unit": column.unit} if column.unit else {})
    return column.field.with_metadata(about)
