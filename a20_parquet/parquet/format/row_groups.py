"""Row groups and column chunks as a footer describes them, read by code that never aborts.

pyarrow ends the process if it is asked for a column chunk whose size statistics do not fit.
Reading metadata of 7,000 small files checks 100,000 column chunks: one as this program writes it is
matched by a pattern, which takes a tenth of the time. All others are read field by field.

Source: apache/parquet-format, ``parquet.thrift``.
"""

import re
from collections.abc import Collection
from functools import cache, lru_cache
from typing import NamedTuple

from a20_parquet.parquet.format.footer import FooterFrame
from a20_parquet.parquet.format.thrift import I32, I64, LIST, STRUCT, read_integer
from a20_parquet.parquet.format.thrift_reader import ThriftReader

# FileMetaData
_SCHEMA, _ROW_GROUPS = 2, 4
# RowGroup
_COLUMNS, _ROWS = 1, 3
# ColumnChunk
_METADATA, _OFFSET_INDEX, _OFFSET_INDEX_SIZE = 3, 4, 5
# ColumnMetaData
_VALUES, _STORED_SIZE, _DATA_PAGE, _DICTIONARY_PAGE = 5, 7, 9, 11

_VARINT = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
_LONGEST_TEXT = 127
"""A longer one's length takes two bytes."""
_LONGEST_NAME = 31
"""Of a column. Each length takes time to compile."""


@cache
def known_chunk() -> re.Pattern[bytes]:
    """Compile a pattern of what ``chunk_sizes`` and its kin write, up to the chunk's end.

    Its groups are number of values, stored size, offsets of data and dictionary page, and offset
    and size of the offset index. Earlier versions wrote no index. No other reading of these bytes
    is possible: all types and lengths are in them.
    """
    parts = {
        b"V": _VARINT,
        b"N": b"(%s)" % _VARINT,
        b"P": _text(_LONGEST_NAME),
        b"T": _text(_LONGEST_TEXT),
        b"E": rb"\x15%s\x15%s\x15%s\x00" % ((_VARINT,) * 3),
        b"L": rb"(?:\x26%s|\x36%s)" % (2 * _VARINT, 3 * _VARINT),
    }
    shape = rb"""
        \x26\x00 \x1c
        \x15V \x19(?:\x25VV|\x35VVV) \x19(?:\x18|\x38PP)P \x15V
        \x16N \x16V \x16N \x26N (?:\x26N\x1c|\x3c)
        \x36V (?:\x28T\x18T\x11\x11)? \x00
        (?:\x19(?:\x1cE|\x2cEE) (?:\x3c (?:\x16V)? (?:[\x29\x39]L(?:\x19L)?)? \x00)?)? \x00
        (?:\x16N\x15N (?:\x16V\x15V)?)? \x00
    """
    whole = re.sub(rb"[VNPTEL]", lambda found: parts[found[0]], re.sub(rb"\s", b"", shape))
    return re.compile(whole, re.DOTALL)


def _text(longest: int) -> bytes:
    """Write an expression for a length and so many bytes."""
    lengths = (re.escape(bytes((length,))) + b".{%d}" % length for length in range(longest + 1))
    return b"(?:%s)" % b"|".join(lengths)


class ColumnChunk(NamedTuple):
    """Where a column of a row group is; nothing of it is checked."""

    values: int
    """Number of values, nulls included."""
    start: int
    """Offset of its first page in the file, in bytes."""
    stored_size: int
    """Bytes of its pages with their headers, after compression."""
    index_start: int = 0
    """Offset of its ``OffsetIndex`` in the file, in bytes."""
    index_size: int = 0
    """Bytes of its ``OffsetIndex``; 0 if it has none."""


class RowGroup(NamedTuple):
    """Some columns of a row group; nothing of it is checked."""

    rows: int
    columns: int
    """How many columns it has."""
    chunks: dict[int, ColumnChunk]
    """By the number of the column, from 0."""


class RowGroups:
    """The row groups of a footer that nobody has checked.

    Raises:
        ValueError: the bytes are not a footer, in all methods.
    """

    def __init__(self, footer: bytes, known: FooterFrame | None = None) -> None:
        """Find them.

        Args:
            footer: ``FileMetaData``, without its length and the magic.
            known: what the file's footer may begin with.
        """
        self._footer = footer
        self._starts: list[int] = []
        reader, first = ThriftReader(footer), 0
        if known and footer.startswith(known.head):
            reader.position, first = len(known.head), _SCHEMA
        for number, kind in reader.fields(first):
            if (number, kind) != (_ROW_GROUPS, LIST):
                reader.skip(kind)
                continue
            for _ in range(reader.structs()):
                self._starts.append(reader.position)
                _row_group(reader, ())
            _skip_rest(footer[reader.position :])
            break

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._starts)

    def read(self, number: int, wanted: Collection[int]) -> RowGroup:
        """Read columns of a row group, but for those that it lacks."""
        return _row_group(ThriftReader(self._footer, self._starts[number]), wanted)


# All files of a dataset have the same, which takes longer to read than a small file's row group.
@lru_cache(maxsize=1 << 6)
def _skip_rest(rest: bytes) -> None:
    """Skip what follows the row groups."""
    reader = ThriftReader(rest)
    for _, kind in reader.fields(_ROW_GROUPS):
        reader.skip(kind)


def _row_group(reader: ThriftReader, wanted: Collection[int]) -> RowGroup:
    rows = columns = -1
    chunks: dict[int, ColumnChunk] = {}
    for field, kind in reader.fields():
        if (field, kind) == (_COLUMNS, LIST):
            columns = reader.structs()
            for index in range(columns):
                if index in wanted:
                    chunks[index] = _column_chunk(reader)
                elif not reader.match(known_chunk()):
                    reader.skip(STRUCT)
        elif (field, kind) == (_ROWS, I64):
            rows = reader.integer()
        else:
            reader.skip(kind)
    return RowGroup(rows, columns, chunks)


def _column_chunk(reader: ThriftReader) -> ColumnChunk:
    if found := reader.match(known_chunk()):
        numbers = [0 if bits is None else read_integer(bits, 0)[0] for bits in found.groups()]
        values, size, start, dictionary, *places = numbers
        first = start if found[4] is None else min(start, dictionary)
        return ColumnChunk(values, first, size, *places)
    metadata: dict[int, int] = {}
    index: dict[int, int] = {}
    for number, kind in reader.fields():
        if (number, kind) == (_METADATA, STRUCT):
            metadata = _numbers(reader)
        elif (number, kind) in {(_OFFSET_INDEX, I64), (_OFFSET_INDEX_SIZE, I32)}:
            index[number] = reader.integer()
        else:
            reader.skip(kind)
    try:
        values, size, start = (metadata[field] for field in (_VALUES, _STORED_SIZE, _DATA_PAGE))
    except KeyError as error:
        raise ValueError(f"a column chunk has no field {error}") from None
    first = min(start, metadata.get(_DICTIONARY_PAGE, start))
    places = [index.get(number, 0) for number in (_OFFSET_INDEX, _OFFSET_INDEX_SIZE)]
    return ColumnChunk(values, first, size, *places)


def _numbers(reader: ThriftReader) -> dict[int, int]:
    """Read the 64-bit numbers of a struct by their fields."""
    numbers: dict[int, int] = {}
    for field, kind in reader.fields():
        if kind == I64:
            numbers[field] = reader.integer()
        else:
            reader.skip(kind)
    return numbers
