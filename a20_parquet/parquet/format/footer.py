"""The footer, which says what is where in a file.

Source: apache/parquet-format, ``parquet.thrift``; its names are in quotes below. What all files of
a layout share is encoded once, in ``FooterFrame``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from a20_parquet._version import __version__
from a20_parquet.parquet.format import thrift
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
_APPLICATION = "a20_parquet"
_BUILD = 2
"""Raised when equal rows give other bytes than before. The first files had no such number."""
CREATED_BY = f"{_APPLICATION} version {__version__} (build {_BUILD})"


def is_ours(created_by: str | None) -> bool:
    """Whether a file's ``created_by`` is one that a version of this program writes."""
    return (created_by or "").partition(" ")[0] == _APPLICATION


class WrittenGroup(NamedTuple):
    """What the footer says of a row group as a whole."""

    rows: int
    start: int
    """Offset of its first page in the file, in bytes."""
    size: int
    """Bytes of all pages with their headers, before compression."""
    stored_size: int
    """The same after compression."""


class FooterFrame:
    """``FileMetaData`` without the rows: the same in all files of a layout.

    Attributes:
        head: the version and the schema.
    """

    def __init__(
        self,
        elements: Sequence[bytes],
        leaves: int,
        metadata: Mapping[bytes, bytes],
        sorted_by: Sequence[int] = (),
    ) -> None:
        """Encode what does not depend on rows.

        Args:
            elements: the schema's elements, the root first, depth first.
            leaves: number of columns.
            metadata: the file's key-value metadata.
            sorted_by: columns by which the rows of each row group ascend, nulls first.
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
            (6, BINARY, thrift.binary(CREATED_BY.encode())),
            (7, LIST, items(STRUCT, [order] * leaves)),
        )
        # Field 5 follows field 4 here, while ``struct`` counted from 0.
        self._tail = thrift.NEXT_LIST + tail[1:]

        keys = [
            struct((1, I32, integer(column)), (2, thrift.FALSE, b""), (3, thrift.TRUE, b""))
            for column in sorted_by
        ]
        sorting = thrift.NEXT_LIST + items(STRUCT, keys) + thrift.NEXT_I64
        self._before_offset = sorting if keys else thrift.SKIP_1_I64

    def row_group(self, group: WrittenGroup, columns: int, chunks: Iterable[bytes]) -> bytes:
        """Return a ``RowGroup``, of so many ``ColumnChunk``, which may be in pieces."""
        return b"".join(
            (
                thrift.NEXT_LIST,
                thrift.list_head(STRUCT, columns),
                *chunks,
                thrift.NEXT_I64,
                integer(group.size),
                thrift.NEXT_I64,
                integer(group.rows),
                self._before_offset,
                integer(group.start),
                thrift.NEXT_I64,
                integer(group.stored_size),
                thrift.STOP,
            )
        )

    def encode(self, rows: int, row_groups: Sequence[bytes]) -> bytes:
        """Return what follows the page index: the footer, its length in bytes, and the magic."""
        footer = b"".join(
            (
                self.head,
                thrift.NEXT_I64,
                integer(rows),
                thrift.NEXT_LIST,
                items(STRUCT, row_groups),
                self._tail,
            )
        )
        return b"".join((footer, len(footer).to_bytes(4, "little"), MAGIC))
