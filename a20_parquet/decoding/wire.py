"""The decode stage without TensorFlow: embeddings are views of the records' bytes.

A record of a known form (see ``wire_form``) costs a few comparisons. A new form is walked once;
protobuf decodes records of unknown form (see ``example``).
"""

import struct
from collections.abc import Sequence
from typing import Self

import numpy as np

from a20_parquet.decoding.batch import DecodedRecord, gather, per_row, per_window
from a20_parquet.decoding.example import MAX_TIMESTAMP_S, ProtobufDecoder
from a20_parquet.decoding.large import LARGE_BYTES, reduce
from a20_parquet.decoding.tensors import TensorError
from a20_parquet.decoding.wire_form import KnownForms, TensorSpan
from a20_parquet.decoding.wire_lists import ListSpan
from a20_parquet.tfrecord.records import Buffer, Records
from a20_parquet.windows.records import DecodedRecords, Embedding, FeatureValues
from a20_parquet.windows.schema import Feature

_FLOAT = struct.Struct("<f")


class WireDecoder:
    """Decodes batches of records; several threads may use one object.

    Embeddings are views of the payloads, float32 or float16 as stored, and not aligned.
    """

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        self._wanted = tuple(features)
        self._names = frozenset(feature.name for feature in features)
        self._forms = KnownForms(self._wanted)
        self._protobuf = ProtobufDecoder(self._wanted)

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Feature, ...]]]:
        """Pickle the arguments only: each process learns forms by itself."""
        return type(self), (self._wanted,)

    def decode(self, records: Records) -> DecodedRecords:
        """See ``Decoder.decode``."""
        rate_hz = records.shard.sample_rate_hz
        found = [
            self._decode(payload) or self._protobuf.decode(bytes(payload), rate_hz)
            for payload in map(self._reduced, records.payloads)
        ]
        return gather(records, found, self._wanted)

    def _reduced(self, payload: Buffer) -> Buffer:
        return payload if len(payload) <= LARGE_BYTES else reduce(payload, self._names)

    def _decode(self, payload: Buffer) -> DecodedRecord | None:
        """Decode a record of a known form; None if that or a value cannot be used."""
        form = self._forms.find(payload)
        if form is None:
            return None
        (timestamp_s,) = _FLOAT.unpack_from(payload, form.timestamp)
        # Also for NaN.
        if not abs(timestamp_s) <= MAX_TIMESTAMP_S:
            return None
        first, stop = form.filename
        embedding = _view(payload, form.embedding)
        features: tuple[FeatureValues | None, ...] = ()
        if form.features:
            try:
                features = self._features(payload, form.features, embedding)
            except TensorError:
                return None
        return DecodedRecord(
            bytes(payload[first:stop]),
            timestamp_s,
            embedding,
            form.claims_another_shape,
            features,
            form.other_features,
        )

    def _features(
        self,
        payload: Buffer,
        spans: Sequence[TensorSpan | ListSpan | None],
        embedding: Embedding,
    ) -> tuple[FeatureValues | None, ...]:
        """Copy further features, which are kept until a run is sorted.

        Raises:
            TensorError: one does not fit its column.
        """
        found: list[FeatureValues | None] = []
        for feature, span in zip(self._wanted, spans, strict=True):
            if span is None:
                found.append(None)
            elif isinstance(span, TensorSpan):
                found.append(per_window(_view(payload, span).copy(), embedding))
            else:
                values = span.read(payload)
                if values is None:
                    raise TensorError("it holds an integer of more than 64 bits")
                found.append(per_row(values, feature, embedding))
        return tuple(found)


def _view(payload: Buffer, span: TensorSpan) -> Embedding:
    return np.ndarray(span.shape, span.dtype, payload, span.at)
