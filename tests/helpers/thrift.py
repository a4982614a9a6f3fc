"""Parquet's footers and page headers decoded from their bytes, by nobody's reader but this one."""

from collections.abc import Iterator
from typing import Any, NamedTuple

Fields = dict[int, Any]
"""A struct's values by field id; structs in it likewise, lists as lists."""


def read_footer(content: bytes) -> Fields:
    """``FileMetaData`` of a whole file, which must end where it says."""
    assert content[:4] == content[-4:] == b"PAR1"
    length = int.from_bytes(content[-8:-4], "little")
    footer = content[-8 - length : -8]
    fields, end = _value(footer, 0, 12)
    assert end == length
    return dict(fields)


class StoredPage(NamedTuple):
    """A page as it lies in a file."""

    header: Fields
    """``PageHeader``."""
    start: int
    """Of the bytes behind the header, in the file."""
    stop: int
    """Where they end."""


def read_pages(content: bytes) -> Iterator[StoredPage]:
    """All pages of a whole file, which must fill their column chunks."""
    for group in read_footer(content)[4]:
        for chunk in group[1]:
            metadata = chunk[3]
            at = metadata.get(11, metadata[9])
            end = at + metadata[7]
            while at < end:
                header, start = read_struct(content, at)
                at = start + header[3]
                yield StoredPage(header, start, at)
            assert at == end


def _varint(content: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


def _integer(content: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(content, at)
    return (number >> 1) ^ -(number & 1), at


def _value(content: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in {1, 2}:
        return kind == 1, at
    if kind == 3:
        return content[at], at + 1
    if kind == 8:
        length, at = _varint(content, at)
        return content[at : at + length], at + length
    readers = {4: _integer, 5: _integer, 6: _integer, 9: _list, 12: read_struct}
    return readers[kind](content, at)


def _list(content: bytes, at: int) -> tuple[list[Any], int]:
    count, kind = divmod(content[at], 16)
    at += 1
    if count == 15:
        count, at = _varint(content, at)
    values: list[Any] = []
    for _ in range(count):
        if kind in {1, 2}:
            # As an item, a bool is a byte.
            value, at = content[at] == 1, at + 1
        else:
            value, at = _value(content, at, kind)
        values.append(value)
    return values, at


def read_struct(content: bytes, at: int) -> tuple[Fields, int]:
    """A struct at a position, and where it ends."""
    fields: Fields = {}
    number = 0
    while content[at]:
        step, kind = divmod(content[at], 16)
        at += 1
        if step:
            number += step
        else:
            number, at = _integer(content, at)
        fields[number], at = _value(content, at, kind)
    return fields, at + 1
