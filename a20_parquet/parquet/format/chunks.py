"""Column chunks in the footer: types, sizes, places and statistics.

Source: apache/parquet-format, ``parquet.thrift``; its names are in quotes below. What all files of
a layout share is encoded once, in ``chunk_head``; the rest is joined from constants, because 7,000
small files hold 100,000 column chunks. Only offsets depend on the position in the file, so that
chunks of columns that do not change can be reused.
"""

from collections.abc import Sequence

from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.schema import Encoding, Physical
from a20_parquet.parquet.format.thrift import I32, I64, LIST, STRUCT, integer, items, struct

# null_count, or that and the exact bounds.
_NULL_COUNT = thrift.SKIP_2_I64
_BOUNDS_ARE_EXACT = thrift.NEXT_TRUE + thrift.NEXT_TRUE + thrift.STOP

_DATA_PAGE, _DICTIONARY_PAGE = 0, 2


def chunk_head(
    physical: Physical, encoding: Encoding, path: Sequence[str], compression: int
) -> bytes:
    """Return the start of a ``ColumnChunk``, up to the number of values."""
    encodings = [encoding, Encoding.RLE]
    if encoding is Encoding.RLE_DICTIONARY:
        encodings.append(Encoding.PLAIN)
    names = [thrift.binary(name.encode()) for name in path]
    # Field 2 was the offset of metadata outside the footer; 0 means none.
    outer = thrift.fields((2, thrift.I64, integer(0))) + thrift.NEXT_STRUCT
    inner = thrift.fields(
        (1, I32, integer(physical)),
        (2, thrift.LIST, items(I32, [integer(kind) for kind in encodings])),
        (3, thrift.LIST, items(thrift.BINARY, names)),
        (4, I32, integer(compression)),
    )
    return outer + inner + thrift.NEXT_I64


# null_count, or that and the exact bounds.
_NULL_COUNT = thrift.SKIP_2_I64
_BOUNDS_ARE_EXACT = thrift.NEXT_TRUE + thrift.NEXT_TRUE + thrift.STOP

_DATA_PAGE, _DICTIONARY_PAGE = 0, 2


def chunk_sizes(head: bytes, values: int, size: int, stored_size: int) -> bytes:
    """Return a ``ColumnChunk`` up to its offsets, from its ``chunk_head`` on.

    ``values`` counts nulls too; sizes are bytes of all pages with their headers, before and after
    compression.
    """
    return b"".join(
        (
            head,
            integer(values),
            thrift.NEXT_I64,
            integer(size),
            thrift.NEXT_I64,
            integer(stored_size),
            thrift.SKIP_1_I64,
        )
    )


def chunk_offset(start: int) -> bytes:
    """Return the offset of a ``ColumnChunk`` without a dictionary, before ``chunk_statistics``."""
    return integer(start) + thrift.SKIP_2_STRUCT


def chunk_statistics(nulls: int, low: bytes | None = None, high: bytes | None = None) -> bytes:
    """Return the statistics of a ``ColumnChunk``, by which readers skip it.

    Args:
        nulls: number of nulls.
        low: the smallest value as PLAIN encodes it, without a length; None if unknown.
        high: the greatest, likewise.
    """
    count = _NULL_COUNT + integer(nulls)
    if low is None or high is None:
        return count + thrift.STOP
    return b"".join(
        (
            count,
            thrift.SKIP_1_BINARY,
            thrift.varint(len(high)),
            high,
            thrift.NEXT_BINARY,
            thrift.varint(len(low)),
            low,
            _BOUNDS_ARE_EXACT,
        )
    )


def encoding_statistics(encoding: Encoding, pages: int = 1) -> bytes:
    """Return how many pages of a ``ColumnChunk`` have which encoding, behind its statistics.

    Args:
        encoding: of the data pages; RLE_DICTIONARY if a dictionary page precedes them.
        pages: number of data pages.
    """
    kinds = [(_DATA_PAGE, encoding, pages)]
    if encoding is Encoding.RLE_DICTIONARY:
        kinds.insert(0, (_DICTIONARY_PAGE, Encoding.PLAIN, 1))
    found = [
        struct((1, I32, integer(page)), (2, I32, integer(kind)), (3, I32, integer(count)))
        for page, kind, count in kinds
    ]
    return thrift.NEXT_LIST + items(STRUCT, found)


def size_statistics(
    text_bytes: int | None, repetition: Sequence[int], definition: Sequence[int]
) -> bytes:
    """Return the end of a ``ColumnChunk``'s metadata, behind ``encoding_statistics``.

    pyarrow ends the process if a histogram has another length than the column has levels.

    Args:
        text_bytes: of all values, without lengths; None if they are no strings or bytes.
        repetition: number of values on each repetition level; empty if there is only level 0.
        definition: number of values on each definition level, likewise.
    """
    found = [] if text_bytes is None else [(1, I64, integer(text_bytes))]
    for number, histogram in ((2, repetition), (3, definition)):
        if histogram:
            found.append((number, LIST, items(I64, [integer(count) for count in histogram])))
    if not found:
        return thrift.STOP
    # Fields 14 and 15 were for Bloom filters.
    return thrift.SKIP_2_STRUCT + struct(*found) + thrift.STOP
