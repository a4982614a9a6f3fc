"""Encodes embeddings and features (lists of one length) into data pages.

Source: apache/parquet-format, ``README.md`` (nested encoding) and ``Encodings.md``.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.flat.columns import validity
from a20_parquet.parquet.format.chunks import (
    chunk_head,
    chunk_offset,
    chunk_sizes,
    chunk_statistics,
    encoding_statistics,
    size_statistics,
)
from a20_parquet.parquet.format.encodings import Array, byte_stream_split
from a20_parquet.parquet.format.levels import ListLevels
from a20_parquet.parquet.format.page_index import PageLocation, offset_index
from a20_parquet.parquet.format.schema import Encoding, Physical
from a20_parquet.parquet.pages import (
    Compression,
    ListPage,
    PageEncoder,
    PageSizes,
    uncopied_lists,
)

# Readers decode a page at a time: smaller ones cost headers, larger ones leave the cache.
_PAGE_BYTES = 1 << 20

ReadLists: TypeAlias = Callable[[int, int], Array]
"""Reads the lists of the rows from the first number to before the second, shape (rows, length),
of the column's items, C-contiguous. The next call may reuse their memory."""


LIST_ITEMS = {
    pa.float32(): (Physical.FLOAT, 4),
    pa.float16(): (Physical.FIXED_LEN_BYTE_ARRAY, 2),
    pa.int64(): (Physical.INT64, 8),
}
"""What lists may hold: how a value is stored, and its bytes."""


