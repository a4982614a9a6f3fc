"""Embeddings and features: lists of float32 that all have one length.

Source: apache/parquet-format, ``README.md`` (nested encoding) and ``Encodings.md``.
"""

from typing import Any

import numpy as np

from a20_parquet.dataset.parquet.columns import validity
from a20_parquet.dataset.parquet.encoding import Array, byte_stream_split
from a20_parquet.dataset.parquet.footer import Statistics, chunk, chunk_head
from a20_parquet.dataset.parquet.levels import ListLevels
from a20_parquet.dataset.parquet.pages import Compression, Pages
from a20_parquet.dataset.parquet.structures import Encoding, Physical
from a20_parquet.errors import DatasetError

# Readers decode a page at a time: smaller ones cost headers, larger ones leave the cache.
_PAGE_BYTES = 1 << 20


def rows_a_page(dims: int) -> int:
    """How many lists of ``dims`` floats a page holds, but for a row group's last one."""
    return max(1, _PAGE_BYTES // (4 * dims))


class ListColumn:
    """PLAIN pages, uncopied where nothing is compressed, or BYTE_STREAM_SPLIT; immutable."""

    def __init__(self, field: Any, compression: Compression) -> None:
        """Plans the pages.

        Args:
            field: the ``pyarrow.Field``, a ``fixed_size_list<float32 not null>``.
            compression: with ZSTD the bytes of floats that are never null are split into streams,
                which makes them smaller; LZ4 finds nothing in them either way.
        """
        self._name = field.name
        self._length = field.type.list_size
        self._nullable = field.nullable
        self._levels = ListLevels(self._length, nullable=field.nullable)
        self._rows_a_page = rows_a_page(self._length)
        self._full_page_levels = self._levels.full(self._rows_a_page)
        # polars 2.1 panics on pages of split bytes with nulls, whoever wrote them.
        self._splits = compression is Compression.ZSTD and not field.nullable
        self._encoding = Encoding.BYTE_STREAM_SPLIT if self._splits else Encoding.PLAIN
        path = [field.name, "list", "element"]
        self._head = chunk_head(Physical.FLOAT, self._encoding, path, compression.codec)

    def put(self, array: Any, pages: Pages) -> bytes:
        """Puts the pages of one row group.

        Args:
            array: an Arrow array of one row or more; it may be a slice.
            pages: where to put them.

        Returns:
            The ``ColumnChunk`` for the footer.

        Raises:
            DatasetError: lists or elements are null that must not be.
        """
        rows = len(array)
        valid = validity(array, self._name, nullable=self._nullable)
        row_bytes = 4 * self._length
        # Flattening copies where there are nulls: then it is done page by page.
        whole = self._floats(array) if valid is None else memoryview(b"")
        size, start = pages.size, pages.output.size
        for first in range(0, rows, self._rows_a_page):
            last = min(first + self._rows_a_page, rows)
            if valid is None:
                floats, present = whole[first * row_bytes : last * row_bytes], None
            else:
                floats, present = self._floats(array.slice(first, last - first)), valid[first:last]
            self._put_page(last - first, present, floats, pages)
        nulls = array.null_count
        return chunk(
            self._head,
            (rows - nulls) * self._length + nulls,
            pages.size - size,
            pages.output.size - start,
            start,
            None,
            Statistics(nulls),
        )

    def _floats(self, array: Any) -> memoryview:
        """The bytes of all lists that are not null; a view, where none is null."""
        floats = array.flatten()
        if floats.null_count:
            raise DatasetError(f"column {self._name!r} has null elements; its type forbids them")
        first = 4 * floats.offset
        return memoryview(floats.buffers()[1]).cast("B")[first : first + 4 * len(floats)]

    def _put_page(self, rows: int, valid: Array | None, values: memoryview, pages: Pages) -> None:
        lists = len(values) // (4 * self._length)
        if valid is not None and lists < rows:
            page_levels = self._levels.sparse(valid)
        elif rows == self._rows_a_page:
            page_levels = self._full_page_levels
        else:
            page_levels = self._levels.full(rows)
        count = lists * self._length + rows - lists
        if not pages.compresses:
            pages.put_lists_uncopied(page_levels, values, count)
            return
        page = pages.scratch(len(page_levels) + len(values))
        page[: len(page_levels)] = np.frombuffer(page_levels, np.uint8)
        body = page[len(page_levels) :]
        if self._splits:
            byte_stream_split(np.frombuffer(values, "<u4"), body.reshape(4, -1))
        else:
            np.copyto(body, np.frombuffer(values, np.uint8))
        pages.put_lists(page, count, self._encoding)
