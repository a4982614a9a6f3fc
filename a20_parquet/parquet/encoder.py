"""Encodes row groups, one or many at once; only the writer knows their offsets in the file."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from a20_parquet.parquet.file_end import PlacedGroup
from a20_parquet.parquet.flat.columns import FlatChunk, validity
from a20_parquet.parquet.flat.small_groups import GroupBounds, GroupColumn
from a20_parquet.parquet.format.footer import MAGIC
from a20_parquet.parquet.layout import ParquetLayout
from a20_parquet.parquet.lists import EncodedLists, ListPages, Lists, PagedLists, ReadLists
from a20_parquet.parquet.pages import PageEncoder


class EncodedGroup(NamedTuple):
    """One row group: flat columns encoded, lists as they are."""

    first: int
    """First row in ``lists``."""
    last: int
    """Row behind the last."""
    lists: Sequence[ListPages]
    """In the layout's order."""
    flat: Sequence[FlatChunk]
    """Likewise."""
    end: bytes | None = None
    """What follows the last page in a file of this row group alone; None if that is not encoded."""


class GroupEncoder:
    """Encodes the row groups of any number of files; for one thread.

    Attributes:
        layout: of the files.
        pages: makes the pages.
    """

    def __init__(self, layout: ParquetLayout) -> None:
        self.layout = layout
        self.pages = PageEncoder(layout.compression)
        self._columns = [GroupColumn(column, self.pages) for column in layout.flat.values()]

    def encode(self, windows: Any) -> EncodedGroup:
        """Encode one row group.

        Args:
            windows: a ``pyarrow.RecordBatch`` with the layout's schema; it may be a slice.

        Raises:
            ValueError: there are no rows.
            DatasetError: the schema differs, or there are nulls where it forbids them.
        """
        self.layout.check(windows)
        arrays = windows.columns
        return self._group(windows.num_rows, arrays, self._lists(arrays))

    def encode_paged(self, windows: Any, column: str, read: ReadLists) -> EncodedGroup:
        """Encode one row group; the lists of one column are read only while they are written.

        Args:
            windows: a ``pyarrow.RecordBatch`` with the layout's schema but for ``column``.
            column: lists without nulls.
            read: reads the column's lists by their rows, from 0.

        Raises:
            ValueError: there are no rows.
            DatasetError: the schema differs, or there are nulls where it forbids them.
        """
        layout = self.layout
        paged = layout.schema.get_field_index(column)
        layout.check(windows, without=paged)
        arrays = [*windows.columns[:paged], None, *windows.columns[paged:]]
        lists = [
            PagedLists(kind, read) if index == paged else Lists(kind, arrays[index])
            for index, kind in layout.lists.items()
        ]
        return self._group(windows.num_rows, arrays, lists)

    def encode_many(self, windows: Any, rows: Sequence[int]) -> Iterator[EncodedGroup]:
        """Encode consecutive small row groups of a file each, faster than one by one.

        Args:
            windows: a ``pyarrow.RecordBatch`` with the layout's schema.
            rows: of each row group, 1 or more; together those of ``windows``.

        Raises:
            DatasetError: the schema differs, or there are nulls where it forbids them.
        """
        self.layout.check(windows)
        arrays = windows.columns
        lists = self._lists(arrays)
        bounds = GroupBounds.of(rows)
        flat = [
            column.encode(arrays[index], bounds)
            for index, column in zip(self.layout.flat, self._columns, strict=True)
        ]
        pages = [self._pages_of(lists, span) for span in bounds.spans]
        files = []
        for (first, last), encoded, chunks in zip(
            bounds.spans, pages, zip(*flat, strict=True), strict=True
        ):
            start, placed = len(MAGIC), []
            for each in encoded:
                placed.append(each.place(start, last - first))
                start += placed[-1].stored_size
            files.append([PlacedGroup.at(len(MAGIC), last - first, placed, chunks)])
        for span, encoded, file, end in zip(
            bounds.spans, pages, files, self.layout.ends.encode(files), strict=True
        ):
            yield EncodedGroup(*span, encoded, file[0].flat, end)

    def _pages_of(self, lists: Sequence[Lists], span: tuple[int, int]) -> list[EncodedLists]:
        return [
            EncodedLists(each.column, list(each.pages(*span, self.pages)), each.count_nulls(*span))
            for each in lists
        ]

    def _group(self, rows: int, arrays: Sequence[Any], lists: Sequence[ListPages]) -> EncodedGroup:
        if not rows:
            raise ValueError("a row group needs at least one row")
        flat = []
        for index, column in self.layout.flat.items():
            valid = validity(arrays[index], column.name, nullable=column.nullable)
            flat.append(column.encode_array(arrays[index], valid, self.pages))
        return EncodedGroup(0, rows, lists, flat)

    def _lists(self, arrays: Sequence[Any]) -> list[Lists]:
        return [Lists(column, arrays[index]) for index, column in self.layout.lists.items()]
