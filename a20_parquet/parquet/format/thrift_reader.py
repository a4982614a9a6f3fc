"""Walks the structs of a Parquet footer in Thrift's compact protocol, whoever wrote them.

Source: Apache Thrift, ``doc/specs/thrift-compact-protocol.md``.
"""

from collections.abc import Iterator

from a20_parquet.errors import DatasetError
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
)

_I16 = 4
_LONG_LIST = 15
# Parquet's own structs are half as deep.
_DEEPEST = 32
_LONGEST_VARINT = 10


class ThriftReader:
    """A position in encoded bytes, which moves on with what is read."""

    def __init__(self, content: bytes) -> None:
        """Start at the first byte.

        Args:
            content: encoded structs; nothing about it is trusted.
        """
        self._content = content
        self.position = 0
        """Byte of ``content`` that is read next."""

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield id and type of each field of a struct; read or skip its value before the next.

        Raises:
            DatasetError: the bytes are no such struct.
        """
        number = 0
        while (head := self._byte()) != STOP[0]:
            step = head >> 4
            number = number + step if step else self.integer()
            yield number, head & 0xF

    def items(self) -> tuple[int, int]:
        """Read the head of a list; its items' type and their number.

        Raises:
            DatasetError: the bytes are no list.
        """
        head = self._byte()
        count = head >> 4
        return head & 0xF, self._varint() if count == _LONG_LIST else count

    def integer(self) -> int:
        """Read an i16, i32 or i64.

        Raises:
            DatasetError: the bytes are no number.
        """
        number = self._varint()
        return number >> 1 ^ -(number & 1)

    def skip(self, kind: int, depth: int = 0) -> None:
        """Skip a field's value.

        Args:
            kind: its type.
            depth: of structs and lists around it.

        Raises:
            DatasetError: the bytes are no such value.
        """
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
                # A bool is a byte here, while a field's head says it all.
                self.skip(I8 if inner in {TRUE, FALSE} else inner, depth + 1)
        elif kind == STRUCT:
            for _, inner in self.fields():
                self.skip(inner, depth + 1)
        elif kind not in {TRUE, FALSE}:
            raise DatasetError(f"a field has the type {kind}, which no Parquet footer has")

    def _varint(self) -> int:
        number = 0
        for place in range(_LONGEST_VARINT):
            byte = self._byte()
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                return number
        raise DatasetError("a number is longer than 64 bits")

    def _byte(self) -> int:
        if self.position >= len(self._content):
            raise DatasetError("the bytes end too early")
        byte = self._content[self.position]
        self.position += 1
        return byte

    def _forward(self, count: int) -> None:
        self.position += count
        if self.position > len(self._content):
            raise DatasetError("the bytes end too early")
