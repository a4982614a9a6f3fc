"""Walks structs in Thrift's compact protocol that nobody has checked.

Source: Apache Thrift, ``doc/specs/thrift-compact-protocol.md``.
"""

import re
from collections.abc import Iterator

from a20_parquet.parquet.format.thrift import BINARY, FALSE, I8, I32, I64, LIST, STRUCT

_I16 = 4
_NUMBERS = (_I16, I32, I64)
_LONG_LIST = 15
# Parquet's own structs are half as deep.
_DEEPEST = 32
_CONTINUES = 0x80
_LONGEST_VARINT = 10


class ThriftReader:
    """Reads one value after the other.

    All methods raise ValueError if the bytes are damaged or end too early.

    Attributes:
        position: of the next value.
    """

    def __init__(self, content: bytes, position: int = 0) -> None:
        """Begin at a position."""
        self._content = content
        self.position = position

    def fields(self, number: int = 0) -> Iterator[tuple[int, int]]:
        """Yield id and type of each field of a struct; read or skip its value before the next.

        Args:
            number: id of the last field that was read already.
        """
        while head := self._byte():
            # Readers differ in which of two equal fields they take.
            if (step := head >> 4 or self.integer() - number) <= 0:
                raise ValueError(f"field {number + step} follows field {number}")
            number += step
            yield number, head & 0xF

    def items(self) -> tuple[int, int]:
        """Read the head of a list: type and number of its items."""
        try:
            kind, count, self.position = _list_head(self._content, self.position)
        except IndexError:
            raise self._too_short() from None
        return kind, count

    def structs(self) -> int:
        """Read the head of a list of structs: their number."""
        kind, count = self.items()
        if kind != STRUCT:
            raise ValueError(f"items of a list have the type {kind}, expected {STRUCT}")
        return count

    def integer(self) -> int:
        """Read a number of at most 64 bits."""
        try:
            number, self.position = _varint(self._content, self.position)
        except IndexError:
            raise self._too_short() from None
        return number >> 1 ^ -(number & 1)

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Read what matches a pattern, if something does."""
        found = pattern.match(self._content, self.position)
        if found:
            self.position = found.end()
        return found

    def skip(self, kind: int) -> bytes:
        """Skip a field's value of a type, and return its bytes."""
        start = self.position
        if kind > FALSE:
            try:
                self.position = _skip(self._content, start, kind, depth=0)
            except IndexError:
                raise self._too_short() from None
        if self.position > len(self._content):
            raise self._too_short()
        return self._content[start : self.position]

    def _byte(self) -> int:
        try:
            byte = self._content[self.position]
        except IndexError:
            raise self._too_short() from None
        self.position += 1
        return byte

    def _too_short(self) -> ValueError:
        return ValueError(f"the footer ends too early, at byte {len(self._content)}")


def _varint(content: bytes, position: int) -> tuple[int, int]:
    number = 0
    for group in range(_LONGEST_VARINT):
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << 7 * group
        if byte < _CONTINUES:
            return number, position
    raise ValueError("a number is longer than 64 bits")


def _list_head(content: bytes, position: int) -> tuple[int, int, int]:
    head = content[position]
    count = head >> 4
    position += 1
    if count == _LONG_LIST:
        count, position = _varint(content, position)
    return head & 0xF, count, position


def _skip(content: bytes, position: int, kind: int, depth: int) -> int:
    """Return the position behind a value that is inside ``depth`` structs and lists."""
    if kind in _NUMBERS:
        return _skip_number(content, position)
    if kind == BINARY:
        length, position = _varint(content, position)
        return position + length
    if kind == I8:
        return position + 1
    if depth > _DEEPEST:
        raise ValueError(f"structs are nested more than {_DEEPEST} deep")
    if kind == STRUCT:
        return _skip_struct(content, position, depth)
    if kind != LIST:
        raise ValueError(f"a field has the type {kind}, which no Parquet footer has")
    inner, count, position = _list_head(content, position)
    if inner <= I8:
        # As an item, a bool takes a byte.
        return position + count
    for _ in range(count):
        position = _skip(content, position, inner, depth + 1)
    return position


def _skip_struct(content: bytes, position: int, depth: int) -> int:
    # Most fields are numbers, which a call would only slow down.
    while head := content[position]:
        position += 1
        if head < 1 << 4:
            position = _skip_number(content, position)
        kind = head & 0xF
        if kind in _NUMBERS:
            while content[position] >= _CONTINUES:
                position += 1
            position += 1
        elif kind > FALSE:
            position = _skip(content, position, kind, depth + 1)
    return position + 1


def _skip_number(content: bytes, position: int) -> int:
    while content[position] >= _CONTINUES:
        position += 1
    return position + 1
