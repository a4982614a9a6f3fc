"""What records of one form have in common, learnt by walking the protobuf wire format.

The bytes of two records may differ only in what they hold (a filename, a number, floats) while all
tags and lengths around that are the same, at the same places. Then one walk serves both. A walk
takes only what it knows for certain, in the form in which TensorFlow and protobuf write it.

Source: protobuf.dev/programming-guides/encoding; the messages are tensorflow/core/example/
example.proto, feature.proto and tensorflow/core/framework/tensor.proto, tensor_shape.proto.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from a20_parquet.source.example import (
    EMBEDDING,
    EMBEDDING_SHAPE,
    FILENAME,
    KNOWN,
    OLD_TIMESTAMP,
    TIMESTAMP,
    other_names,
)

_VARINT, _LENGTH_DELIMITED = 0, 2
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3
_EMBEDDING_RANKS, _FEATURE_RANKS = (3,), (2, 3)
_FLOAT_BYTES = 4
# Little-endian, by their numbers in TensorFlow's DataType.
_DTYPES: dict[int, Any] = {1: np.dtype("<f4"), 19: np.dtype("<f2")}
_BITS_A_BYTE = 7
_MOST_BITS = 63
_REQUIRED = {FILENAME, TIMESTAMP, EMBEDDING}
# Any 64-bit integers: the last byte of each lacks the eighth bit.
_VARINTS = re.compile(rb"(?:[\x80-\xff]{0,8}[\x00-\x7f]|[\x80-\xff]{9}\x01)*")

_Place = tuple[int, int]
"""First byte in the payload, and the byte behind the last one."""


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """Where the floats of a tensor lie in a record."""

    at: int
    """First byte, in the payload."""
    stop: int
    """The byte behind the last one."""
    shape: tuple[int, ...]
    dtype: Any
    """A ``numpy.dtype``: little-endian float32 or float16."""


@dataclass(frozen=True, slots=True)
class RecordForm:
    """All that records of one length and form have in common; places are bytes in the payload."""

    fixed: tuple[tuple[int, int, bytes], ...]
    """What is the same in each: first place, place behind the last, and the bytes there."""
    filename: tuple[int, int]
    """First place of the filename, and the place behind its last."""
    timestamp: int
    """Of the little-endian float32 ``timestamp_s``."""
    embedding: TensorPlace
    """Shape ``(windows, channels, dims)``."""
    claims_another_shape: bool
    """Whether ``embedding_shape`` is not the tensor's."""
    features: tuple[TensorPlace | None, ...]
    """The further features that are wanted, none where the records lack them."""
    other_features: frozenset[str]
    """Names of features that are neither known nor wanted."""


class _UnknownError(Exception):
    """A record that is in no form that is known for certain."""


def learn_form(payload: bytes, wanted: tuple[str, ...]) -> RecordForm | None:
    """Walk a serialized ``tf.train.Example``; none where it is not wholly understood.

    Args:
        payload: of a record.
        wanted: names of further features that hold a tensor each.
    """
    try:
        return _learn(payload, wanted)
    except _UnknownError:
        return None


def _learn(payload: bytes, wanted: tuple[str, ...]) -> RecordForm:
    features = _features(payload)
    if not features.keys() >= _REQUIRED or OLD_TIMESTAMP in features or KNOWN & set(wanted):
        raise _UnknownError
    filename = features[FILENAME].only(_BYTES)
    timestamp = features[TIMESTAMP].only(_FLOATS)
    embedding = _tensor(features[EMBEDDING].only(_BYTES), _EMBEDDING_RANKS)
    tensors = {
        name: _tensor(features[name].only(_BYTES), _FEATURE_RANKS)
        for name in wanted
        if name in features
    }
    others = [features[name] for name in features.keys() - KNOWN - set(wanted)]
    # Where an integer ends only its own bytes tell.
    loose = [value for other in others if other.kind != _INTEGERS for value in other.values]
    if timestamp.size != _FLOAT_BYTES:
        raise _UnknownError
    places = [part.place for part in (filename, timestamp, *loose)]
    places += [(tensor.at, tensor.stop) for tensor in (embedding, *tensors.values())]
    return RecordForm(
        fixed=tuple(_between(places, payload)),
        filename=filename.place,
        timestamp=timestamp.at,
        embedding=embedding,
        claims_another_shape=_claimed_shape(features, embedding.shape) != embedding.shape,
        features=tuple(tensors.get(name) for name in wanted),
        other_features=other_names(features, wanted),
    )


