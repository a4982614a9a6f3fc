"""Compresses pages and gives them headers with checksums.

Source: apache/parquet-format, ``parquet.thrift`` and ``Compression.md``. The checksum is the CRC32
of the stored bytes behind the header: in data pages of version 1 levels and values.
"""

import enum
import re
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from isal.isal_zlib import crc32

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.flat.values import Values
from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.encodings import Array
from a20_parquet.parquet.format.schema import Encoding
from a20_parquet.parquet.format.thrift import I32, integer

Buffer: TypeAlias = bytes | memoryview
"""Contiguous bytes; a memoryview's items are single bytes."""

# Sizes are 32-bit integers in a page's header.
_LARGEST_PAGE = 2**31 - 1

# Field 1, the page type, and the head of field 2, the uncompressed size in bytes.
_DATA_PAGE = thrift.fields((1, I32, integer(0))) + thrift.NEXT_I32
_DICTIONARY_PAGE = thrift.fields((1, I32, integer(2))) + thrift.NEXT_I32
# Behind field 4, the checksum, a data page's own header is the next field.
_DATA_PAGE_HEADER = thrift.NEXT_STRUCT + thrift.NEXT_I32
_UNCHECKED_DATA_PAGE_HEADER = thrift.SKIP_1_STRUCT + thrift.NEXT_I32
# Definition levels and repetition levels are RLE; then both structs stop.
_LEVELS_ARE_RLE = (thrift.NEXT_I32 + integer(Encoding.RLE)) * 2 + 2 * thrift.STOP
_DICTIONARY_PAGE_HEADER = thrift.SKIP_2_STRUCT + thrift.NEXT_I32
_DICTIONARY_IS_PLAIN = thrift.NEXT_I32 + integer(Encoding.PLAIN) + 2 * thrift.STOP


class PageHead(NamedTuple):
    """The header of a data page of version 1."""

    header_size: int
    """Bytes of the header itself."""
    size: int
    """Bytes of levels and values before compression."""
    stored_size: int
    """Bytes of levels and values after compression."""
    crc: int | None
    """CRC32 after compression; None in files of earlier versions."""
    values: int
    """Number of values, nulls included."""
    encoding: int
    """The format's number of the values' encoding."""


def _header_pattern() -> re.Pattern[bytes]:
    number = rb"([\x80-\xff]{0,4}[\x00-\x7f])"
    next_number = re.escape(thrift.NEXT_I32) + number
    checked = next_number + re.escape(_DATA_PAGE_HEADER)
    unchecked = re.escape(_UNCHECKED_DATA_PAGE_HEADER)
    sizes = re.escape(_DATA_PAGE) + number + next_number
    values = number + next_number + re.escape(_LEVELS_ARE_RLE)
    return re.compile(sizes + b"(?:" + checked + b"|" + unchecked + b")" + values)


_HEADER = _header_pattern()


def read_data_page_header(buffer: Buffer) -> PageHead | None:
    """Read the header at the start of a buffer, as ``data_page_header`` writes it, else None."""
    found = _HEADER.match(buffer)
    if found is None:
        return None
    numbers = [thrift.read_integer(found[group], 0)[0] for group in (1, 2, 4, 5)]
    if min(numbers) < 0 or max(numbers) > _LARGEST_PAGE:
        return None
    size, stored_size, values, encoding = numbers
    crc = None if found[3] is None else thrift.read_integer(found[3], 0)[0] & 0xFFFFFFFF
    return PageHead(found.end(), size, stored_size, crc, values, encoding)


def data_page_header(
    size: int, stored_size: int, values: int, encoding: Encoding, crc: int
) -> bytes:
    """Return the ``PageHeader`` of a data page of version 1; see ``PageHead`` on the arguments."""
    sizes, rest = data_page_frame(size, stored_size, values, encoding)
    return sizes + thrift.checksum(crc) + rest


# Pages of columns that don't change have the same few sizes in most files.
@lru_cache(maxsize=1 << 12)
def data_page_frame(
    size: int, stored_size: int, values: int, encoding: Encoding
) -> tuple[bytes, bytes]:
    """Return a data page's header before and after its checksum."""
    return _sizes(_DATA_PAGE, size, stored_size), b"".join(
        (
            _DATA_PAGE_HEADER,
            integer(values),
            thrift.NEXT_I32,
            integer(encoding),
            _LEVELS_ARE_RLE,
        )
    )


def dictionary_page_header(size: int, stored_size: int, values: int, crc: int) -> bytes:
    """Return the ``PageHeader`` of a dictionary page; see ``PageHead`` on the arguments."""
    sizes, rest = _dictionary_page_header(size, stored_size, values)
    return sizes + thrift.checksum(crc) + rest


