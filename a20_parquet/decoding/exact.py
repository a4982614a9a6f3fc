"""Records that are in no known form: protobuf takes each apart, and tells why it can't be used."""

import logging
from collections.abc import Sequence

from a20_parquet.decoding.batch import DecodedRecord, per_row, per_window
from a20_parquet.decoding.example import RejectedError, other_names, take_apart, to_seconds
from a20_parquet.decoding.tensors import (
    EMBEDDING_LAYOUTS,
    FEATURE_LAYOUTS,
    NoTensorError,
    TensorError,
    decode_tensor,
    with_channels,
)
from a20_parquet.windows.records import Embedding, FeatureValues
from a20_parquet.windows.rejection import Reason
from a20_parquet.windows.schema import Feature

_LOGGER = logging.getLogger(__name__)


class ExactDecoder:
    """Decodes records one by one, without TensorFlow; one object may serve several threads.

    No call into TensorFlow is made here that fails: errors which it raises in two threads at once
    can wait for each other for ever.
    """

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        """Prepare to decode.

        Args:
            features: further features to decode.
        """
        self._wanted = tuple(features)
        self._names = tuple(feature.name for feature in features)
        self._is_used = False

    def decode(self, payload: bytes, rate_hz: float | None) -> DecodedRecord | RejectedError:
        """Decode a record, or return why it can't be used.

        Args:
            payload: the record.
            rate_hz: sample rate of its recording, None if unknown.
        """
        if not self._is_used:
            self._is_used = True
            _LOGGER.info("records of another form than Perch writes: protobuf decodes these")
        try:
            parts = take_apart(payload, self._wanted)
            tensor = _tensor("embedding", parts.embedding, EMBEDDING_LAYOUTS, Reason.BAD_TENSOR)
            embedding = tensor.reshape(with_channels(tensor.shape))
            features = tuple(
                self._feature(feature, found, embedding)
                for feature, found in zip(self._wanted, parts.features, strict=True)
            )
            timestamp_s = to_seconds(parts, rate_hz)
        except RejectedError as error:
            # Where it was raised leads to all that was held then, such as the batch.
            error.__context__ = None
            return error.with_traceback(None)
        return DecodedRecord(
            parts.filename,
            timestamp_s,
            embedding,
            bool(parts.claimed_shape) and with_channels(parts.claimed_shape) != embedding.shape,
            features,
            other_names(parts.names, self._names),
        )

    def _feature(
        self, feature: Feature, found: bytes | FeatureValues | None, embedding: Embedding
    ) -> FeatureValues | None:
        if found is None:
            return None
        try:
            if isinstance(found, bytes):
                tensor = _tensor(feature.name, found, FEATURE_LAYOUTS, Reason.BAD_FEATURE)
                return per_window(tensor, embedding)
            return per_row(found, feature, embedding)
        except TensorError as error:
            message = f"feature {feature.name!r} can't be used: {error}"
            raise RejectedError(Reason.BAD_FEATURE, message) from None


def _tensor(name: str, proto: bytes, layouts: tuple[str, ...], bad: Reason) -> Embedding:
    try:
        return decode_tensor(proto, layouts)
    except NoTensorError:
        raise RejectedError(bad, f"feature {name!r} is no serialized TensorProto") from None
    except TensorError as error:
        raise RejectedError(bad, f"feature {name!r} can't be used: {error}") from None
