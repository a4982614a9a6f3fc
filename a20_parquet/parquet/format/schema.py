"""Physical and logical types, encodings and schema elements.

Source: apache/parquet-format, ``parquet.thrift``; its names are in quotes below.
"""

import enum
from typing import NamedTuple

from a20_parquet.parquet.format import thrift
from a20_parquet.parquet.format.thrift import I32, STRUCT, integer, struct


class Physical(enum.IntEnum):
    """``Type``: how a value is stored."""

    INT32 = 1
    INT64 = 2
    FLOAT = 4
    DOUBLE = 5
    BYTE_ARRAY = 6
    FIXED_LEN_BYTE_ARRAY = 7


class Encoding(enum.IntEnum):
    """``Encoding`` of values or levels."""

    PLAIN = 0
    RLE = 3
    RLE_DICTIONARY = 8
    BYTE_STREAM_SPLIT = 9


class Repetition(enum.IntEnum):
    """``FieldRepetitionType``: how often a field occurs in its parent."""

    REQUIRED = 0
    OPTIONAL = 1
    REPEATED = 2


class LogicalType(NamedTuple):
    """What a schema element's values mean."""

    logical: bytes | None = None
    """An encoded ``LogicalType``; None if the physical type is enough."""
    converted: int | None = None
    """The ``ConvertedType`` for readers older than logical types; None if there is none."""


_EMPTY = struct()
_MICROS = struct((2, STRUCT, _EMPTY))

PLAIN_MEANING = LogicalType()
STRING_MEANING = LogicalType(struct((1, STRUCT, _EMPTY)), 0)
LIST_MEANING = LogicalType(struct((3, STRUCT, _EMPTY)), 3)
DATE_MEANING = LogicalType(struct((6, STRUCT, _EMPTY)), 6)
# 9 is TIMESTAMP_MILLIS, which strict readers refuse beside microseconds and others believe.
INSTANT_MEANING = LogicalType(
    struct((8, STRUCT, struct((1, thrift.TRUE, b""), (2, STRUCT, _MICROS)))),
    10,
)
# TIMESTAMP_MICROS means UTC, so a wall clock's time has no converted type.
WALL_CLOCK_MEANING = LogicalType(
    struct((8, STRUCT, struct((1, thrift.FALSE, b""), (2, STRUCT, _MICROS))))
)
# An i8, here 16 bits, is a plain byte.
INT16_MEANING = LogicalType(
    struct((10, STRUCT, struct((1, thrift.I8, b"\x10"), (2, thrift.TRUE, b"")))),
    16,
)
HALF_MEANING = LogicalType(struct((15, STRUCT, _EMPTY)))


def schema_element(  # noqa: PLR0913 - the fields of the format's struct
    name: str,
    *,
    physical: Physical | None = None,
    repetition: Repetition | None = None,
    children: int | None = None,
    length: int | None = None,
    meaning: LogicalType = PLAIN_MEANING,
) -> bytes:
    """Return a ``SchemaElement``: a leaf has a physical type, a group its number of children.

    A ``FIXED_LEN_BYTE_ARRAY`` has a length in bytes too.
    """
    encoded = [(4, thrift.BINARY, thrift.binary(name.encode()))]
    if physical is not None:
        encoded.append((1, I32, integer(physical)))
    if length is not None:
        encoded.append((2, I32, integer(length)))
    if repetition is not None:
        encoded.append((3, I32, integer(repetition)))
    if children is not None:
        encoded.append((5, I32, integer(children)))
    if meaning.converted is not None:
        encoded.append((6, I32, integer(meaning.converted)))
    if meaning.logical is not None:
        encoded.append((10, STRUCT, meaning.logical))
    return struct(*sorted(encoded))
