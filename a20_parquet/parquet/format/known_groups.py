"""Row groups of files as this program writes them, read with few calls.

Everything else is read by ``RowGroups``, field by field.

Source: apache/parquet-format, ``parquet.thrift``.
"""

import re
from collections.abc import Collection, Iterator
from functools import cache

from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.footer import FooterFrame
from a20_parquet.parquet.format.row_groups import ColumnChunk, RowGroup, known_chunk
from a20_parquet.parquet.format.thrift import STRUCT, integer, read_integer
from a20_parquet.parquet.format.thrift_reader import ThriftReader

# Groups of the pattern of a known chunk.
_VALUES, _SIZE, _DATA_PAGE, _DICTIONARY_PAGE, _INDEX = 1, 2, 3, 4, 5
_SORTED_BY = rb"\x15[\x80-\xff]{0,4}[\x00-\x7f]\x12\x11\x00"
_MOST_SORTED_BY = 14


class MovableChunk:
    """A column chunk of a footer, whose pages may be copied to another file.

    Attributes:
        place: where it is; nothing of it is checked.
    """

    __slots__ = ("_footer", "_found", "_starts", "place")

    def __init__(self, footer: bytes, found: re.Match[bytes]) -> None:
        """Take what ``known_chunk`` found in a footer."""
        self._footer = footer
        self._found = found
        values, size, *starts = (
            read_integer(bits, 0)[0]
            for bits in found.group(_VALUES, _SIZE, _DATA_PAGE, _DICTIONARY_PAGE)
            if bits is not None
        )
        self._starts = starts
        self.place = ColumnChunk(values, min(starts), size)

    def moved(self, by: int) -> bytes:
        """Return the ``ColumnChunk`` with its pages ``by`` bytes further on, without page index."""
        found, footer = self._found, self._footer
        parts, position = [], found.start()
        for group, start in zip((_DATA_PAGE, _DICTIONARY_PAGE), self._starts, strict=False):
            begin, end = found.span(group)
            parts += [footer[position:begin], thrift.varint(max(0, start + by) << 1)]
            position = end
        # The head of the index's field, or the stop byte, is the byte before.
        begin = found.start(_INDEX)
        end = found.end() if begin < 0 else begin
        return b"".join((*parts, footer[position : end - 1], thrift.STOP))


def read_known_groups(
    footer: bytes, known: FooterFrame, *, rows: int, columns: int, wanted: Collection[int]
) -> Iterator[tuple[RowGroup, list[MovableChunk]]]:
    """Read the row groups of a footer that nobody has checked.

    Args:
        footer: ``FileMetaData``, without its length and the magic.
        known: what such footers have around the row groups.
        rows: that they should have together.
        columns: that each should have.
        wanted: numbers of the columns to read, from 0.

    Yields:
        A row group, and its wanted column chunks by the number of the column.

    Raises:
        ValueError: it has another form, or another number of rows.
    """
    start = b"".join((known.head, thrift.NEXT_I64, integer(rows), thrift.NEXT_LIST))
    if not footer.startswith(start):
        raise ValueError("the footer has another form")
    reader = ThriftReader(footer, len(start))
    groups, position = reader.structs(), reader.position
    group_start = thrift.NEXT_LIST + thrift.list_head(STRUCT, columns)
    match, match_end = known_chunk().match, _group_end().match
    for _ in range(groups):
        if not footer.startswith(group_start, position):
            raise ValueError("a row group has another form")
        position += len(group_start)
        chunks = {}
        for index in range(columns):
            found = match(footer, position)
            if found is None:
                raise ValueError(f"column {index} has another form")
            position = found.end()
            if index in wanted:
                chunks[index] = MovableChunk(footer, found)
        found = match_end(footer, position)
        if found is None:
            raise ValueError("a row group ends in another form")
        position = found.end()
        stored_rows, _ = read_integer(found[1], 0)
        if not 0 < stored_rows <= rows:
            raise ValueError(f"a row group has {stored_rows} rows of {rows}")
        rows -= stored_rows
        places = {index: chunk.place for index, chunk in chunks.items()}
        yield RowGroup(stored_rows, columns, places), list(chunks.values())
    if rows:
        raise ValueError(f"its row groups lack {rows} rows")


@cache
def _group_end() -> re.Pattern[bytes]:
    """Compile a pattern of what follows the column chunks of a row group; group 1 is its rows."""
    counts = range(1, _MOST_SORTED_BY + 1)
    lists = b"|".join(
        re.escape(thrift.list_head(STRUCT, count)) + b"(?:%s){%d}" % (_SORTED_BY, count)
        for count in counts
    )
    number = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
    return re.compile(
        rb"\x16%s\x16(%s)(?:\x26|\x19(?:%s)\x16)%s\x16%s\x00"
        % (number, number, lists, number, number),
        re.DOTALL,
    )