def _claimed_shape(
    features: Mapping[str, "_Feature"], otherwise: tuple[int, ...]
) -> tuple[int, ...]:
    if EMBEDDING_SHAPE not in features:
        return otherwise
    claimed = features[EMBEDDING_SHAPE].only(_INTEGERS).integers()
    if len(claimed) != len(otherwise):
        # TensorFlow's own parser takes no other number of them.
        raise _UnknownError
    return claimed


def _between(holes: Iterable[_Place], payload: bytes) -> Iterator[tuple[int, int, bytes]]:
    """What lies around and between places that may differ."""
    bounds = [(0, 0), *sorted(holes), (len(payload), len(payload))]
    for (_, start), (stop, _) in pairwise(bounds):
        if start < stop:
            yield start, stop, payload[start:stop]


class _Part:
    """A part of a payload, walked from its start to its end."""

    def __init__(self, payload: bytes, at: int, stop: int) -> None:
        self.at = at
        self.stop = stop
        self._payload = payload

    @property
    def size(self) -> int:
        """Bytes that are left."""
        return self.stop - self.at

    @property
    def place(self) -> _Place:
        """Where that lies."""
        return self.at, self.stop

    @property
    def content(self) -> bytes:
        """What is left."""
        return self._payload[self.at : self.stop]

    def next_is(self, tag: int) -> bool:
        """Whether the field with this tag comes next; below number 16 a tag is one byte."""
        return self.at < self.stop and self._payload[self.at] == tag

    def part(self, number: int) -> "_Part":
        """Take a field of bytes, or of a message."""
        if not self.next_is(number << 3 | _LENGTH_DELIMITED):
            raise _UnknownError
        self.at += 1
        size = self._varint()
        taken = _Part(self._payload, self.at, self.at + size)
        if taken.stop > self.stop:
            raise _UnknownError
        self.at = taken.stop
        return taken

    def integer(self, number: int) -> int:
        """Take a field of a non-negative integer."""
        if not self.next_is(number << 3 | _VARINT):
            raise _UnknownError
        self.at += 1
        return self._varint()

    def integers(self) -> tuple[int, ...]:
        """Take non-negative integers, to the end."""
        found = []
        while self.size:
            found.append(self._varint())
        return tuple(found)

    def end(self) -> None:
        """Make sure that all is taken."""
        if self.size:
            raise _UnknownError

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
        raise _UnknownError


class _Feature(NamedTuple):
    """A ``Feature`` and what its list holds."""

    kind: int
    """Number of the list's field: ``_BYTES``, ``_FLOATS`` or ``_INTEGERS``."""
    values: list[_Part]
    """Each of the bytes; all floats or all integers in one, packed."""

    def only(self, kind: int) -> _Part:
        """The one value, or packed values, of a list that must be of this kind."""
        if self.kind != kind or len(self.values) != 1:
            raise _UnknownError
        return self.values[0]


def _features(payload: bytes) -> dict[str, _Feature]:
    """The features of an ``Example`` by name, each there once."""
    example = _Part(payload, 0, len(payload))
    features = example.part(1)
    example.end()
    found: dict[str, _Feature] = {}
    while features.size:
        entry = features.part(1)
        name, feature = entry.part(1), entry.part(2)
        entry.end()
        try:
            key = name.content.decode("ascii")
        except UnicodeDecodeError:
            raise _UnknownError from None
        if key in found:
            raise _UnknownError
        found[key] = _feature(feature)
    return found


def _feature(feature: _Part) -> _Feature:
    kinds = [k for k in (_BYTES, _FLOATS, _INTEGERS) if feature.next_is(k << 3 | _LENGTH_DELIMITED)]
    if not kinds:
        raise _UnknownError
    (kind,) = kinds
    values = feature.part(kind)
    feature.end()
    found = []
    while values.size:
        found.append(values.part(1))
    if kind != _BYTES and len(found) > 1:
        raise _UnknownError
    for packed in found:
        if kind == _FLOATS and packed.size % _FLOAT_BYTES:
            raise _UnknownError
        if kind == _INTEGERS and not _VARINTS.fullmatch(packed.content):
            raise _UnknownError
    return _Feature(kind, found)


def _tensor(proto: _Part, ranks: tuple[int, ...]) -> TensorPlace:
    """Where the content of a ``TensorProto`` lies that has nothing but dtype, shape and content."""
    dtype = _DTYPES.get(proto.integer(1))
    dims, content = proto.part(2), proto.part(4)
    proto.end()
    shape = []
    while dims.size:
        dim = dims.part(2)
        shape.append(dim.integer(1))
        dim.end()
    if dtype is None or len(shape) not in ranks or not content.size:
        raise _UnknownError
    if content.size != math.prod(shape) * dtype.itemsize:
        raise _UnknownError
    return TensorPlace(content.at, content.stop, tuple(shape), dtype)
