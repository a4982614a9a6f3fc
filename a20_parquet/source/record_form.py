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
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from a20_parquet.source.example import (
    BYTES_LIST,
    EMBEDDING,
    EMBEDDING_SHAPE,
    FILENAME,
    FLOAT_LIST,
    INT64_LIST,
    KNOWN,
    LISTS,
    OLD_TIMESTAMP,
    TIMESTAMP,
    as_objects,
    other_names,
)
from a20_parquet.source.records import Buffer
from a20_parquet.source.tensors import with_channels
from a20_parquet.table.decoded import FeatureValues
from a20_parquet.table.schema import Feature, FeatureKind

_VARINT, _LENGTH_DELIMITED = 0, 2
_BYTES, _FLOATS, _INTEGERS = 1, 2, 3
_EMBEDDING_RANKS, _FEATURE_RANKS = (2, 3), (1, 2, 3)
_NAMES = {_BYTES: BYTES_LIST, _FLOATS: FLOAT_LIST, _INTEGERS: INT64_LIST}
_NUMBERS = {name: number for number, name in _NAMES.items()}
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
class ListPlace:
    """Where the values of a list lie in a record."""

    kind: str
    """``bytes_list``, ``float_list`` or ``int64_list``."""
    places: tuple[_Place, ...]
    """Of each of the bytes; of all packed floats or integers in one."""

    def read(self, payload: Buffer) -> FeatureValues | None:
        """Read the values, in a copy; None where one is no integer of 64 bits."""
        if self.kind == BYTES_LIST:
            return as_objects(bytes(payload[at:stop]) for at, stop in self.places)
        ((at, stop),) = self.places
        packed = bytes(payload[at:stop])
        return np.frombuffer(packed, "<f4") if self.kind == FLOAT_LIST else _integers(packed)


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
    features: tuple[TensorPlace | ListPlace | None, ...]
    """The further features that are wanted, none where the records lack them."""
    other_features: frozenset[str]
    """Names of features that are neither known nor wanted."""


class _UnknownError(Exception):
    """A record that is in no form that is known for certain."""


def learn_form(payload: bytes, wanted: tuple[Feature, ...]) -> RecordForm | None:
    """Walk a serialized ``tf.train.Example``; none where it is not wholly understood.

    Args:
        payload: of a record.
        wanted: further features to decode.
    """
    try:
        return _learn(payload, wanted)
    except _UnknownError:
        return None


def learn_lists(payload: bytes) -> dict[str, tuple[str, FeatureValues]] | None:
    """Walk a serialized ``tf.train.Example``; None where it is not wholly understood.

    Returns:
        For each feature that has a value the kind of its list, and the values.
    """
    try:
        features = _features(payload)
        found = {name: _list(part, part.kind) for name, part in features.items()}
    except _UnknownError:
        return None
    read = {name: (place.kind, place.read(payload)) for name, place in found.items() if place}
    return {name: (kind, values) for name, (kind, values) in read.items() if values is not None}


def _learn(payload: bytes, wanted: tuple[Feature, ...]) -> RecordForm:
    features = _features(payload)
    names = tuple(feature.name for feature in wanted)
    if not features.keys() >= _REQUIRED or OLD_TIMESTAMP in features or KNOWN & set(names):
        raise _UnknownError
    filename = features[FILENAME].only(_BYTES)
    timestamp = features[TIMESTAMP].only(_FLOATS)
    embedding = _tensor(features[EMBEDDING].only(_BYTES), _EMBEDDING_RANKS)
    embedding = replace(embedding, shape=with_channels(embedding.shape))
    further = tuple(
        _wanted(features[feature.name], feature) if feature.name in features else None
        for feature in wanted
    )
    others = [features[name] for name in features.keys() - KNOWN - set(names)]
    # Where an integer ends only its own bytes tell.
    loose = [value for other in others if other.kind != _INTEGERS for value in other.values]
    if timestamp.size != _FLOAT_BYTES:
        raise _UnknownError
    places = [part.place for part in (filename, timestamp, *loose)]
    places.append((embedding.at, embedding.stop))
    for place in further:
        if isinstance(place, TensorPlace):
            places.append((place.at, place.stop))
        elif place is not None:
            places += place.places
    return RecordForm(
        fixed=tuple(_between(places, payload)),
        filename=filename.place,
        timestamp=timestamp.at,
        embedding=embedding,
        claims_another_shape=_claims_another(features, embedding.shape),
        features=further,
        other_features=other_names(features, names),
    )


def _wanted(found: "_Feature", feature: Feature) -> TensorPlace | ListPlace | None:
    if feature.kind is FeatureKind.TENSOR:
        return _tensor(found.only(_BYTES), _FEATURE_RANKS)
    return _list(found, _NUMBERS[LISTS[feature.kind]])


def _list(found: "_Feature", kind: int) -> ListPlace | None:
    """Where the values of a list of this kind lie; None where it has none."""
    # TensorFlow refuses a list of another kind, also an empty one.
    if found.kind != kind:
        raise _UnknownError
    # An empty text is a value, packed numbers of no bytes are none.
    if not any(found.kind == _BYTES or value.size for value in found.values):
        return None
    return ListPlace(_NAMES[kind], tuple(value.place for value in found.values))


def _integers(packed: bytes) -> FeatureValues | None:
    """Packed integers; None where these are none."""
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


def _claims_another(features: Mapping[str, "_Feature"], shape: tuple[int, ...]) -> bool:
    if EMBEDDING_SHAPE not in features:
        return False
    return with_channels(features[EMBEDDING_SHAPE].only(_INTEGERS).integers()) != shape


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