@lru_cache(maxsize=1 << 12)
def _dictionary_page_header(size: int, stored_size: int, values: int) -> tuple[bytes, bytes]:
    rest = b"".join((_DICTIONARY_PAGE_HEADER, integer(values), _DICTIONARY_IS_PLAIN))
    return _sizes(_DICTIONARY_PAGE, size, stored_size), rest


def _sizes(kind: bytes, size: int, stored_size: int) -> bytes:
    """Return a header up to its checksum."""
    return b"".join((kind, integer(size), thrift.NEXT_I32, integer(stored_size), thrift.NEXT_I32))


class Compression(enum.StrEnum):
    """How pages are compressed."""

    NONE = "none"
    LZ4 = "lz4"
    ZSTD = "zstd"

    @property
    def codec(self) -> int:
        """The format's ``CompressionCodec``; for LZ4 that is LZ4_RAW, without a frame."""
        return {Compression.NONE: 0, Compression.LZ4: 7, Compression.ZSTD: 6}[self]

    def compressor(self) -> Any:
        """A ``pyarrow.Codec``, or None if nothing is compressed."""
        if self is Compression.NONE:
            return None
        if self is Compression.LZ4:
            return pa.Codec("lz4_raw")
        return pa.Codec("zstd", 1)


class PageSizes(NamedTuple):
    """Bytes of a page with its header."""

    size: int
    """Before compression."""
    stored_size: int
    """After compression."""


class ListPage(NamedTuple):
    """A data page of lists."""

    head: bytes
    body: Buffer
    sizes: PageSizes


class PageEncoder:
    """Makes pages: compresses them and gives them headers; for one thread."""

    def __init__(self, compression: Compression) -> None:
        self._compressor = compression.compressor()
        self._scratch: Array = np.empty(0, np.uint8)

    @property
    def compresses(self) -> bool:
        """Whether a codec needs all parts of a page in one buffer."""
        return self._compressor is not None

    def scratch(self, size: int) -> Array:
        """Return a buffer of ``size`` bytes to assemble a page; the next call reuses it."""
        if len(self._scratch) < size:
            self._scratch = np.empty(size, np.uint8)
        return self._scratch[:size]

    def flat(
        self, levels: bytes, values: Values, rows: int, encoding: Encoding
    ) -> tuple[bytes, int, int]:
        """Make the data page of a flat column, after its dictionary page if it has one.

        Args:
            levels: definition levels.
            values: of all rows that are not null.
            rows: nulls included.
            encoding: of the data page.

        Returns:
            The pages, their size in bytes before compression, and the size of the dictionary page.

        Raises:
            DatasetError: a page is larger than the format allows.
        """
        body = levels + values.body
        stored = self._compressed(body)
        head = data_page_header(len(body), len(stored), rows, encoding, crc32(stored))
        size = len(head) + len(body)
        if values.dictionary is None:
            return b"".join((head, stored)), size, 0
        entries = self._compressed(values.dictionary)
        first = dictionary_page_header(
            len(values.dictionary), len(entries), values.entries, crc32(entries)
        )
        return (
            b"".join((first, entries, head, stored)),
            size + len(first) + len(values.dictionary),
            len(first) + len(entries),
        )

    def lists(self, page: Array, count: int, encoding: Encoding) -> ListPage:
        """Make a data page of lists.

        Args:
            page: levels and values, shape (bytes,), uint8.
            count: number of values, nulls included.
            encoding: of the values.

        Raises:
            DatasetError: it is larger than the format allows.
        """
        stored = self._compressed(page.data)
        head = data_page_header(len(page), len(stored), count, encoding, crc32(stored))
        sizes = PageSizes(len(head) + len(page), len(head) + len(stored))
        return ListPage(head, stored, sizes)

    def _compressed(self, page: Buffer) -> Buffer:
        if len(page) > _LARGEST_PAGE:
            raise DatasetError(
                f"a page of {len(page)} bytes is larger than Parquet's {_LARGEST_PAGE}: "
                "write fewer rows at once"
            )
        if self._compressor is None:
            return page
        stored = self._compressor.compress(page)
        # The buffer was made larger, and its memoryview still has that length.
        return memoryview(stored)[: stored.size]


def uncopied_lists(levels: bytes, values: memoryview, count: int) -> ListPage:
    """Make a PLAIN, uncompressed data page of lists without copying the values."""
    size = len(levels) + len(values)
    crc = crc32(values, crc32(levels))
    head = data_page_header(size, size, count, Encoding.PLAIN, crc) + levels
    size = len(head) + len(values)
    return ListPage(head, values, PageSizes(size, size))
