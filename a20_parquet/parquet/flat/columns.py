"""The columns beside the embedding: one data page a row group each, and a dictionary if it pays.

Source: apache/parquet-format, ``README.md`` and ``parquet.thrift``.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.flat.numbers import NumberType, encode_numbers
from a20_parquet.parquet.flat.strings import encode_strings
from a20_parquet.parquet.flat.values import Values
from a20_parquet.parquet.format import levels
from a20_parquet.parquet.format.encodings import Array
from a20_parquet.parquet.format.footer import chunk_head, chunk_sizes, chunk_statistics
from a20_parquet.parquet.format.schema import Encoding, Physical
from a20_parquet.parquet.pages import Compression, PageEncoder, crc32, data_page_frame


class FlatChunk(NamedTuple):
    """One row group of a flat column, encoded but for where in the file it lies."""

    content: bytes
    """All its pages."""
    size: int
    """Bytes of the same before compression."""
    dictionary_size: int
    """Bytes of the dictionary page, which is the first; 0 where there is none."""
    sizes: bytes
    """See ``footer.chunk_sizes``."""
    statistics: bytes
    """See ``footer.chunk_statistics``."""


class PlainFrame(NamedTuple):
    """What surrounds PLAIN numbers, and their page's checksum."""

    front: bytes
    """What precedes the checksum in the file."""
    back: bytes
    """What lies between checksum and numbers: the header's end and the levels."""
    levels_crc: int
    """CRC32 of the levels."""
    sizes: Sequence[bytes]
    """``footer.chunk_sizes`` for checksums that take 1, 2, 3, 4 and 5 bytes."""


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

    def encode(
        self, values: Values, rows: int, nulls: int, valid: Array | None, pages: PageEncoder
    ) -> FlatChunk:
        """Encodes one row group.

        Args:
            values: those that are not null.
            rows: nulls included.
            nulls: how many there are.
            valid: shape (rows,), bool: what is not null; None where nothing is.
            pages: makes the pages.

        Raises:
            DatasetError: a page is larger than the format allows.
        """
        if values.dictionary is None:
            head, encoding = self._plain_head, Encoding.PLAIN
        else:
            head, encoding = self._dictionary_head, Encoding.RLE_DICTIONARY
        definition = levels.flat(rows, valid) if self.nullable else b""
        content, size, dictionary_size = pages.flat(definition, values, rows, encoding)
        return FlatChunk(
            content,
            size,
            dictionary_size,
            chunk_sizes(head, rows, size, len(content)),
            chunk_statistics(nulls, values.low, values.high),
        )

    def uncompressed_frame(self, rows: int) -> PlainFrame:
        """What surrounds PLAIN numbers none of which is null, whichever these are."""
        definition = levels.flat(rows, None) if self.nullable else b""
        plain_size = self.number.size * rows if self.number else 0
        page_size = len(definition) + plain_size
        front, back = data_page_frame(page_size, page_size, rows, Encoding.PLAIN)
        size = len(front) + len(back) + page_size
        sizes = [chunk_sizes(self._plain_head, rows, size + n, size + n) for n in range(1, 6)]
        return PlainFrame(front, back + definition, crc32(definition), sizes)


def encode_group(
    columns: Sequence[FlatColumn], arrays: Sequence[Any], pages: PageEncoder
) -> list[FlatChunk]:
    """Encodes one row group of all flat columns.

    Args:
        columns: the flat columns.
        arrays: their Arrow arrays, of one row or more; they may be slices.
        pages: makes the pages.

    Raises:
        DatasetError: an array has nulls, and its column must not.
    """
    return [_encode(column, array, pages) for column, array in zip(columns, arrays, strict=True)]


def _encode(column: FlatColumn, array: Any, pages: PageEncoder) -> FlatChunk:
    valid = validity(array, column.name, nullable=column.nullable)
    if column.number is None:
        values = encode_strings(array, valid)
    else:
        values = encode_numbers(column.number, array, valid)
    return column.encode(values, len(array), array.null_count, valid, pages)


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
