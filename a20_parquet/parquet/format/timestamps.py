"""What footers call UTC timestamps for readers older than logical types.

Earlier versions said milliseconds there, while values and logical type are microseconds. Either is
one byte, so that right and wrong footers have the same length.
"""

from collections.abc import Iterator

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.format.schema import INSTANT_MEANING
from a20_parquet.parquet.format.thrift import LIST, STRUCT, integer
from a20_parquet.parquet.format.thrift_reader import ThriftReader

TIMESTAMP_MILLIS, TIMESTAMP_MICROS = 9, 10
"""``ConvertedType``."""

_SCHEMA = 2
_CONVERTED_TYPE, _LOGICAL_TYPE = 6, 10


def mark_instants(footer: bytes, converted: int) -> bytes:
    """Give all UTC timestamps in microseconds one ``ConvertedType``.

    Args:
        footer: ``FileMetaData``, without its length and the magic behind it.
        converted: ``TIMESTAMP_MICROS``, or ``TIMESTAMP_MILLIS`` for what was written before.

    Returns:
        The footer, as long as before; nothing else in it is changed.

    Raises:
        DatasetError: it is no footer.
    """
    marked = bytearray(footer)
    for position in _marks(footer):
        marked[position : position + 1] = integer(converted)
    return bytes(marked)


def _marks(footer: bytes) -> Iterator[int]:
    """Yield where the converted type of each UTC timestamp in microseconds lies."""
    reader = ThriftReader(footer)
    for number, kind in reader.fields():
        if (number, kind) != (_SCHEMA, LIST):
            reader.skip(kind)
            continue
        element, count = reader.items()
        if element != STRUCT:
            raise DatasetError(f"the schema's elements have the type {element}, expected {STRUCT}")
        for _ in range(count):
            yield from _mark(reader, footer)
        return


def _mark(reader: ThriftReader, footer: bytes) -> Iterator[int]:
    """Read one schema element."""
    position = 0
    logical = b""
    for number, kind in reader.fields():
        start = reader.position
        reader.skip(kind)
        if number == _CONVERTED_TYPE:
            position = start
        elif number == _LOGICAL_TYPE:
            logical = footer[start : reader.position]
    known = (integer(TIMESTAMP_MILLIS), integer(TIMESTAMP_MICROS))
    if logical == INSTANT_MEANING.logical and footer[position : position + 1] in known:
        yield position
