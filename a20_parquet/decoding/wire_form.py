"""What records of one form have in common, learnt by walking the protobuf wire format.

The bytes of two records may differ only in what they hold (a filename, a number, floats) while all
tags and lengths around that are the same, at the same places. Then one walk serves both.

Source: tensorflow/core/framework/tensor.proto and tensor_shape.proto.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from a20_parquet.decoding.example import (
    EMBEDDING,
    EMBEDDING_SHAPE,
    FILENAME,
    KNOWN,
    LISTS,
    OLD_TIMESTAMP,
    TIMESTAMP,
    other_names,
)
from a20_parquet.decoding.tensors import with_channels
from a20_parquet.decoding.wire_lists import (
    BYTES,
    FLOAT_BYTES,
    FLOATS,
    INTEGERS,
    LIST_NUMBERS,
    ListPlace,
    Part,
    Place,
    UnknownError,
    WireList,
    find_list,
    walk_lists,
)
from a20_parquet.tfrecord.records import Buffer
from a20_parquet.windows.feature_kinds import FeatureKind
from a20_parquet.windows.schema import Feature

_EMBEDDING_RANKS, _FEATURE_RANKS = (2, 3), (1, 2, 3)
# Little-endian, by their numbers in TensorFlow's DataType.
_DTYPES: dict[int, Any] = {1: np.dtype("<f4"), 19: np.dtype("<f2")}
_REQUIRED = {FILENAME, TIMESTAMP, EMBEDDING}
_MOST_FORMS_A_LENGTH = 64
_MOST_LENGTHS = 4096


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
    features: tuple[TensorPlace | ListPlace | None, ...]
    """The further features that are wanted, none where the records lack them."""
    other_features: frozenset[str]
    """Names of features that are neither known nor wanted."""


class KnownForms:
    """Forms by the length of their records; any number of threads may use one object."""

    def __init__(self, wanted: Sequence[Feature]) -> None:
        """Begin without any.

        Args:
            wanted: further features that are decoded.
        """
        self._wanted = tuple(wanted)
        # Tuples are replaced, never changed: threads may look at them meanwhile.
        self._forms: dict[int, tuple[RecordForm, ...]] = {}

    def find(self, payload: Buffer) -> RecordForm | None:
        """Return the form of a record; None if the record is not wholly understood."""
        known = self._forms.get(len(payload), ())
        for form in known:
            for first, stop, content in form.fixed:
                if payload[first:stop] != content:
                    break
            else:
                return form
        return self._learn(bytes(payload), known)

    def _learn(self, payload: bytes, known: tuple[RecordForm, ...]) -> RecordForm | None:
        form = learn_form(payload, self._wanted)
        if form is not None and len(known) < _MOST_FORMS_A_LENGTH:
            if len(self._forms) >= _MOST_LENGTHS:
                self._forms.clear()
            self._forms[len(payload)] = (*known, form)
        return form


def learn_form(payload: bytes, wanted: tuple[Feature, ...]) -> RecordForm | None:
    """Walk a serialized ``tf.train.Example``; none where it is not wholly understood.

    Args:
        payload: of a record.
        wanted: further features to decode.
    """
    try:
        return _learn(payload, wanted)
    except UnknownError:
        return None


def _learn(payload: bytes, wanted: tuple[Feature, ...]) -> RecordForm:
    features = walk_lists(payload)
    names = tuple(feature.name for feature in wanted)
    if not features.keys() >= _REQUIRED or OLD_TIMESTAMP in features or KNOWN & set(names):
        raise UnknownError
    filename = features[FILENAME].only(BYTES)
    timestamp = features[TIMESTAMP].only(FLOATS)
    embedding = _tensor(features[EMBEDDING].only(BYTES), _EMBEDDING_RANKS)
    embedding = replace(embedding, shape=with_channels(embedding.shape))
    further = tuple(
        _wanted(features[feature.name], feature) if feature.name in features else None
        for feature in wanted
    )
    others = [features[name] for name in features.keys() - KNOWN - set(names)]
    # Where an integer ends only its own bytes tell.
    loose = [value for other in others if other.kind != INTEGERS for value in other.values]
    if timestamp.size != FLOAT_BYTES:
        raise UnknownError
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


def _wanted(found: "WireList", feature: Feature) -> TensorPlace | ListPlace | None:
    if feature.kind is FeatureKind.TENSOR:
        return _tensor(found.only(BYTES), _FEATURE_RANKS)
    return find_list(found, LIST_NUMBERS[LISTS[feature.kind]])


def _claims_another(features: Mapping[str, "WireList"], shape: tuple[int, ...]) -> bool:
    if EMBEDDING_SHAPE not in features:
        return False
    return with_channels(features[EMBEDDING_SHAPE].only(INTEGERS).integers()) != shape


def _between(holes: Iterable[Place], payload: bytes) -> Iterator[tuple[int, int, bytes]]:
    """What lies around and between places that may differ."""
    bounds = [(0, 0), *sorted(holes), (len(payload), len(payload))]
    for (_, start), (stop, _) in pairwise(bounds):
        if start < stop:
            yield start, stop, payload[start:stop]


def _tensor(proto: Part, ranks: tuple[int, ...]) -> TensorPlace:
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
        raise UnknownError
    if content.size != math.prod(shape) * dtype.itemsize:
        raise UnknownError
    return TensorPlace(content.at, content.stop, tuple(shape), dtype)
