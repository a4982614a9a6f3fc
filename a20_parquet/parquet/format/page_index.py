"""The page index: where data pages are, and what values they hold, apart from the footer.

Source: apache/parquet-format, ``PageIndex.md`` and ``parquet.thrift``; its names are in quotes
below. A reader that has chosen rows by small columns reads only the pages of the others that hold
them: one megabyte of embeddings for one window.
"""

from collections.abc import Sequence
from typing import NamedTuple

from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.thrift import (
    BINARY,
    I32,
    I64,
    LIST,
    STRUCT,
    TRUE,
    integer,
    items,
)
from a20_parquet.parquet.format.thrift_reader import ThriftReader

_PAGE_LOCATIONS = 1


class PageLocation(NamedTuple):
    """``PageLocation``: a data page of a column chunk."""

    start: int
    """Offset of its header in the file, in bytes."""
    stored_size: int
    """Bytes of header and page, after compression."""
    first_row: int
    """Number of its first row in the row group."""


ONE_PAGE = thrift.NEXT_LIST + items(STRUCT, [b""]) + thrift.NEXT_I64
"""Begins the ``OffsetIndex`` of a single page, up to its offset; then NEXT_I32 and its size."""
FIRST_ROW_IS_0 = thrift.NEXT_I64 + integer(0) + 2 * thrift.STOP
"""Ends it."""


def offset_index(pages: Sequence[PageLocation]) -> bytes:
    """Return the ``OffsetIndex`` of a column chunk with one or more data pages.

    Unencoded sizes of texts are left out: these columns have one page, and the footer has its size.
    """
    locations = [
        thrift.struct(
            (1, I64, integer(page.start)),
            (2, I32, integer(page.stored_size)),
            (3, I64, integer(page.first_row)),
        )
        for page in pages
    ]
    return thrift.struct((1, LIST, items(STRUCT, locations)))


# Before and behind the bounds of a single page. Thrift's lists of bools hold bytes: 1, or 2 for
# false. A single page is in ascending order.
_HAS_VALUES = thrift.NEXT_LIST + items(TRUE, [b"\x02"]) + thrift.NEXT_LIST + items(BINARY, [b""])
_NEXT_BOUND = thrift.NEXT_LIST + items(BINARY, [b""])
_ASCENDING = thrift.NEXT_I32 + integer(1)
_ONE_NULL_COUNT = thrift.NEXT_LIST + items(I64, [b""])
_ONLY_NULLS = b"".join(
    (
        thrift.NEXT_LIST,
        items(TRUE, [b"\x01"]),
        2 * (thrift.NEXT_LIST + items(BINARY, [thrift.binary(b"")])),
        thrift.NEXT_I32 + integer(0),
        _ONE_NULL_COUNT,
    )
)


def column_index(rows: int, nulls: int, low: bytes | None, high: bytes | None) -> bytes:
    """Return the ``ColumnIndex`` of a column chunk with a single page, empty if it has no bounds.

    Args:
        rows: nulls included.
        nulls: how many of them are null.
        low: the smallest value as PLAIN encodes it, without a length; None if unknown.
        high: the greatest, likewise.
    """
    if nulls == rows:
        return _ONLY_NULLS + integer(nulls) + thrift.STOP
    if low is None or high is None:
        return b""
    return b"".join(
        (
            _HAS_VALUES,
            thrift.varint(len(low)),
            low,
            _NEXT_BOUND,
            thrift.varint(len(high)),
            high,
            _ASCENDING,
            _ONE_NULL_COUNT,
            integer(nulls),
            thrift.STOP,
        )
    )


def read_offset_index(
    content: bytes, *, rows: int, start: int, stored_size: int
) -> list[PageLocation]:
    """Read the ``OffsetIndex`` of a column chunk, which nobody has checked.

    Args:
        content: the index, and nothing else.
        rows: of the row group.
        start: offset of the chunk's first page in the file, in bytes.
        stored_size: bytes of all pages of the chunk.

    Returns:
        The data pages, one or more, which have all rows and are inside of the chunk.

    Raises:
        ValueError: it is damaged, or no chunk of these rows and bytes has such pages.
    """
    reader = ThriftReader(content)
    pages: list[PageLocation] = []
    for number, kind in reader.fields():
        if (number, kind) != (_PAGE_LOCATIONS, LIST):
            reader.skip(kind)
            continue
        count = reader.structs()
        pages = [_page_location(reader) for _ in range(count)]
    end, first = start, -1
    for page in pages:
        if page.start < end or page.stored_size <= 0 or page.first_row <= first:
            raise ValueError(f"its page index lists {page}, which overlaps the page before")
        end, first = page.start + page.stored_size, page.first_row
    if not pages or pages[0].first_row or first >= rows or end > start + stored_size:
        raise ValueError(
            f"its page index lists {len(pages)} pages up to row {first} and byte {end}, expected "
            f"pages of {rows} rows up to byte {start + stored_size}"
        )
    return pages


def _page_location(reader: ThriftReader) -> PageLocation:
    numbers: dict[int, int] = {}
    for number, kind in reader.fields():
        if kind in {I32, I64}:
            numbers[number] = reader.integer()
        else:
            reader.skip(kind)
    try:
        return PageLocation(numbers[1], numbers[2], numbers[3])
    except KeyError as error:
        raise ValueError(f"a page in the page index has no field {error}") from None
