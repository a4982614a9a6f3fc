"""Page indexes and footers, of one file or of many small ones at once.

Source: apache/parquet-format, ``PageIndex.md`` and ``parquet.thrift``. Offsets are in the footer
and in the page index; to encode one by one those of 100,000 column chunks in 7,000 small files
takes as long as the rest of their columns.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple, Self

import numpy as np

from a20_parquet.parquet.flat.columns import FlatChunk
from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.byte_table import ByteTable
from a20_parquet.parquet.format.encodings import Array
from a20_parquet.parquet.format.footer import FooterFrame, WrittenGroup
from a20_parquet.parquet.format.page_index import FIRST_ROW_IS_0, ONE_PAGE
from a20_parquet.parquet.lists import ListChunk


class PlacedGroup(NamedTuple):
    """A row group whose places in a file are known."""

    rows: int
    start: int
    """Offset of its first page in the file, in bytes: lists come first."""
    flat_start: int
    """Offset of the first page of its flat columns."""
    end: int
    """Where its last page ends."""
    lists: Sequence[ListChunk]
    flat: Sequence[FlatChunk]

    @classmethod
    def at(
        cls, start: int, rows: int, lists: Sequence[ListChunk], flat: Sequence[FlatChunk]
    ) -> Self:
        """Place the pages of a row group one behind the other, from an offset in bytes on."""
        flat_start = start + sum([chunk.stored_size for chunk in lists])
        end = flat_start + sum([len(chunk.content) for chunk in flat])
        return cls(rows, start, flat_start, end, lists, flat)

    @property
    def written(self) -> WrittenGroup:
        """What the footer says of it."""
        size = sum([chunk.size for chunk in self.lists])
        size += sum([chunk.size for chunk in self.flat])
        return WrittenGroup(self.rows, self.start, size, self.end - self.start)


class FileEnds:
    """Encodes what follows the last page of files of a layout."""

    def __init__(self, footer: FooterFrame, lists: Sequence[int], flat: Sequence[int]) -> None:
        """Take the footer's frame, and the columns of either kind by their index in the schema."""
        self._footer = footer
        self._lists, self._flat = len(lists), len(flat)
        # Column chunks are in order of the schema in a footer, and elsewhere lists come first.
        self._order = np.argsort([*lists, *flat]).tolist()

    def encode(self, files: Sequence[Sequence[PlacedGroup]]) -> Iterator[bytes]:
        """Encode page index and footer of each file, from its row groups."""
        groups = list(chain.from_iterable(files))
        chunks = _FlatChunks(groups, self._flat)
        places = self._index_places(files, groups, chunks)
        metadata = chunks.metadata()
        columns, flats = self._lists + self._flat, self._flat
        first = 0
        for file in files:
            last = first + len(file)
            column_indexes = chunks.column_indexes[first * flats : last * flats]
            offset_indexes = []
            row_groups = []
            for number, group in enumerate(file, first):
                flat = slice(number * flats, (number + 1) * flats)
                offset_indexes += [chunk.offset_index for chunk in group.lists]
                offset_indexes += chunks.offset_indexes[flat]
                heads = [*(chunk.metadata for chunk in group.lists), *metadata[flat]]
                tails = places[number * columns : (number + 1) * columns]
                pieces = [piece for k in self._order for piece in (heads[k], tails[k])]
                row_groups.append(self._footer.row_group(group.written, columns, pieces))
            footer = self._footer.encode(sum([group.rows for group in file]), row_groups)
            yield b"".join((*column_indexes, *offset_indexes, footer))
            first = last

    def _index_places(
        self,
        files: Sequence[Sequence[PlacedGroup]],
        groups: Sequence[PlacedGroup],
        chunks: "_FlatChunks",
    ) -> list[bytes]:
        """Return the ends of all ``ColumnChunk``: places of offset index and column index."""
        shape = (len(groups), self._lists + self._flat)
        column_sizes, offset_sizes = np.zeros(shape, np.int64), np.empty(shape, np.int64)
        of_lists = [chunk.offset_index for group in groups for chunk in group.lists]
        lists, flat = (len(groups), self._lists), (len(groups), self._flat)
        column_sizes[:, self._lists :] = _lengths(chunks.column_indexes).reshape(flat)
        offset_sizes[:, self._lists :] = _lengths(chunks.offset_indexes).reshape(flat)
        offset_sizes[:, : self._lists] = _lengths(of_lists).reshape(lists)
        counts = [len(file) for file in files]
        # A file begins anew: its own first place counts, not the sum of all files before.
        ends = np.repeat([file[-1].end if file else 0 for file in files], counts)
        column_starts, totals = _starts(column_sizes, counts)
        offset_starts, _ = _starts(offset_sizes, counts)
        column_starts += ends[:, None]
        offset_starts += (ends + totals)[:, None]
        has_bounds = column_sizes.ravel() > 0
        table = ByteTable(column_sizes.size)
        table.add(thrift.NEXT_I64)
        table.add_integers(offset_starts.ravel())
        table.add(thrift.NEXT_I32)
        table.add_integers(offset_sizes.ravel())
        table.add(thrift.NEXT_I64, has_bounds)
        table.add_integers(column_starts.ravel(), has_bounds)
        table.add(thrift.NEXT_I32, has_bounds)
        table.add_integers(column_sizes.ravel(), has_bounds)
        table.add(thrift.STOP)
        return table.encode()


