"""The decode stage without TensorFlow: embeddings are used where they lie in a record.

A record of a form that is known (see ``record_form``) costs a few comparisons. One of another form
is walked once, and whatever is not wholly understood is taken apart by protobuf (see ``exact``).
"""

import struct
from collections.abc import Sequence
from typing import Self

import numpy as np

from a20_parquet.decoding.batch import DecodedRecord, gather, per_row, per_window
from a20_parquet.decoding.exact import ExactDecoder
from a20_parquet.decoding.example import MAX_TIMESTAMP_S
from a20_parquet.decoding.large import LARGE_BYTES, reduce
from a20_parquet.decoding.tensors import TensorError
from a20_parquet.decoding.wire_form import KnownForms, TensorPlace
from a20_parquet.decoding.wire_lists import ListPlace
from a20_parquet.tfrecord.records import Buffer, Records
from a20_parquet.windows.records import DecodedRecords, Embedding, FeatureValues
from a20_parquet.windows.schema import Feature

_FLOAT = struct.Struct("<f")


class WireDecoder:
    """Decodes batches of records; one object may serve several threads.

    Embeddings are views of the payloads, float32 or float16 as stored, and not aligned.
    """

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        """Prepare to decode.

        Args:
            features: further features to decode.
        """
        self._wanted = tuple(features)
        self._names = frozenset(feature.name for feature in features)
        self._forms = KnownForms(self._wanted)
        self._exact = ExactDecoder(self._wanted)

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Feature, ...]]]:
        """Made anew in another process, which learns forms by itself."""
        return type(self), (self._wanted,)

    def decode(self, records: Records) -> DecodedRecords:
        """See ``Decoder.decode``."""
        rate_hz = records.shard.sample_rate_hz
        found = [
            self._decode(payload) or self._exact.decode(bytes(payload), rate_hz)
            for payload in map(self._reduced, records.payloads)
        ]
        return gather(records, found, self._wanted)

    def _reduced(self, payload: Buffer) -> Buffer:
        return payload if len(payload) <= LARGE_BYTES else reduce(payload, self._names)

    def _decode(self, payload: Buffer) -> DecodedRecord | None:
        """Decode a record of a form that is known; None if it is of none, or can't be used."""
        form = self._forms.find(payload)
        if form is None:
            return None
        (timestamp_s,) = _FLOAT.unpack_from(payload, form.timestamp)
        # Also where it is no number.
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
        places: Sequence[TensorPlace | ListPlace | None],
        embedding: Embedding,
    ) -> tuple[FeatureValues | None, ...]:
        """Further features, in copies: they are kept until a run is sorted.

        Raises:
            TensorError: one is not as its column needs it.
        """
        found: list[FeatureValues | None] = []
        for feature, place in zip(self._wanted, places, strict=True):
            if place is None:
                found.append(None)
            elif isinstance(place, TensorPlace):
                found.append(per_window(_view(payload, place).copy(), embedding))
            else:
                values = place.read(payload)
                if values is None:
                    raise TensorError("it holds an integer of more than 64 bits")
                found.append(per_row(values, feature, embedding))
        return tuple(found)


def _view(payload: Buffer, place: TensorPlace) -> Embedding:
    """The tensor's floats where they lie."""
    return np.ndarray(place.shape, place.dtype, payload, place.at)
