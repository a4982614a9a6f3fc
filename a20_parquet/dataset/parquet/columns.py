"""The columns beside the embedding: one data page a row group each, and a dictionary if it pays.

Source: apache/parquet-format, ``README.md`` and ``parquet.thrift``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from a20_parquet.dataset.parquet import levels
from a20_parquet.dataset.parquet.encoding import Array
from a20_parquet.dataset.parquet.footer import Statistics, chunk, chunk_head
from a20_parquet.dataset.parquet.numbers import NumberType, encode_numbers
from a20_parquet.dataset.parquet.pages import Compression, Pages
from a20_parquet.dataset.parquet.strings import encode_strings
from a20_parquet.dataset.parquet.structures import Encoding, Physical
from a20_parquet.dataset.parquet.values import Values
from a20_parquet.errors import DatasetError


class FlatColumn:
    """A column of numbers, times or strings; immutable."""

    def __init__(
        self,
        field: Any,
        physical: Physical,
        number: NumberType | None,
        compression: Compression,
    ) -> None:
        """Encodes what rows don't change.

        Args:
            field: the ``pyarrow.Field``.
            physical: how Parquet stores the values.
            number: how they lie in memory; None for strings.
            compression: of the pages.
        """
        self.name = field.name
        self.nullable = field.nullable
        self.number = number
        self._plain_head, self._dictionary_head = (
            chunk_head(physical, encoding, [field.name], compression.codec)
            for encoding in (Encoding.PLAIN, Encoding.RLE_DICTIONARY)
        )

    def put(
        self, values: Values, rows: int, nulls: int, valid: Array | None, pages: Pages
    ) -> bytes:
        """Puts the pages of one row group.

        Args:
            values: those that are not null.
            rows: nulls included.
            nulls: how many there are.
            valid: shape (rows,), bool: what is not null; None where nothing is.
            pages: where to put them.

        Returns:
            The ``ColumnChunk`` for the footer.
        """
        if values.dictionary is None:
            head, encoding = self._plain_head, Encoding.PLAIN
        else:
            head, encoding = self._dictionary_head, Encoding.RLE_DICTIONARY
        definition = levels.flat(rows, valid) if self.nullable else b""
        start = pages.output.size
        size, data_page = pages.put_values(definition, values, rows, encoding)
        return chunk(
            head,
            rows,
            size,
            pages.output.size - start,
            start + data_page,
            start if data_page else None,
            Statistics(nulls, values.low, values.high),
        )


def put_flat_columns(
    columns: Mapping[int, FlatColumn], arrays: Sequence[Any], pages: Pages
) -> dict[int, bytes]:
    """Puts one row group of all flat columns.

    Args:
        columns: by their place in the schema.
        arrays: of all columns of the schema, Arrow arrays of one row or more; they may be slices.
        pages: where to put the pages.

    Returns:
        Each flat column's ``ColumnChunk`` for the footer, by its place in the schema.

    Raises:
        DatasetError: an array has nulls, and its column must not.
    """
    valid = {
        index: validity(arrays[index], column.name, nullable=column.nullable)
        for index, column in columns.items()
    }
    encoded_numbers = iter(
        encode_numbers(
            [
                (column.number, arrays[index], valid[index])
                for index, column in columns.items()
                if column.number
            ]
        )
    )
    chunks = {}
    for index, column in columns.items():
        array, present = arrays[index], valid[index]
        values = next(encoded_numbers) if column.number else encode_strings(array, present)
        chunks[index] = column.put(values, len(array), array.null_count, present, pages)
    return chunks


def validity(array: Any, name: str, *, nullable: bool) -> Array | None:
    """What of an Arrow array is not null, shape (rows,), bool; None where nothing is null.

    Raises:
        DatasetError: there are nulls, and the column ``name`` is not nullable.
    """
    nulls = array.null_count
    if not nulls:
        return None
    if not nullable:
        raise DatasetError(f"column {name!r} has {nulls} nulls; its type forbids them")
    bits = np.frombuffer(array.buffers()[0], np.uint8)
    end = array.offset + len(array)
    valid = np.unpackbits(bits, count=end, bitorder="little")[array.offset :]
    return valid.view(np.bool_)
