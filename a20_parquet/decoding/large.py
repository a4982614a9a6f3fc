"""Records too large to be loaded whole: unwanted features are removed before decoding.

The wire format of an ``Example`` is walked from feature to feature; the content of unwanted ones is
not read, and may be invalid. The rest is decoded like other records. Anything but a plain list of
features counts as no ``Example``. The bound depends on no option, so that datasets do not either.

Source: protobuf.dev/programming-guides/encoding.
"""

from collections.abc import Collection, Iterable, Iterator

from a20_parquet.decoding.example import EMBEDDING, KNOWN
from a20_parquet.decoding.wire_lists import BYTES, FLOATS, INTEGERS
from a20_parquet.tfrecord.records import Buffer

LARGE_BYTES = 16 << 20
"""Payloads of more bytes are reduced."""

_NO_EXAMPLE = b"\x00"
"""A payload that every parser refuses: field numbers start at 1."""
# Each takes a microsecond; records have a dozen.
_MOST_FIELDS = 1 << 16
_MOST_NAME_BYTES = 1 << 16
# Names, times and shapes take some hundred bytes.
_MOST_SMALL_BYTES = 1 << 16
_LISTS = frozenset({BYTES, FLOATS, INTEGERS})
_FIXED_BYTES = {1: 8, 5: 4}
_VARINT, _LENGTH_DELIMITED = 0, 2
_BITS_A_BYTE = 7
_MOST_VARINT_BYTES = 10


def reduce(payload: Buffer, wanted: Collection[str]) -> bytes:
    """Copy a record, or any bytes; in a large one, features not ``wanted`` get empty lists."""
    if len(payload) <= LARGE_BYTES:
        return bytes(payload)
    try:
        entries = [_reduced(entry, wanted) for entry in _entries(memoryview(payload))]
    except _NoExampleError:
        return _NO_EXAMPLE
    return _field(1, entries)


class _NoExampleError(Exception):
    """The bytes are not a plain list of features."""


def _entries(example: memoryview) -> Iterator[memoryview]:
    """Yield the entries of all features."""
    count = 0
    for features in _parts(example, 1):
        for entry in _parts(features, 1):
            count += 1
            if count > _MOST_FIELDS:
                raise _NoExampleError
            yield entry


def _reduced(entry: memoryview, wanted: Collection[str]) -> bytes:
    """An entry without its value unless that is wanted."""
    names = list(_parts(entry, 1))
    if any(len(name) > _MOST_NAME_BYTES for name in names):
        raise _NoExampleError
    # Of several names the last counts.
    key = bytes(names[-1]) if names else b""
    name = key.decode(errors="backslashreplace")
    is_small = name in KNOWN and name != EMBEDDING
    takes = name in wanted or name == EMBEDDING or (is_small and len(entry) <= _MOST_SMALL_BYTES)
    if takes:
        return _field(1, [bytes(entry)])
    lists = []
    for feature in _parts(entry, 2):
        number, content = next(_fields(feature), (0, None))
        if number in _LISTS and content is not None:
            lists.append(_field(number, []))
    return _field(1, [_field(1, [key]), _field(2, lists[-1:])])


def _parts(message: memoryview, number: int) -> Iterator[memoryview]:
    """Yield the fields with this number, which must be messages or bytes."""
    for found, content in _fields(message):
        if found == number:
            if content is None:
                raise _NoExampleError
            yield content


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """Yield the number of each field and its content without its length, None for a number."""
    at = count = 0
    while at < len(message):
        count += 1
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        content, stop = None, at
        if kind == _VARINT:
            _, stop = _varint(message, at)
        elif kind == _LENGTH_DELIMITED:
            size, at = _varint(message, at)
            stop = at + size
            content = message[at:stop]
        elif kind in _FIXED_BYTES:
            stop = at + _FIXED_BYTES[kind]
        else:
            raise _NoExampleError
        if not number or stop > len(message) or count > _MOST_FIELDS:
            raise _NoExampleError
        yield number, content
        at = stop


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, and the position after it."""
    value = 0
    for index, byte in enumerate(message[at : at + _MOST_VARINT_BYTES]):
        value |= (byte & 0x7F) << (index * _BITS_A_BYTE)
        if byte <= 0x7F:  # noqa: PLR2004 - the last byte lacks the eighth bit
            return value, at + index + 1
    raise _NoExampleError


def _field(number: int, parts: Iterable[bytes]) -> bytes:
    """A field of bytes."""
    content = b"".join(parts)
    size, head = len(content), bytearray([number << 3 | _LENGTH_DELIMITED])
    while size > 0x7F:  # noqa: PLR2004 - likewise
        head.append(size & 0x7F | 0x80)
        size >>= _BITS_A_BYTE
    head.append(size)
    return bytes(head) + content
