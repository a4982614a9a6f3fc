"""The part of Thrift's compact protocol that Parquet's page headers and footer need.

Source: Apache Thrift, ``doc/specs/thrift-compact-protocol.md``. A struct is a sequence of fields
and a stop byte. A field's head holds its type and the difference between its id and the one before.
Only checksums may be negative.
"""

from collections.abc import Sequence
from functools import lru_cache

TRUE, FALSE = 1, 2
I8, I32, I64 = 3, 5, 6
BINARY = 8
LIST = 9
STRUCT = 12

STOP = b"\x00"

# NEXT: heads of a field whose id is one above that of the last field; SKIP_n leaves out n ids.
NEXT_TRUE = b"\x11"
NEXT_I32 = b"\x15"
NEXT_I64 = b"\x16"
NEXT_BINARY = b"\x18"
NEXT_LIST = b"\x19"
NEXT_STRUCT = b"\x1c"
SKIP_1_I64 = b"\x26"
SKIP_1_BINARY = b"\x28"
SKIP_1_STRUCT = b"\x2c"
SKIP_2_I64 = b"\x36"
SKIP_2_STRUCT = b"\x3c"

_CONTINUES = 0x80
_ONE_BYTE = [bytes((number,)) for number in range(_CONTINUES)]
_LONGEST_SHORT_LIST = 14
_SIGN = 1 << 31
_I32_BITS = (1 << 32) - 1


def varint(number: int) -> bytes:
    """Encode a non-negative number in groups of seven bits, the lowest first (ULEB128)."""
    if number < _CONTINUES:
        return _ONE_BYTE[number]
    groups = bytearray()
    while number >= _CONTINUES:
        groups.append(number & 0x7F | _CONTINUES)
        number >>= 7
    groups.append(number)
    return bytes(groups)


# A small file holds two hundred of them, mostly those of the file before.
@lru_cache(maxsize=1 << 14)
def integer(number: int) -> bytes:
    """Encode a non-negative i16, i32 or i64: its zigzag form is twice the number."""
    return varint(number << 1)


def checksum(bits: int) -> bytes:
    """Encode 32 bits as an i32, which may be negative; uncached, as they hardly repeat."""
    return varint(bits << 1 if bits < _SIGN else ~(bits << 1) & _I32_BITS)


def read_integer(content: bytes, position: int) -> tuple[int, int]:
    """Decode an ``integer``, or a ``checksum`` as a signed number.

    Returns:
        The number, of whatever bytes there are if the content ends within it, and the position of
        the next value.
    """
    number = shift = 0
    for byte in content[position:]:
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < _CONTINUES:
            break
    return number >> 1 ^ -(number & 1), position


def binary(value: bytes) -> bytes:
    """Encode a binary or string value: its length in bytes, then its bytes."""
    return varint(len(value)) + value


def list_head(kind: int, count: int) -> bytes:
    """Encode the head of a list of elements of one type, which follow it."""
    if count <= _LONGEST_SHORT_LIST:
        return bytes([count << 4 | kind])
    return bytes([0xF0 | kind]) + varint(count)


def items(kind: int, elements: Sequence[bytes]) -> bytes:
    """Encode a list of elements of one type, which are encoded already."""
    return list_head(kind, len(elements)) + b"".join(elements)


def fields(*encoded: tuple[int, int, bytes]) -> bytes:
    """Encode fields, each (id, type, encoded value), of a struct without its stop byte.

    Ids ascend by at most 15.
    """
    parts = []
    last = 0
    for number, kind, value in encoded:
        parts += [bytes([(number - last) << 4 | kind]), value]
        last = number
    return b"".join(parts)


def struct(*encoded: tuple[int, int, bytes]) -> bytes:
    """Encode a whole struct; see ``fields``."""
    return fields(*encoded) + STOP