class _FlatChunks:
    """The flat column chunks of all row groups, one after the other."""

    def __init__(self, groups: Sequence[PlacedGroup], columns: int) -> None:
        chunks = [chunk for group in groups for chunk in group.flat]
        self._sizes = [chunk.sizes for chunk in chunks]
        self._statistics = [chunk.statistics for chunk in chunks]
        self.column_indexes = [chunk.column_index for chunk in chunks]
        stored = _lengths([chunk.content for chunk in chunks]).reshape(len(groups), columns)
        starts = np.cumsum(stored, axis=1) - stored
        starts += np.array([group.flat_start for group in groups], np.int64)[:, None]
        self._starts = starts.ravel()
        self._dictionaries = np.array([chunk.dictionary_size for chunk in chunks], np.int64)
        self._pages = self._starts + self._dictionaries
        self.offset_indexes = self._encode_offset_indexes(stored.ravel() - self._dictionaries)

    def _encode_offset_indexes(self, page_sizes: Array) -> list[bytes]:
        table = ByteTable(len(page_sizes))
        table.add(ONE_PAGE)
        table.add_integers(self._pages)
        table.add(thrift.NEXT_I32)
        table.add_integers(page_sizes)
        table.add(FIRST_ROW_IS_0)
        return table.encode()

    def metadata(self) -> list[bytes]:
        """Return all ``ColumnChunk`` up to the end of their ``ColumnMetaData``."""
        has_dictionary = self._dictionaries > 0
        table = ByteTable(len(self._pages))
        table.add_integers(self._pages)
        table.add(thrift.SKIP_1_I64, has_dictionary)
        table.add_integers(self._starts, has_dictionary)
        table.add(thrift.NEXT_STRUCT, has_dictionary)
        table.add(thrift.SKIP_2_STRUCT, ~has_dictionary)
        return list(map(b"".join, zip(self._sizes, table.encode(), self._statistics, strict=True)))


def _lengths(contents: Sequence[bytes]) -> Array:
    return np.fromiter(map(len, contents), np.int64, len(contents))


def _starts(sizes: Array, groups_of_files: Sequence[int]) -> tuple[Array, Array]:
    """Return where structures start that follow each other in each file.

    Args:
        sizes: in bytes, shape (groups, columns).
        groups_of_files: number of row groups of each file; together all groups.

    Returns:
        Starts behind the first of the file, the shape of ``sizes``; and for each group the bytes of
        all structures of its file, shape (groups,).
    """
    ends = np.cumsum(sizes).reshape(sizes.shape)
    firsts = np.cumsum([0, *groups_of_files])
    bounds = np.concatenate([[0], ends[:, -1]])[firsts]
    before = np.repeat(bounds[:-1], groups_of_files)
    totals = np.repeat(np.diff(bounds), groups_of_files)
    return ends - sizes - before[:, None], totals
