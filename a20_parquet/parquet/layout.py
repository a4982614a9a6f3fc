"""How a schema's columns are encoded: shared by all files, computed once."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.file_end import FileEnds
from a20_parquet.parquet.flat.columns import FlatColumn
from a20_parquet.parquet.flat.numbers import NumberType
from a20_parquet.parquet.format.footer import FooterFrame
from a20_parquet.parquet.format.schema import (
    DATE_MEANING,
    HALF_MEANING,
    INSTANT_MEANING,
    INT16_MEANING,
    LIST_MEANING,
    PLAIN_MEANING,
    STRING_MEANING,
    WALL_CLOCK_MEANING,
    LogicalType,
    Physical,
    Repetition,
    schema_element,
)
from a20_parquet.parquet.lists import LIST_ITEMS, ListColumn
from a20_parquet.parquet.pages import Compression

# DuckDB's arrays cannot be longer.
_LONGEST_LIST = 100_000

_INT16 = NumberType(np.dtype("<i2"), 4)
_INT32 = NumberType(np.dtype("<i4"), 4)
_INT64 = NumberType(np.dtype("<i8"), 8)
_FLOAT32 = NumberType(np.dtype("<i4"), 4, is_float=True)
_FLOAT64 = NumberType(np.dtype("<i8"), 8, is_float=True)

_FLAT: dict[Any, tuple[Physical, LogicalType, NumberType | None]] = {
    pa.string(): (Physical.BYTE_ARRAY, STRING_MEANING, None),
    pa.binary(): (Physical.BYTE_ARRAY, PLAIN_MEANING, None),
    pa.int16(): (Physical.INT32, INT16_MEANING, _INT16),
    pa.int32(): (Physical.INT32, PLAIN_MEANING, _INT32),
    pa.int64(): (Physical.INT64, PLAIN_MEANING, _INT64),
    pa.float32(): (Physical.FLOAT, PLAIN_MEANING, _FLOAT32),
    pa.float64(): (Physical.DOUBLE, PLAIN_MEANING, _FLOAT64),
    pa.timestamp("us"): (Physical.INT64, WALL_CLOCK_MEANING, _INT64),
    pa.timestamp("us", tz="UTC"): (Physical.INT64, INSTANT_MEANING, _INT64),
    pa.date32(): (Physical.INT32, DATE_MEANING, _INT32),
}


class ParquetLayout:
    """Schema and compression of any number of files; immutable, so that threads can share it."""

    def __init__(
        self, schema: Any, compression: Compression, sorted_by: Sequence[str] = ()
    ) -> None:
        """Encode what rows do not change.

        Args:
            schema: a ``pyarrow.Schema`` of numbers, times, strings, bytes and lists of float32,
                float16 or int64 with one length; the file's columns in this order.
            compression: of all columns.
            sorted_by: names of the columns by which the rows of each row group ascend, nulls first.

        Raises:
            DatasetError: a column has another type.
        """
        self.schema = schema
        self.compression = compression
        self.lists: dict[int, ListColumn] = {}
        """Embedding and features by their index in the schema."""
        self.flat: dict[int, FlatColumn] = {}
        """All other columns by their index in the schema."""
        for index, field in enumerate(schema):
            if field.type in _FLAT:
                physical, _, number = _FLAT[field.type]
                self.flat[index] = FlatColumn(field, physical, number, compression)
            else:
                _require_list(field)
                self.lists[index] = ListColumn(field, compression)
        elements = [schema_element("schema", children=len(schema))]
        for field in schema:
            elements += _elements(field)
        # pyarrow and libraries on top of it take the types from here: Parquet itself has no lists
        # of a fixed size.
        arrow_schema = base64.b64encode(schema.serialize().to_pybytes())
        metadata = {**(schema.metadata or {}), b"ARROW:schema": arrow_schema}
        keys = [schema.get_field_index(name) for name in sorted_by]
        self.footer = FooterFrame(elements, len(schema), metadata, keys)
        self.ends = FileEnds(self.footer, list(self.lists), list(self.flat))

    def check(self, windows: Any, without: int | None = None) -> None:
        """Check the schema of a ``pyarrow.RecordBatch``, which may lack one column.

        Raises:
            DatasetError: it differs.
        """
        expected = self.schema if without is None else self.schema.remove(without)
        if windows.schema != expected:
            raise DatasetError(f"the windows' columns are {windows.schema}, the file's {expected}")


def _require_list(field: Any) -> None:
    kind = field.type
    if not (
        pa.types.is_fixed_size_list(kind)
        and kind.value_type in LIST_ITEMS
        and not kind.value_field.nullable
        and 1 <= kind.list_size <= _LONGEST_LIST
    ):
        raise DatasetError(
            f"column {field.name!r} has type {kind}, which cannot be written: use one of "
            f"{', '.join(map(str, _FLAT))}, or fixed_size_list of float, halffloat or int64 "
            f"not null, of 1 to {_LONGEST_LIST} elements"
        )


def _elements(field: Any) -> list[bytes]:
    """Return the schema elements of a column; the format wants three levels for a list."""
    repetition = Repetition.OPTIONAL if field.nullable else Repetition.REQUIRED
    if field.type not in _FLAT:
        physical, size = LIST_ITEMS[field.type.value_type]
        is_half = physical is Physical.FIXED_LEN_BYTE_ARRAY
        return [
            schema_element(field.name, repetition=repetition, children=1, meaning=LIST_MEANING),
            schema_element("list", repetition=Repetition.REPEATED, children=1),
            schema_element(
                "element",
                physical=physical,
                repetition=Repetition.REQUIRED,
                length=size if is_half else None,
                meaning=HALF_MEANING if is_half else PLAIN_MEANING,
            ),
        ]
    physical, meaning, _ = _FLAT[field.type]
    return [schema_element(field.name, physical=physical, repetition=repetition, meaning=meaning)]
