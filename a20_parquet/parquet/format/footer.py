"""The end of a file: page index and footer, which names the places of all column chunks.

Source: apache/parquet-format, ``parquet.thrift``; its names are in quotes below. What all files of
a layout share is encoded once, in ``FooterFrame``.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
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


@lru_cache(maxsize=1 << 12)
def _index_sizes(offset_index: int, column_index: int) -> tuple[bytes, bytes]:
    """Return what follows the offset of the offset index, and that of the column index."""
    size = thrift.NEXT_I32 + integer(offset_index)
    if not column_index:
        return size + thrift.STOP, b""
    return size + thrift.NEXT_I64, thrift.NEXT_I32 + integer(column_index) + thrift.STOP


class WrittenChunk(NamedTuple):
    """A column chunk, whose pages are in the file, while the page index is not."""

    metadata: bytes
    """``ColumnChunk`` up to the end of its ``ColumnMetaData``."""
    offset_index: bytes
    column_index: bytes
    """Empty if it has none."""


class WrittenGroup(NamedTuple):
    """A row group, whose pages are in the file."""

    chunks: Sequence[WrittenChunk]
    """One for each column."""
    rows: int
    start: int
    """Offset of its first page in the file, in bytes."""
    size: int
    """Bytes of all pages with their headers, before compression."""
    stored_size: int
    """The same after compression."""


def page_index(groups: Sequence[WrittenGroup]) -> bytes:
    """Return the page index of a file, which precedes the footer: first all column indexes."""
    chunks = [chunk for group in groups for chunk in group.chunks]
    return b"".join(
        [chunk.column_index for chunk in chunks] + [chunk.offset_index for chunk in chunks]
    )


class FooterFrame:
    """``FileMetaData`` without the rows: the same in all files of a layout.

    Attributes:
        head: the version and the schema.
        tail: what follows the row groups.
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
        self.tail = thrift.NEXT_LIST + tail[1:]

        keys = [
            struct((1, I32, integer(column)), (2, thrift.FALSE, b""), (3, thrift.TRUE, b""))
            for column in sorted_by
        ]
        sorting = thrift.NEXT_LIST + items(STRUCT, keys) + thrift.NEXT_I64
        self._before_offset = sorting if keys else thrift.SKIP_1_I64

    def encode(self, groups: Sequence[WrittenGroup], position: int) -> bytes:
        """Return what follows the last page: page index, footer, its length, and the magic.

        Args:
            groups: all row groups.
            position: offset of the page index in the file, in bytes.
        """
        index = page_index(groups)
        offset_indexes = position + sum(
            [len(chunk.column_index) for group in groups for chunk in group.chunks]
        )
        row_groups = []
        for group in groups:
            chunks = []
            for metadata, offset_index, column_index in group.chunks:
                after, end = _index_sizes(len(offset_index), len(column_index))
                chunks += [metadata, thrift.NEXT_I64, integer(offset_indexes), after]
                offset_indexes += len(offset_index)
                if column_index:
                    chunks += [integer(position), end]
                    position += len(column_index)
            row_groups.append(self._row_group(group, b"".join(chunks)))
        footer = b"".join(
            (
                self.head,
                thrift.NEXT_I64,
                integer(sum([group.rows for group in groups])),
                thrift.NEXT_LIST,
                items(STRUCT, row_groups),
                self.tail,
            )
        )
        return b"".join((index, footer, len(footer).to_bytes(4, "little"), MAGIC))

    def _row_group(self, group: WrittenGroup, chunks: bytes) -> bytes:
        return b"".join(
            (
                thrift.NEXT_LIST,
                thrift.list_head(STRUCT, len(group.chunks)),
                chunks,
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