class ListColumn:
    """PLAIN pages, uncopied if uncompressed, or BYTE_STREAM_SPLIT; immutable."""

    def __init__(self, field: Any, compression: Compression) -> None:
        """Plan the pages.

        Args:
            field: the ``pyarrow.Field``, a ``fixed_size_list`` of one of ``LIST_ITEMS``, not null.
            compression: with ZSTD the bytes of floats that are never null are split into streams,
                which makes them smaller; LZ4 cannot compress them either way.
        """
        self.name = field.name
        self.nullable = field.nullable
        self._length = field.type.list_size
        physical, self._item_bytes = LIST_ITEMS[field.type.value_type]
        self.row_bytes = self._item_bytes * self._length
        """Bytes of a list that is not null."""
        self._rows_a_page = max(1, _PAGE_BYTES // self.row_bytes)
        self._levels = ListLevels(self._length, nullable=field.nullable)
        self._full_levels = lru_cache(maxsize=1 << 8)(self._levels.full)
        # Halves are not split: few readers know that of a FIXED_LEN_BYTE_ARRAY.
        # polars 2.1 panics on pages of split bytes with nulls, also of other writers.
        is_split = physical is Physical.FLOAT and not field.nullable
        self._splits = compression is Compression.ZSTD and is_split
        self._encoding = Encoding.BYTE_STREAM_SPLIT if self._splits else Encoding.PLAIN
        path = [field.name, "list", "element"]
        self._head = chunk_head(physical, self._encoding, path, compression.codec)
        self.place = lru_cache(maxsize=1 << 8)(self._place)
        """See ``_place``; small files repeat it."""

    def page_spans(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Yield first row and end of each page of the rows ``first`` to before ``last``."""
        for start in range(first, last, self._rows_a_page):
            yield start, min(start + self._rows_a_page, last)

    def items(self, array: Any) -> memoryview:
        """Return the bytes of all lists that are not null; a view if none is null.

        Raises:
            DatasetError: elements are null.
        """
        items = array.flatten()
        if items.null_count:
            raise DatasetError(f"column {self.name!r} has null elements; its type forbids them")
        size = self._item_bytes
        first = size * items.offset
        return memoryview(items.buffers()[1]).cast("B")[first : first + size * len(items)]

    def page(
        self, rows: int, valid: Array | None, values: memoryview, pages: PageEncoder
    ) -> ListPage:
        """Encode one page.

        Args:
            rows: of the page.
            valid: shape (rows,), bool; None without nulls.
            values: the bytes of these rows' lists without the null ones.
            pages: makes the page.
        """
        lists = len(values) // self.row_bytes
        if valid is None or lists == rows:
            page_levels = self._full_levels(rows)
        else:
            page_levels = self._levels.sparse(valid)
        count = lists * self._length + rows - lists
        if not pages.compresses:
            return uncopied_lists(page_levels, values, count)
        page = pages.scratch(len(page_levels) + len(values))
        page[: len(page_levels)] = np.frombuffer(page_levels, np.uint8)
        body = page[len(page_levels) :]
        if self._splits:
            byte_stream_split(np.frombuffer(values, "<u4"), body.reshape(4, -1))
        else:
            np.copyto(body, np.frombuffer(values, np.uint8))
        return pages.lists(page, count, self._encoding)

    def _place(
        self, pages: tuple[PageSizes, ...], start: int, rows: int, nulls: int
    ) -> "ListChunk":
        """Say where the pages of a row group are.

        Bounds of all floats together find no row: there are none, and no ``ColumnIndex`` either.

        Args:
            pages: in the order of ``page_spans``.
            start: offset of the first page in the file, in bytes.
            rows: nulls included.
            nulls: rows that are null.
        """
        lists = rows - nulls
        values = lists * self._length
        definition = (nulls, 0, values) if self.nullable else (0, values)
        locations, end = [], start
        for number, page in enumerate(pages):
            first_row = number * self._rows_a_page
            locations.append(PageLocation(end, page.stored_size, first_row))
            end += page.stored_size
        size = sum(page.size for page in pages)
        metadata = b"".join(
            (
                chunk_sizes(self._head, values + nulls, size, end - start),
                chunk_offset(start),
                chunk_statistics(nulls),
                encoding_statistics(self._encoding, len(pages)),
                size_statistics(None, (rows, values - lists), definition),
            )
        )
        return ListChunk(metadata, offset_index(locations), size, end - start)


class ListChunk(NamedTuple):
    """One row group of a column of lists, whose places are known."""

    metadata: bytes
    """``ColumnChunk`` up to the end of its ``ColumnMetaData``."""
    offset_index: bytes
    size: int
    """Bytes of all pages with their headers, before compression."""
    stored_size: int
    """The same after compression."""


class ListPages(Protocol):
    """A column's lists, as pages."""

    reuses_memory: bool
    """Whether a page's body may change when the next page is requested."""

    column: ListColumn

    def pages(self, first: int, last: int, pages: PageEncoder, /) -> Iterator[ListPage]:
        """Encode the rows ``first`` to before ``last``, page by page."""

    def count_nulls(self, first: int, last: int, /) -> int:
        """Number of null rows from ``first`` to before ``last``."""


class Lists:
    """A column's lists, in memory, of one or more row groups; see ``ListPages``."""

    reuses_memory = False

    def __init__(self, column: ListColumn, array: Any) -> None:
        """Take an Arrow array, which may be a slice.

        Raises:
            DatasetError: lists or elements are null that must not be.
        """
        self.column = column
        self._array = array
        self._valid = validity(array, column.name, nullable=column.nullable)
        # Flattening copies lists with nulls: then it is done page by page.
        self._items = column.items(array) if self._valid is None else memoryview(b"")

    def pages(self, first: int, last: int, pages: PageEncoder) -> Iterator[ListPage]:
        """Encode the rows ``first`` to before ``last``, page by page."""
        row_bytes = self.column.row_bytes
        for start, stop in self.column.page_spans(first, last):
            if self._valid is None:
                items, valid = self._items[start * row_bytes : stop * row_bytes], None
            else:
                items = self.column.items(self._array.slice(start, stop - start))
                valid = self._valid[start:stop]
            yield self.column.page(stop - start, valid, items, pages)

    def count_nulls(self, first: int, last: int) -> int:
        """Number of null rows from ``first`` to before ``last``."""
        if self._valid is None:
            return 0
        return last - first - int(np.count_nonzero(self._valid[first:last]))


class PagedLists:
    """A column's lists without nulls, each page read when it is encoded; see ``ListPages``."""

    reuses_memory = True

    def __init__(self, column: ListColumn, read: ReadLists) -> None:
        self.column = column
        self._read = read

    def pages(self, first: int, last: int, pages: PageEncoder) -> Iterator[ListPage]:
        """Read and encode the rows ``first`` to before ``last``, page by page.

        Raises:
            ValueError: the number of bytes read does not match the rows.
        """
        for start, stop in self.column.page_spans(first, last):
            values = self._read(start, stop).data.cast("B")
            expected = (stop - start) * self.column.row_bytes
            if len(values) != expected:
                raise ValueError(f"{stop - start} lists take {expected} bytes, not {len(values)}")
            yield self.column.page(stop - start, None, values, pages)

    def count_nulls(self, _first: int, _last: int, /) -> int:
        """None of the lists is null."""
        return 0


class EncodedLists:
    """The pages of one row group; see ``ListPages``."""

    reuses_memory = False

    def __init__(self, column: ListColumn, encoded: Sequence[ListPage], nulls: int) -> None:
        self.column = column
        self._encoded = encoded
        self._nulls = nulls

    def pages(self, _first: int, _last: int, _pages: PageEncoder, /) -> Iterator[ListPage]:
        """Yield the pages, which are encoded already."""
        return iter(self._encoded)

    def count_nulls(self, _first: int, _last: int, /) -> int:
        """Number of null rows."""
        return self._nulls

    def place(self, start: int, rows: int) -> ListChunk:
        """Say where the pages are, from an offset in a file on; ``rows`` counts nulls too."""
        sizes = tuple([page.sizes for page in self._encoded])
        return self.column.place(sizes, start, rows, self._nulls)
