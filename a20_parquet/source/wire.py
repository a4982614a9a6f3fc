"""The decode stage without TensorFlow: embeddings are used where they lie in a record.

A record of a form that is known (see ``record_form``) costs a few comparisons. One of another form
is walked once, and whatever is not wholly understood goes to the TensorFlow stage, which is only
then imported: it alone decides what can't be used, and why.
"""

import logging
import struct
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Self

import numpy as np

from a20_parquet.source.decode import DecodedRecord, gather, per_row, per_window
from a20_parquet.source.example import MAX_TIMESTAMP_S, RejectedError
from a20_parquet.source.record_form import ListPlace, RecordForm, TensorPlace, learn_form
from a20_parquet.source.records import Buffer, Records
from a20_parquet.source.tensors import TensorError
from a20_parquet.table.decoded import DecodedRecords, Embedding, FeatureValues
from a20_parquet.table.schema import Feature

if TYPE_CHECKING:
    from a20_parquet.source.tensorflow_decoder import TensorFlowDecoder

_LOGGER = logging.getLogger(__name__)
_FLOAT = struct.Struct("<f")
_MOST_FORMS_A_LENGTH = 64
_MOST_LENGTHS = 4096


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
        # Tuples are replaced, never changed: threads may look at them meanwhile.
        self._forms: dict[int, tuple[RecordForm, ...]] = {}
        self._other: TensorFlowDecoder | None = None
        self._lock = Lock()

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Feature, ...]]]:
        """Made anew in another process, which learns forms by itself."""
        return type(self), (self._wanted,)

    def decode(self, records: Records) -> DecodedRecords:
        """See ``Decoder.decode``."""
        found = [self._decode(payload) for payload in records.payloads]
        unknown = [index for index, item in enumerate(found) if item is None]
        if unknown:
            payloads = [bytes(records.payloads[index]) for index in unknown]
            rate_hz = records.shard.sample_rate_hz
            others = self._tensorflow().decode_payloads(payloads, rate_hz)
            for index, other in zip(unknown, others, strict=True):
                found[index] = other
        return gather(records, [item for item in found if item is not None], self._wanted)

    def _tensorflow(self) -> "TensorFlowDecoder":
        with self._lock:
            if self._other is None:
                from a20_parquet.source.tensorflow_decoder import TensorFlowDecoder

                _LOGGER.info("records of another form than Perch writes: TensorFlow decodes these")
                self._other = TensorFlowDecoder(self._wanted)
            return self._other

    def _decode(self, payload: Buffer) -> DecodedRecord | RejectedError | None:
        """Decode one record; none where TensorFlow should."""
        form = self._form(payload)
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

    def _form(self, payload: Buffer) -> RecordForm | None:
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


def _view(payload: Buffer, place: TensorPlace) -> Embedding:
    """The tensor's floats where they lie."""
    return np.ndarray(place.shape, place.dtype, payload, place.at)
