"""Row groups of files as this program writes them, read with few calls.

Everything else is read by ``RowGroups``, field by field.

Source: apache/parquet-format, ``parquet.thrift``.
"""

import re
from collections.abc import Collection, Iterator
from functools import cache, lru_cache
from typing import TypeAlias

from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.footer import FooterFrame
from a20_parquet.parquet.format.group_form import GroupForm, Spans
from a20_parquet.parquet.format.row_groups import ColumnChunk, RowGroup, known_chunk
from a20_parquet.parquet.format.thrift import STRUCT, integer, read_integer
from a20_parquet.parquet.format.thrift_reader import ThriftReader

# Groups of the pattern of a known chunk.
_VALUES, _SIZE, _DATA_PAGE, _DICTIONARY_PAGE, _INDEX = 1, 2, 3, 4, 5
_SORTED_BY = rb"\x15[\x80-\xff]{0,4}[\x00-\x7f]\x12\x11\x00"
_MOST_SORTED_BY = 14
# Learning a form takes ten times longer than reading a footer.
_MOST_FORMS = 64


class MovableChunk:
    """A column chunk of a footer, whose pages may be copied to another file.

    Attributes:
        place: where it is; nothing of it is checked.
    """

    __slots__ = ("_footer", "_spans", "_starts", "place")

    def __init__(self, footer: bytes, spans: Spans) -> None:
        """Take the spans of what ``known_chunk`` found in a footer, and of its groups."""
        self._footer = footer
        self._spans = spans
        values, size, *starts = (
            _integer(footer[begin:end])
            for begin, end in spans[_VALUES : _DICTIONARY_PAGE + 1]
            if begin >= 0
        )
        self._starts = starts
        self.place = ColumnChunk(values, min(starts), size)

    def moved(self, by: int) -> bytes:
        """Return the ``ColumnChunk`` with its pages ``by`` bytes further on, without page index."""
        spans, footer = self._spans, self._footer
        position, last = spans[0]
        parts = []
        for (begin, end), start in zip(spans[_DATA_PAGE:], self._starts, strict=False):
            parts += [footer[position:begin], thrift.varint(max(0, start + by) << 1)]
            position = end
        # The head of the index's field, or the stop byte, is the byte before.
        begin, _ = spans[_INDEX]
        end = last if begin < 0 else begin
        return b"".join((*parts, footer[position : end - 1], thrift.STOP))


Group: TypeAlias = tuple[RowGroup, list[MovableChunk]]
"""A row group, and its wanted column chunks by the number of the column."""


class KnownGroups:
    """Reads the row groups of footers that nobody has checked; may be shared by threads."""

    def __init__(self, known: FooterFrame, columns: int, wanted: Collection[int]) -> None:
        """Begin without a footer.

        Args:
            known: what such footers have around the row groups.
            columns: that each row group should have.
            wanted: numbers of the columns to read, from 0.
        """
        self._head = known.head + thrift.NEXT_I64
        self._columns = columns
        self._wanted = tuple(sorted(wanted))
        self._forms: dict[int, GroupForm] = {}

    def read(self, footer: bytes, rows: int) -> Iterator[Group]:
        """Read the row groups of a footer.

        Args:
            footer: ``FileMetaData``, without its length and the magic.
            rows: that they should have together.

        Yields:
            Each of them.

        Raises:
            ValueError: it has another form, or another number of rows.
        """
        form = self._forms.get(len(footer))
        if form is not None and form.fits(footer):
            yield self._read_by(form, footer, rows)
            return
        yield from self._match(footer, rows)

    def _read_by(self, form: GroupForm, footer: bytes, rows: int) -> Group:
        found = [_integer(footer[begin:end]) for begin, end in form.rows]
        if found != [rows, rows]:
            raise ValueError(f"it has {found} rows, expected {rows}")
        return self._group(rows, [MovableChunk(footer, spans) for spans in form.chunks])

    def _match(self, footer: bytes, rows: int) -> Iterator[Group]:
        """Match one column chunk after the other."""
        start = self._head + integer(rows) + thrift.NEXT_LIST
        reader = ThriftReader(footer, len(start))
        groups, position = reader.structs(), reader.position
        # A longer head of the list would mislead ``GroupForm``.
        if not footer.startswith(start + thrift.list_head(STRUCT, groups)):
            raise ValueError("the footer has another form")
        group_start = thrift.NEXT_LIST + thrift.list_head(STRUCT, self._columns)
        match, match_end = known_chunk().match, _group_end().match
        for _ in range(groups):
            if not footer.startswith(group_start, position):
                raise ValueError("a row group has another form")
            position += len(group_start)
            chunks = []
            for index in range(self._columns):
                found = match(footer, position)
                if found is None:
                    raise ValueError(f"column {index} has another form")
                position = found.end()
                chunks.append(found.regs)
            found = match_end(footer, position)
            if found is None:
                raise ValueError("a row group ends in another form")
            position = found.end()
            stored_rows = _integer(found[1])
            if not 0 < stored_rows <= rows:
                raise ValueError(f"a row group has {stored_rows} rows of {rows}")
            if groups == 1 and len(self._forms) < _MOST_FORMS:
                spans = (len(self._head), len(start) - len(thrift.NEXT_LIST)), found.span(1)
                self._forms[len(footer)] = GroupForm.of(footer, spans, chunks, self._wanted)
            rows -= stored_rows
            wanted = [MovableChunk(footer, chunks[index]) for index in self._wanted]
            yield self._group(stored_rows, wanted)
        if rows:
            raise ValueError(f"its row groups lack {rows} rows")

    def _group(self, rows: int, chunks: list[MovableChunk]) -> Group:
        places = {index: chunk.place for index, chunk in zip(self._wanted, chunks, strict=True)}
        return RowGroup(rows, self._columns, places), chunks


# Sizes and counts of small files repeat.
@lru_cache(maxsize=1 << 12)
def _integer(bits: bytes) -> int:
    return read_integer(bits, 0)[0]


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
