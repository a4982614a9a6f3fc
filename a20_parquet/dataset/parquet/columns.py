"""The columns beside the embedding: one data page a row group each, and a dictionary if it pays.

Source: apache/parquet-format, ``README.md`` and ``parquet.thrift``.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

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


class FlatGroup(NamedTuple):
    """One row group of all flat columns, encoded."""

    rows: int
    columns: Sequence[tuple[Values, int, Array | None]]
    """Of each column the values that are not null, the number of nulls, and what is not null: shape
    (rows,), bool, or None where nothing is null."""

    def put(self, columns: Iterable[FlatColumn], pages: Pages) -> list[bytes]:
        """Puts the pages of all columns; gives each one's ``ColumnChunk`` for the footer."""
        return [
            column.put(values, self.rows, nulls, valid, pages)
            for column, (values, nulls, valid) in zip(columns, self.columns, strict=True)
        ]


def encode_group(columns: Sequence[FlatColumn], arrays: Sequence[Any], rows: int) -> FlatGroup:
    """Encodes one row group of all flat columns.

    Args:
        columns: the flat columns.
        arrays: their Arrow arrays; they may be slices.
        rows: of each array, 1 or more.

    Raises:
        DatasetError: an array has nulls, and its column must not.
    """
    pairs = list(zip(columns, arrays, strict=True))
    valid = [validity(array, column.name, nullable=column.nullable) for column, array in pairs]
    numbers = iter(
        encode_numbers(
            [
                (column.number, array, present)
                for (column, array), present in zip(pairs, valid, strict=True)
                if column.number
            ]
        )
    )
    encoded = [
        (
            next(numbers) if column.number else encode_strings(array, present),
            array.null_count,
            present,
        )
        for (column, array), present in zip(pairs, valid, strict=True)
    ]
    return FlatGroup(rows, encoded)


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
    byte, bit = divmod(array.offset, 8)
    bits = np.frombuffer(array.buffers()[0], np.uint8)[byte:]
    valid = np.unpackbits(bits, count=bit + len(array), bitorder="little")[bit:]
    return valid.view(np.bool_)
