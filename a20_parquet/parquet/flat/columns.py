"""Columns of one value a row: one data page per row group, and a dictionary if it pays.

Source: apache/parquet-format, ``README.md`` and ``parquet.thrift``.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from isal.isal_zlib import crc32

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.flat.numbers import NumberType, encode_numbers
from a20_parquet.parquet.flat.strings import encode_strings
from a20_parquet.parquet.flat.values import Values
from a20_parquet.parquet.format import levels
from a20_parquet.parquet.format.chunks import (
    chunk_head,
    chunk_sizes,
    chunk_statistics,
    encoding_statistics,
    size_statistics,
)
from a20_parquet.parquet.format.encodings import Array
from a20_parquet.parquet.format.page_index import column_index
from a20_parquet.parquet.format.schema import Encoding, Physical
from a20_parquet.parquet.pages import Compression, PageEncoder, data_page_frame


class FlatChunk(NamedTuple):
    """One row group of a flat column, encoded except for its offset in the file."""

    content: bytes
    """All pages."""
    size: int
    """Bytes of ``content`` before compression."""
    dictionary_size: int
    """Bytes of the dictionary page, which is the first; 0 without a dictionary."""
    sizes: bytes
    """See ``chunks.chunk_sizes``."""
    statistics: bytes
    """What follows the offsets: bounds, encodings and sizes."""
    column_index: bytes
    """See ``page_index.column_index``."""


class PlainFrame(NamedTuple):
    """The bytes around PLAIN numbers and their page's checksum."""

    front: bytes
    """Header up to the checksum."""
    back: bytes
    """Rest of the header, and the levels."""
    levels_crc: int
    """CRC32 of the levels."""
    sizes: Sequence[bytes]
    """``chunks.chunk_sizes`` for checksums of 1, 2, 3, 4 and 5 bytes."""
    end: bytes
    """Encodings and sizes, the end of ``FlatChunk.statistics``."""


class FlatColumn:
    """A column of numbers, times or strings; immutable."""

    def __init__(
        self,
        field: Any,
        physical: Physical,
        number: NumberType | None,
        compression: Compression,
    ) -> None:
        """Encode what rows do not change; ``number`` is the type in memory, None for strings."""
        self.name = field.name
        self.nullable = field.nullable
        self.number = number
        self._plain_head, self._dictionary_head = (
            chunk_head(physical, encoding, [field.name], compression.codec)
            for encoding in (Encoding.PLAIN, Encoding.RLE_DICTIONARY)
        )
        self._end = lru_cache(maxsize=1 << 9)(self._encode_end)

    def encode_array(self, array: Any, valid: Array | None, pages: PageEncoder) -> FlatChunk:
        """Encode one row group: an Arrow array, which may be a slice, and its ``validity``.

        Raises:
            DatasetError: a page is larger than the format allows.
        """
        if self.number is None:
            values = encode_strings(array, valid)
        else:
            values = encode_numbers(self.number, array, valid)
        return self.encode(values, len(array), array.null_count, valid, pages)

    def encode(
        self, values: Values, rows: int, nulls: int, valid: Array | None, pages: PageEncoder
    ) -> FlatChunk:
        """Encode one row group from its values that are not null; ``rows`` counts nulls too.

        Raises:
            DatasetError: a page is larger than the format allows.
        """
        if values.dictionary is None:
            head, encoding = self._plain_head, Encoding.PLAIN
        else:
            head, encoding = self._dictionary_head, Encoding.RLE_DICTIONARY
        definition = levels.flat(rows, valid) if self.nullable else b""
        content, size, dictionary_size = pages.flat(definition, values, rows, encoding)
        end = self._end(encoding, rows, nulls, values.text_bytes)
        return FlatChunk(
            content,
            size,
            dictionary_size,
            chunk_sizes(head, rows, size, len(content)),
            chunk_statistics(nulls, values.low, values.high) + end,
            column_index(rows, nulls, values.low, values.high),
        )

    def _encode_end(self, encoding: Encoding, rows: int, nulls: int, text_bytes: int) -> bytes:
        """Return what follows the bounds in a ``ColumnMetaData``."""
        definition = (nulls, rows - nulls) if self.nullable else ()
        text = None if self.number else text_bytes
        return encoding_statistics(encoding) + size_statistics(text, (), definition)

    def uncompressed_frame(self, rows: int) -> PlainFrame:
        """Return what surrounds PLAIN numbers without nulls; the numbers do not matter."""
        definition = levels.flat(rows, None) if self.nullable else b""
        plain_size = self.number.size * rows if self.number else 0
        page_size = len(definition) + plain_size
        front, back = data_page_frame(page_size, page_size, rows, Encoding.PLAIN)
        size = len(front) + len(back) + page_size
        sizes = [chunk_sizes(self._plain_head, rows, size + n, size + n) for n in range(1, 6)]
        end = self._end(Encoding.PLAIN, rows, 0, 0)
        return PlainFrame(front, back + definition, crc32(definition), sizes, end)


def validity(array: Any, name: str, *, nullable: bool) -> Array | None:
    """Return which values of an Arrow array are not null, shape (rows,), bool; None if all.

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
