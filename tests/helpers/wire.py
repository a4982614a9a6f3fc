"""Protobuf messages, written by hand."""

from typing import Any


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    digits = []
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def field(number: int, content: bytes) -> bytes:
    """A field of bytes: its key, its length and its content."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def features_entry(name: str, feature: Any) -> bytes:
    """One entry of a ``Features`` map."""
    return field(1, field(1, name.encode()) + field(2, feature.SerializeToString()))
