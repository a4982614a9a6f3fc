"""Forms of records: the bytes that many records share, found by one walk of the wire format.

Two records of one form differ only in values (filename, timestamp, floats). All tags and lengths
are the same at the same positions, so that one walk serves both.

Source: tensorflow/core/framework/tensor.proto and tensor_shape.proto.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np

from a20_parquet.decoding.batch import DecodedRecord, gather
from a20_parquet.decoding.example import (
    EMBEDDING,
    EMBEDDING_SHAPE,
    FILENAME,
    KNOWN,
    LISTS,
    OLD_TIMESTAMP,
    TIMESTAMP,
    ProtobufDecoder,
    other_names,
)
from a20_parquet.decoding.large import LARGE_BYTES, reduce
from a20_parquet.decoding.tensors import with_channels
from a20_parquet.decoding.wire_lists import (
    BYTES,
    FLOAT_BYTES,
    FLOATS,
    INTEGERS,
    LIST_NUMBERS,
    ListSpan,
    Part,
    Span,
    UnknownError,
    WireList,
    find_list,
    walk_lists,
)
from a20_parquet.tfrecord.records import Buffer, Records
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.schema import Feature, FeatureKind

_EMBEDDING_RANKS, _FEATURE_RANKS = (2, 3), (1, 2, 3)
# Little-endian, by their numbers in TensorFlow's DataType.
_DTYPES: dict[int, Any] = {1: np.dtype("<f4"), 19: np.dtype("<f2")}
_REQUIRED = {FILENAME, TIMESTAMP, EMBEDDING}
_MOST_FORMS_A_LENGTH = 64
_MOST_LENGTHS = 4096


@dataclass(frozen=True, slots=True)
class TensorSpan:
    """Position of a tensor's floats in a record, in bytes of the payload."""

    at: int
    stop: int
    shape: tuple[int, ...]
    dtype: Any
    """A ``numpy.dtype``: little-endian float32 or float16."""


@dataclass(frozen=True, slots=True)
class RecordForm:
    """A form that records of one length share; positions are bytes of the payload."""

    fixed: tuple[tuple[int, int, bytes], ...]
    """Start, stop and content of the bytes that never differ."""
    filename: Span
    timestamp: int
    """Position of the little-endian float32 ``timestamp_s``."""
    embedding: TensorSpan
    """Shape ``(windows, channels, dims)``."""
    claims_another_shape: bool
    """Whether ``embedding_shape`` differs from the tensor's shape."""
    features: tuple[TensorSpan | ListSpan | None, ...]
    """The wanted further features; None for one that the records lack."""
    other_features: frozenset[str]
    """Names of features that are neither known nor wanted."""


class FormDecoder(ABC):
    """What both decoders share: protobuf decodes the records that they do not know."""

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        self._wanted = tuple(features)
        self._names = frozenset(feature.name for feature in features)
        # By the length of their records; tuples are replaced, never changed: another thread may be
        # reading them.
        self._forms: dict[int, tuple[RecordForm, ...]] = {}
        self._protobuf = ProtobufDecoder(self._wanted)

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Feature, ...]]]:
        """Pickle the arguments only: each process learns forms by itself."""
        return type(self), (self._wanted,)

    def decode(self, records: Records) -> DecodedRecords:
        """See ``Decoder.decode``."""
        payloads = [
            payload if len(payload) <= LARGE_BYTES else reduce(payload, self._names)
            for payload in records.payloads
        ]
        rate_hz = records.shard.sample_rate_hz
        found = [
            known or self._protobuf.decode(bytes(payload), rate_hz)
            for known, payload in zip(self._decode_known(payloads), payloads, strict=True)
        ]
        for index, payload in enumerate(records.payloads):
            if len(payload) > LARGE_BYTES and isinstance(record := found[index], DecodedRecord):
                # The position is one in the reduced payload.
                found[index] = record._replace(floats_at=None)
        return gather(records, found, self._wanted)

    @abstractmethod
    def _decode_known(self, payloads: Sequence[Buffer]) -> Iterable[DecodedRecord | None]:
        """Decode each record of a known form; None if its form or a value cannot be used."""

    def _find_form(self, payload: Buffer) -> RecordForm | None:
        """Return the form of a record; None if it is unknown."""
        known = self._forms.get(len(payload), ())
        for form in known:
            for first, stop, content in form.fixed:
                if payload[first:stop] != content:
                    break
            else:
                return form
        try:
            form = _learn(bytes(payload), self._wanted)
        except UnknownError:
            return None
        if len(known) < _MOST_FORMS_A_LENGTH:
            if len(self._forms) >= _MOST_LENGTHS:
                self._forms.clear()
            self._forms[len(payload)] = (*known, form)
        return form


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
    # Packed integers stay fixed: their lengths depend on their values.
    loose = [value for other in others if other.kind != INTEGERS for value in other.values]
    if timestamp.size != FLOAT_BYTES:
        raise UnknownError
    spans = [part.span for part in (filename, timestamp, *loose)]
    for found in (embedding, *further):
        if isinstance(found, TensorSpan):
            spans.append((found.at, found.stop))
        elif found is not None:
            spans += found.spans
    return RecordForm(
        fixed=tuple(_between(spans, payload)),
        filename=filename.span,
        timestamp=timestamp.at,
        embedding=embedding,
        claims_another_shape=_claims_another(features, embedding.shape),
        features=further,
        other_features=other_names(features, names),
    )


def _wanted(found: WireList, feature: Feature) -> TensorSpan | ListSpan | None:
    if feature.kind is FeatureKind.TENSOR:
        return _tensor(found.only(BYTES), _FEATURE_RANKS)
    return find_list(found, LIST_NUMBERS[LISTS[feature.kind]])


def _claims_another(features: Mapping[str, WireList], shape: tuple[int, ...]) -> bool:
    if EMBEDDING_SHAPE not in features:
        return False
    return with_channels(features[EMBEDDING_SHAPE].only(INTEGERS).integers()) != shape


def _between(spans: Iterable[Span], payload: bytes) -> Iterator[tuple[int, int, bytes]]:
    """The bytes around and between the spans that may differ."""
    bounds = [(0, 0), *sorted(spans), (len(payload), len(payload))]
    for (_, start), (stop, _) in pairwise(bounds):
        if start < stop:
            yield start, stop, payload[start:stop]


def _tensor(proto: Part, ranks: tuple[int, ...]) -> TensorSpan:
    """Locate the content of a ``TensorProto`` of dtype, shape and content alone."""
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
    return TensorSpan(content.at, content.stop, tuple(shape), dtype)
