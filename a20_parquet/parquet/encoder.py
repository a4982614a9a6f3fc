"""Encodes row groups, one or many at once; what a file's place decides is left to the writer."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from a20_parquet.parquet.flat.columns import FlatChunk, encode_group
from a20_parquet.parquet.flat.small_groups import GroupBounds, GroupColumn
from a20_parquet.parquet.layout import ParquetLayout
from a20_parquet.parquet.lists import Lists, PagedLists, ReadLists
from a20_parquet.parquet.pages import PageEncoder


class EncodedGroup(NamedTuple):
    """One row group: its flat columns encoded, its lists where they lie."""

    first: int
    """Its first row in ``lists``."""
    last: int
    """The row behind its last."""
    lists: Sequence[Lists | PagedLists]
    """Of each list column, in the layout's order."""
    flat: Sequence[FlatChunk]
    """Of each flat column, likewise."""


class GroupEncoder:
    """Encodes the row groups of any number of files; for one thread."""

    def __init__(self, layout: ParquetLayout) -> None:
        """Prepares to encode.

        Args:
            layout: of the files.
        """
        self.layout = layout
        self.pages = PageEncoder(layout.compression)
        """Makes the pages of what it encodes."""
        self._columns = [GroupColumn(column, self.pages) for column in layout.flat.values()]

    def encode(self, windows: Any) -> EncodedGroup:
        """Encodes one row group.

        Args:
            windows: a ``pyarrow.RecordBatch`` with the layout's schema; it may be a slice.

        Raises:
            ValueError: there are no rows.
            DatasetError: the schema differs, or there are nulls where it forbids them.
        """
        arrays = self._arrays(windows)
        return self._group(windows.num_rows, arrays, self._lists(arrays))

    def encode_paged(self, windows: Any, column: str, read: ReadLists) -> EncodedGroup:
        """Encodes one row group, of which one list column is read only while it is written.

        Args:
            windows: a ``pyarrow.RecordBatch`` with the layout's schema but for ``column``.
            column: lists of which none is null.
            read: gives the column's lists by their rows, from 0.

        Raises:
            ValueError: there are no rows.
            DatasetError: the schema differs, or there are nulls where it forbids them.
        """
        layout = self.layout
        place = layout.schema.get_field_index(column)
        layout.check(windows, without=place)
        arrays = [*windows.columns[:place], None, *windows.columns[place:]]
        lists = [
            PagedLists(kind, read) if index == place else Lists(kind, arrays[index])
            for index, kind in layout.lists.items()
        ]
        return self._group(windows.num_rows, arrays, lists)

    def encode_many(self, windows: Any, rows: Sequence[int]) -> Iterator[EncodedGroup]:
        """Encodes consecutive small row groups, cheaper than one by one.

        Args:
            windows: a ``pyarrow.RecordBatch`` with the layout's schema.
            rows: of each row group, 1 or more; together those of ``windows``.

        Raises:
            DatasetError: the schema differs, or there are nulls where it forbids them.
        """
        arrays = self._arrays(windows)
        lists = self._lists(arrays)
        bounds = GroupBounds.of(rows)
        flat = [
            column.encode(arrays[index], bounds)
            for index, column in zip(self.layout.flat, self._columns, strict=True)
        ]
        for span, chunks in zip(bounds.spans, zip(*flat, strict=True), strict=True):
            yield EncodedGroup(*span, lists, chunks)

    def _group(
        self, rows: int, arrays: Sequence[Any], lists: Sequence[Lists | PagedLists]
    ) -> EncodedGroup:
        if not rows:
            raise ValueError("a row group needs at least one row")
        columns = self.layout.flat
        flat = [arrays[index] for index in columns]
        return EncodedGroup(0, rows, lists, encode_group(list(columns.values()), flat, self.pages))

    def _arrays(self, windows: Any) -> Sequence[Any]:
        self.layout.check(windows)
        arrays: Sequence[Any] = windows.columns
        return arrays

    def _lists(self, arrays: Sequence[Any]) -> list[Lists]:
        return [Lists(column, arrays[index]) for index, column in self.layout.lists.items()]
