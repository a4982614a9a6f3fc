"""The only row group of a small file as this program writes it, read with few calls.

Everything else is read by ``RowGroups``, field by field.

Source: apache/parquet-format, ``parquet.thrift``.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.footer import FooterFrame
from a20_parquet.parquet.format.row_groups import ColumnChunk, RowGroup, known_chunk
from a20_parquet.parquet.format.thrift import I64, STRUCT, integer, read_integer
from a20_parquet.parquet.format.thrift_reader import ThriftReader

# Groups of the pattern of a known chunk.
_VALUES, _SIZE, _DATA_PAGE, _DICTIONARY_PAGE, _INDEX = 1, 2, 3, 4, 5
# RowGroup
_COLUMNS, _ROWS = 1, 3


@dataclass(frozen=True, slots=True)
class MovableChunk:
    """A column chunk of a footer, whose pages may be copied to another file."""

    footer: bytes
    found: re.Match[bytes]

    @property
    def place(self) -> ColumnChunk:
        """Where it is; nothing of it is checked."""
        first = self._number(_DATA_PAGE)
        if self.found[_DICTIONARY_PAGE] is not None:
            first = min(first, self._number(_DICTIONARY_PAGE))
        return ColumnChunk(self._number(_VALUES), first, self._number(_SIZE))

    def moved(self, by: int) -> bytes:
        """Return the ``ColumnChunk`` with its pages ``by`` bytes further on, without page index."""
        found, footer = self.found, self.footer
        parts, position = [], found.start()
        for group in (_DATA_PAGE, _DICTIONARY_PAGE):
            if found[group] is not None:
                parts += [footer[position : found.start(group)], _moved(found[group], by)]
                position = found.end(group)
        # The head of the index's field, or the stop byte, is the byte before.
        end = found.end() if found[_INDEX] is None else found.start(_INDEX)
        return b"".join((*parts, footer[position : end - 1], thrift.STOP))

    def _number(self, group: int) -> int:
        return read_integer(self.found[group], 0)[0]


def _moved(offset: bytes, by: int) -> bytes:
    return thrift.varint(max(0, read_integer(offset, 0)[0] + by) << 1)


def read_known_group(
    footer: bytes, known: FooterFrame, *, rows: int, columns: int, wanted: Collection[int]
) -> tuple[RowGroup, list[MovableChunk]]:
    """Read the row group of a footer that nobody has checked.

    Args:
        footer: ``FileMetaData``, without its length and the magic.
        known: what such footers have around the row groups.
        rows: that it should have.
        columns: likewise.
        wanted: numbers of the columns to read, from 0.

    Returns:
        The row group, and its wanted column chunks by the number of the column.

    Raises:
        ValueError: it has another form, another number of rows, or several row groups.
    """
    position = len(known.head)
    start = _start(rows, columns)
    if not footer.startswith(known.head) or not footer.startswith(start, position):
        raise ValueError("the footer has another form")
    position += len(start)
    chunks = []
    match = known_chunk().match
    for index in range(columns):
        found = match(footer, position)
        if found is None:
            raise ValueError(f"column {index} has another form")
        position = found.end()
        if index in wanted:
            chunks.append(MovableChunk(footer, found))
    reader = ThriftReader(footer, position)
    stored_rows = -1
    for field, kind in reader.fields(_COLUMNS):
        if (field, kind) == (_ROWS, I64):
            stored_rows = reader.integer()
        else:
            reader.skip(kind)
    places = [chunk.place for chunk in chunks]
    return RowGroup(stored_rows, columns, dict(zip(sorted(wanted), places, strict=True))), chunks


def _start(rows: int, columns: int) -> bytes:
    """Return what a footer has between the schema and the column chunks."""
    return b"".join(
        (
            thrift.NEXT_I64,
            integer(rows),
            thrift.NEXT_LIST,
            thrift.list_head(STRUCT, 1),
            thrift.NEXT_LIST,
            thrift.list_head(STRUCT, columns),
        )
    )
