"""The ``ConvertedType`` of UTC timestamps in existing footers.

Earlier versions wrote TIMESTAMP_MILLIS there, while values and logical type are microseconds.
Either takes one byte, so right and wrong footers have the same length.
"""

from collections.abc import Iterator

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.format.schema import INSTANT_MEANING
from a20_parquet.parquet.format.thrift import LIST, integer
from a20_parquet.parquet.format.thrift_reader import ThriftReader

TIMESTAMP_MILLIS, TIMESTAMP_MICROS = 9, 10
"""``ConvertedType``."""

_SCHEMA = 2
_CONVERTED_TYPE, _LOGICAL_TYPE = 6, 10
_KNOWN = (integer(TIMESTAMP_MILLIS), integer(TIMESTAMP_MICROS))


def mark_instants(footer: bytes, converted: int) -> bytes:
    """Give all UTC timestamps in microseconds one ``ConvertedType``.

    Args:
        footer: ``FileMetaData``, without its length and the magic; it is not trusted.
        converted: ``TIMESTAMP_MICROS``, or ``TIMESTAMP_MILLIS`` as earlier versions wrote.

    Returns:
        The footer with the same length; only these bytes differ.

    Raises:
        DatasetError: the bytes are not a footer.
    """
    marked = bytearray(footer)
    try:
        for position in _find_marks(footer):
            marked[position : position + 1] = integer(converted)
    except ValueError as error:
        raise DatasetError(str(error)) from None
    return bytes(marked)


def _find_marks(footer: bytes) -> Iterator[int]:
    """Yield the position of the converted type of each UTC timestamp in microseconds."""
    reader = ThriftReader(footer)
    for number, kind in reader.fields():
        if (number, kind) != (_SCHEMA, LIST):
            reader.skip(kind)
            continue
        for _ in range(reader.structs()):
            yield from _find_mark(reader, footer)
        return


def _find_mark(reader: ThriftReader, footer: bytes) -> Iterator[int]:
    """Yield the position in one schema element, if it has one."""
    position = 0
    logical = b""
    for number, kind in reader.fields():
        if number == _CONVERTED_TYPE:
            position = reader.position
        value = reader.skip(kind)
        if number == _LOGICAL_TYPE:
            logical = value
    if logical == INSTANT_MEANING.logical and footer[position : position + 1] in _KNOWN:
        yield position
