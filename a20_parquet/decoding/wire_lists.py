"""Walks the protobuf wire format of a record to the lists of its features.

It accepts only the form in which TensorFlow and protobuf write records.

Source: protobuf.dev/programming-guides/encoding; the messages are tensorflow/core/example/
example.proto and feature.proto.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from a20_parquet.decoding.example import BYTES_LIST, FLOAT_LIST, INT64_LIST, as_objects
from a20_parquet.tfrecord.records import Buffer
from a20_parquet.windows.records import FeatureValues

BYTES, FLOATS, INTEGERS = 1, 2, 3
"""Field numbers of the lists of a ``Feature``."""
LIST_NUMBERS = {BYTES_LIST: BYTES, FLOAT_LIST: FLOATS, INT64_LIST: INTEGERS}
_NAMES = {number: name for name, number in LIST_NUMBERS.items()}
FLOAT_BYTES = 4
_VARINT, _LENGTH_DELIMITED = 0, 2
_BITS_A_BYTE = 7
_MOST_BITS = 63
# Any 64-bit integers: the last byte of each lacks the eighth bit.
_VARINTS = re.compile(rb"(?:[\x80-\xff]{0,8}[\x00-\x7f]|[\x80-\xff]{9}\x01)*")

Span = tuple[int, int]
"""Start and stop in the payload, in bytes."""


class UnknownError(Exception):
    """A record whose form is not known for certain."""


class Part:
    """The bytes of a payload that are still to be read, from ``at`` to ``stop``."""

    def __init__(self, payload: bytes, at: int, stop: int) -> None:
        self.at = at
        self.stop = stop
        self._payload = payload

    @property
    def size(self) -> int:
        """Bytes left."""
        return self.stop - self.at

    @property
    def span(self) -> Span:
        """Where they are."""
        return self.at, self.stop

    @property
    def content(self) -> bytes:
        """A copy of them."""
        return self._payload[self.at : self.stop]

    def next_is(self, tag: int) -> bool:
        """Whether the field with this tag is next; the tag of a field below 16 is one byte."""
        return self.at < self.stop and self._payload[self.at] == tag

    def part(self, number: int) -> "Part":
        """Read a field of bytes, or of a message."""
        if not self.next_is(number << 3 | _LENGTH_DELIMITED):
            raise UnknownError
        self.at += 1
        size = self._varint()
        taken = Part(self._payload, self.at, self.at + size)
        if taken.stop > self.stop:
            raise UnknownError
        self.at = taken.stop
        return taken

    def integer(self, number: int) -> int:
        """Read a field of a non-negative integer."""
        if not self.next_is(number << 3 | _VARINT):
            raise UnknownError
        self.at += 1
        return self._varint()

    def integers(self) -> tuple[int, ...]:
        """Read non-negative integers to the end."""
        found = []
        while self.size:
            found.append(self._varint())
        return tuple(found)

    def end(self) -> None:
        """Raise UnknownError unless all bytes are read."""
        if self.size:
            raise UnknownError

    def _varint(self) -> int:
        value = 0
        for shift in range(0, _MOST_BITS, _BITS_A_BYTE):
            if self.at == self.stop:
                break
            byte = self._payload[self.at]
            self.at += 1
            value |= (byte & 0x7F) << shift
            if byte <= 0x7F:  # noqa: PLR2004 - the last byte lacks the eighth bit
                if byte or not shift:
                    return value
                break  # in more bytes than it needs
        raise UnknownError


class WireList(NamedTuple):
    """The list of a ``Feature``."""

    kind: int
    """``BYTES``, ``FLOATS`` or ``INTEGERS``."""
    values: list[Part]
    """One part per value of bytes; a single part for packed floats or integers."""

    def only(self, kind: int) -> Part:
        """The only part of a list of this kind."""
        if self.kind != kind or len(self.values) != 1:
            raise UnknownError
        return self.values[0]


def walk_lists(payload: bytes) -> dict[str, WireList]:
    """The lists of an ``Example`` by feature name; no name may occur twice."""
    example = Part(payload, 0, len(payload))
    features = example.part(1)
    example.end()
    found: dict[str, WireList] = {}
    while features.size:
        entry = features.part(1)
        name, feature = entry.part(1), entry.part(2)
        entry.end()
        try:
            key = name.content.decode("ascii")
        except UnicodeDecodeError:
            raise UnknownError from None
        if key in found:
            raise UnknownError
        found[key] = _walk_list(feature)
    return found


def _walk_list(feature: Part) -> WireList:
    kinds = (k for k in _NAMES if feature.next_is(k << 3 | _LENGTH_DELIMITED))
    kind = next(kinds, None)
    if kind is None:
        raise UnknownError
    values = feature.part(kind)
    feature.end()
    found = []
    while values.size:
        found.append(values.part(1))
    if kind != BYTES and len(found) > 1:
        raise UnknownError
    for packed in found:
        if kind == FLOATS and packed.size % FLOAT_BYTES:
            raise UnknownError
        if kind == INTEGERS and not _VARINTS.fullmatch(packed.content):
            raise UnknownError
    return WireList(kind, found)


@dataclass(frozen=True, slots=True)
class ListSpan:
    """Positions of a list's values in a record."""

    kind: str
    """``bytes_list``, ``float_list`` or ``int64_list``."""
    spans: tuple[Span, ...]
    """One per value of bytes; a single one for packed floats or integers."""

    def read(self, payload: Buffer) -> FeatureValues | None:
        """Copy the values; None if an integer has more than 64 bits."""
        if self.kind == BYTES_LIST:
            return as_objects(bytes(payload[at:stop]) for at, stop in self.spans)
        ((at, stop),) = self.spans
        packed = bytes(payload[at:stop])
        return np.frombuffer(packed, "<f4") if self.kind == FLOAT_LIST else _integers(packed)


def learn_lists(payload: bytes) -> dict[str, tuple[str, FeatureValues]] | None:
    """Read the kind and values of each feature that has a value; None if the form is unknown."""
    try:
        features = walk_lists(payload)
        found = {name: find_list(part, part.kind) for name, part in features.items()}
    except UnknownError:
        return None
    read = {name: (span.kind, span.read(payload)) for name, span in found.items() if span}
    return {name: (kind, values) for name, (kind, values) in read.items() if values is not None}


def find_list(found: WireList, kind: int) -> ListSpan | None:
    """Locate the values of a list of this kind; None if it has none."""
    # TensorFlow refuses a list of another kind, also an empty one.
    if found.kind != kind:
        raise UnknownError
    # An empty text is a value, packed numbers without bytes are not.
    if not any(found.kind == BYTES or value.size for value in found.values):
        return None
    return ListSpan(_NAMES[kind], tuple(value.span for value in found.values))


def _integers(packed: bytes) -> FeatureValues | None:
    """Unpack integers; None if one has more than 64 bits."""
    if not _VARINTS.fullmatch(packed):
        return None
    values = []
    value = shift = 0
    for byte in packed:
        value |= (byte & 0x7F) << shift
        shift += _BITS_A_BYTE
        if byte <= 0x7F:  # noqa: PLR2004 - the last byte lacks the eighth bit
            values.append(value)
            value = shift = 0
    return np.array(values, np.uint64).view(np.int64)
