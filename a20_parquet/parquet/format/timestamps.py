"""The ``ConvertedType`` of UTC timestamps in existing footers.

Earlier versions wrote TIMESTAMP_MILLIS there, while values and logical type are microseconds.
Either takes one byte, so right and wrong footers have the same length.

Source: Apache Thrift, ``doc/specs/thrift-compact-protocol.md``.
"""

from collections.abc import Iterator

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.format.schema import INSTANT_MEANING
from a20_parquet.parquet.format.thrift import (
    BINARY,
    FALSE,
    I8,
    I32,
    I64,
    LIST,
    STOP,
    STRUCT,
    TRUE,
    integer,
)

TIMESTAMP_MILLIS, TIMESTAMP_MICROS = 9, 10
"""``ConvertedType``."""

_SCHEMA = 2
_CONVERTED_TYPE, _LOGICAL_TYPE = 6, 10
_I16 = 4
_LONG_LIST = 15
# Parquet's own structs are half as deep.
_DEEPEST = 32
_LONGEST_VARINT = 10


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
    for position in _find_marks(footer):
        marked[position : position + 1] = integer(converted)
    return bytes(marked)


def _find_marks(footer: bytes) -> Iterator[int]:
    """Yield the position of the converted type of each UTC timestamp in microseconds."""
    reader = _Reader(footer)
    for number, kind in reader.fields():
        if (number, kind) != (_SCHEMA, LIST):
            reader.skip(kind)
            continue
        element, count = reader.items()
        if element != STRUCT:
            raise DatasetError(f"the schema's elements have the type {element}, expected {STRUCT}")
        for _ in range(count):
            yield from _find_mark(reader, footer)
        return


def _find_mark(reader: "_Reader", footer: bytes) -> Iterator[int]:
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


class _Reader:
    """Walks structs in Thrift's compact protocol; raises DatasetError if the bytes are damaged."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.position = 0

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield id and type of each field; read or skip its value before the next."""
        number = 0
        while (head := self._byte()) != STOP[0]:
            step = head >> 4
            number = number + step if step else self._integer()
            yield number, head & 0xF

    def items(self) -> tuple[int, int]:
        """Read the head of a list: type and number of its items."""
        head = self._byte()
        count = head >> 4
        return head & 0xF, self._varint() if count == _LONG_LIST else count

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip a value of a type, inside ``depth`` structs and lists."""
        if depth > _DEEPEST:
            raise DatasetError(f"structs are nested more than {_DEEPEST} deep")
        if kind in {_I16, I32, I64}:
            self._varint()
        elif kind == I8:
            self._forward(1)
        elif kind == BINARY:
            self._forward(self._varint())
        elif kind == LIST:
            inner, count = self.items()
            for _ in range(count):
                # A bool is a byte here; as a field its value is in the head.
                self.skip(I8 if inner in {TRUE, FALSE} else inner, depth + 1)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind not in {TRUE, FALSE}:
            raise DatasetError(f"a field has the type {kind}, which no Parquet footer has")

    def _integer(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)

    def _varint(self) -> int:
        number = 0
        for group in range(_LONGEST_VARINT):
            byte = self._byte()
            number |= (byte & 0x7F) << 7 * group
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                return number
        raise DatasetError("a number is longer than 64 bits")

    def _byte(self) -> int:
        self._forward(1)
        return self._content[self.position - 1]

    def _forward(self, count: int) -> None:
        self.position += count
        if self.position > len(self._content):
            raise DatasetError("the bytes end too early")
