"""The decode stage without TensorFlow: embeddings are views of the records' bytes.

A record of a known form (see ``wire_form``) costs a few comparisons. A new form is walked once;
protobuf decodes records of unknown form (see ``example``).
"""

import struct
from collections.abc import Iterable, Sequence

import numpy as np

from a20_parquet.decoding.batch import DecodedRecord, per_row, per_window
from a20_parquet.decoding.example import MAX_TIMESTAMP_S
from a20_parquet.decoding.tensors import TensorError
from a20_parquet.decoding.wire_form import FormDecoder, TensorSpan
from a20_parquet.decoding.wire_lists import ListSpan
from a20_parquet.tfrecord.records import Buffer
from a20_parquet.windows.records import Embedding, FeatureValues

_FLOAT = struct.Struct("<f")


class WireDecoder(FormDecoder):
    """Decodes batches of records; several threads may use one object.

    Embeddings are views of the payloads, float32 or float16 as stored, and not aligned.
    """

    def _decode_known(self, payloads: Sequence[Buffer]) -> Iterable[DecodedRecord | None]:
        return map(self._decode, payloads)

    def _decode(self, payload: Buffer) -> DecodedRecord | None:
        """Decode a record of a known form; None if that or a value cannot be used."""
        form = self._find_form(payload)
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
            form.embedding.at,
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
