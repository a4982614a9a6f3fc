"""The footer: offsets, sizes and statistics of all column chunks.

Source: apache/parquet-format, ``parquet.thrift``; its names are in quotes below. What all files of
a layout share is encoded once, in ``chunk_head`` and ``FooterFrame``; the rest is joined from
constants, because 7,000 small files hold 100,000 column chunks. Only ``chunk_offsets`` depends on
the position in the file, so that chunks of columns that do not change can be reused.
"""

from collections.abc import Mapping, Sequence

from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.schema import Encoding, Physical
from a20_parquet.parquet.format.thrift import (
    BINARY,
    I32,
    LIST,
    STRUCT,
    integer,
    items,
    struct,
)

MAGIC = b"PAR1"
TAIL_BYTES = 4 + len(MAGIC)
"""What follows the footer: its length, and the magic."""
CREATED_BY = b"a20_parquet"


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
_END_OF_CHUNK = 3 * thrift.STOP
_BOUNDS_ARE_EXACT = thrift.NEXT_TRUE + thrift.NEXT_TRUE + _END_OF_CHUNK


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


def chunk_offsets(start: int, dictionary_size: int) -> bytes:
    """Return the offsets of a ``ColumnChunk``'s pages, which precede ``chunk_statistics``.

    Args:
        start: offset of the first page in the file, in bytes.
        dictionary_size: bytes of the dictionary page, which is the first; 0 without a dictionary.
    """
    if not dictionary_size:
        return integer(start) + thrift.SKIP_2_STRUCT
    return b"".join(
        (
            integer(start + dictionary_size),
            thrift.SKIP_1_I64,
            integer(start),
            thrift.NEXT_STRUCT,
        )
    )


def chunk_statistics(nulls: int, low: bytes | None = None, high: bytes | None = None) -> bytes:
    """Return the end of a ``ColumnChunk``: statistics, by which readers skip it.

    Args:
        nulls: number of nulls.
        low: the smallest value as PLAIN encodes it, without a length; None if unknown.
        high: the greatest, likewise.
    """
    count = _NULL_COUNT + integer(nulls)
    if low is None or high is None:
        return count + _END_OF_CHUNK
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


def row_group(
    chunks: Sequence[bytes], rows: int, offset: int, size: int, stored_size: int
) -> bytes:
    """Return a ``RowGroup`` of a ``ColumnChunk`` for each column.

    ``offset`` is that of its first page in the file; on the sizes see ``chunk_sizes``.
    """
    return b"".join(
        (
            thrift.NEXT_LIST,
            items(STRUCT, chunks),
            thrift.NEXT_I64,
            integer(size),
            thrift.NEXT_I64,
            integer(rows),
            thrift.SKIP_1_I64,
            integer(offset),
            thrift.NEXT_I64,
            integer(stored_size),
            thrift.STOP,
        )
    )


class FooterFrame:
    """``FileMetaData`` without the rows: the same in all files of a layout.

    Attributes:
        head: the version and the schema.
        tail: what follows the row groups.
    """

    def __init__(
        self, elements: Sequence[bytes], leaves: int, metadata: Mapping[bytes, bytes]
    ) -> None:
        """Encode what does not depend on rows.

        Args:
            elements: the schema's elements, the root first, depth first.
            leaves: number of columns.
            metadata: the file's key-value metadata.
        """
        # Every reader accepts version 1.
        self.head = thrift.fields((1, I32, integer(1)), (2, LIST, items(STRUCT, elements)))
        pairs = [
            struct((1, BINARY, thrift.binary(key)), (2, BINARY, thrift.binary(value)))
            for key, value in metadata.items()
        ]
        # Bounds count only with an order; TypeDefinedOrder is the natural one of each type.
        order = struct((1, STRUCT, struct()))
        tail = struct(
            (5, LIST, items(STRUCT, pairs)),
            (6, BINARY, thrift.binary(CREATED_BY)),
            (7, LIST, items(STRUCT, [order] * leaves)),
        )
        # Field 5 follows field 4 here, while ``struct`` counted from 0.
        self.tail = thrift.NEXT_LIST + tail[1:]

    def encode(self, rows: int, row_groups: Sequence[bytes]) -> bytes:
        """Return what follows the last page: the footer, its length in bytes, and the magic."""
        footer = b"".join(
            (
                self.head,
                thrift.NEXT_I64,
                integer(rows),
                thrift.NEXT_LIST,
                items(STRUCT, row_groups),
                self.tail,
            )
        )
        return footer + len(footer).to_bytes(4, "little") + MAGIC
