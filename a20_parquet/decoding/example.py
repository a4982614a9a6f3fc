"""Decodes one record with protobuf: its values, or exactly why it cannot be used.

Source: tensorflow/core/example/example.proto and feature.proto. A feature without a value counts as
absent, as in TensorFlow.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from a20_parquet.decoding.batch import DecodedRecord, RejectedError, per_row, per_window
from a20_parquet.decoding.messages import load_messages, packed_floats, parse_message
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
from a20_parquet.windows.schema import Feature, FeatureKind

_LOGGER = logging.getLogger(__name__)
MAX_TIMESTAMP_S = 1e9
TIMESTAMP, OLD_TIMESTAMP = "timestamp_s", "timestamp_offset"
FILENAME, EMBEDDING, EMBEDDING_SHAPE = "filename", "embedding", "embedding_shape"
KNOWN = frozenset({TIMESTAMP, OLD_TIMESTAMP, FILENAME, EMBEDDING, EMBEDDING_SHAPE})
_SHAPE_SUFFIX = "_shape"
BYTES_LIST, FLOAT_LIST, INT64_LIST = "bytes_list", "float_list", "int64_list"
LISTS = {
    FeatureKind.TENSOR: BYTES_LIST,
    FeatureKind.FLOAT: FLOAT_LIST,
    FeatureKind.INT64: INT64_LIST,
    FeatureKind.STRING: BYTES_LIST,
    FeatureKind.BINARY: BYTES_LIST,
}
"""The list of a ``Feature`` that each kind is stored in."""

_Features = Mapping[str, Any]
"""``Feature`` messages of a record, by name."""


class ProtobufDecoder:
    """Decodes records one by one, without TensorFlow; several threads may use one object.

    It makes no TensorFlow call that can fail: errors that TensorFlow raises in two threads at once
    can deadlock.
    """

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        self._wanted = tuple(features)
        self._names = tuple(feature.name for feature in features)
        self._is_used = False

    def decode(self, payload: bytes, rate_hz: float | None) -> DecodedRecord | RejectedError:
        """Decode a payload, which may be any bytes, or return why it cannot be used.

        ``rate_hz`` is the sample rate of the recording, None if unknown.
        """
        if not self._is_used:
            self._is_used = True
            _LOGGER.info("records of another form than Perch writes: protobuf decodes these")
        try:
            return self._decode(_parse(payload), rate_hz)
        except RejectedError as error:
            # The traceback and the context would keep the batch in memory.
            error.__context__ = None
            return error.with_traceback(None)

    def _decode(self, features: _Features, rate_hz: float | None) -> DecodedRecord:
        in_samples = _kind(features, TIMESTAMP) is None and _kind(features, OLD_TIMESTAMP)
        stamp = (OLD_TIMESTAMP, INT64_LIST) if in_samples else (TIMESTAMP, FLOAT_LIST)
        timestamp = float(_required(features, *stamp))
        filename = _required(features, FILENAME, BYTES_LIST)
        proto = _required(features, EMBEDDING, BYTES_LIST)
        further = [_further(features, feature) for feature in self._wanted]
        tensor = _tensor(EMBEDDING, proto, EMBEDDING_LAYOUTS, Reason.BAD_TENSOR)
        embedding = tensor.reshape(with_channels(tensor.shape))
        return DecodedRecord(
            features=tuple(
                None if found is None else _widen(feature, found, embedding)
                for feature, found in zip(self._wanted, further, strict=True)
            ),
            filename=filename,
            timestamp_s=_seconds(timestamp, rate_hz) if in_samples else _checked_s(timestamp),
            embedding=embedding,
            claims_another_shape=_claims_another_shape(features, embedding.shape),
            other_features=other_names(features, self._names),
            floats_at=None,
        )


def list_values(payload: bytes) -> dict[str, tuple[str, FeatureValues]]:
    """Parse all features of a record: the kind of each list and its values, if it has any.

    Raises:
        RejectedError: the payload is no ``tf.train.Example``.
    """
    return {
        name: (kind, values)
        for name, feature in _parse(payload).items()
        if (kind := feature.WhichOneof("kind")) and len(values := _values(feature, kind))
    }


def as_objects(values: Iterable[bytes]) -> FeatureValues:
    """Make an array of bytes; NumPy's own type for bytes drops zeros at the end."""
    found = list(values)
    array = np.empty(len(found), object)
    array[:] = found
    return array


def other_names(found: Iterable[str], wanted: tuple[str, ...]) -> frozenset[str]:
    """Name the features of a record that are neither known nor wanted.

    A feature that gives the shape of another one (``NAME_shape``) does not count.
    """
    names = frozenset(found)
    expected = KNOWN | set(wanted)
    return frozenset(
        name
        for name in names - expected
        if not (
            name.endswith(_SHAPE_SUFFIX) and name.removesuffix(_SHAPE_SUFFIX) in names | expected
        )
    )


def _parse(payload: bytes) -> dict[str, Any]:
    example = parse_message(load_messages().example, payload)
    if example is None:
        raise RejectedError(Reason.NOT_AN_EXAMPLE, "the payload is no tf.train.Example message")
    # A name need not be UTF-8; of two entries with one name the last counts.
    return {
        entry.key.decode(errors="backslashreplace"): entry.value
        for entry in example.features.feature
    }


def _kind(features: _Features, key: str) -> str | None:
    return features[key].WhichOneof("kind") if key in features else None


def _required(features: _Features, key: str, kind: str) -> Any:
    if key not in features:
        found = ", ".join(sorted(features)) or "none"
        raise RejectedError(Reason.BAD_FEATURE, f"it has no feature {key!r} (it has: {found})")
    _check_kind(key, _kind(features, key) or "feature without a value", kind)
    values = getattr(features[key], kind).value
    if len(values) != 1:
        message = f"feature {key!r} has {len(values)} values, expected one"
        raise RejectedError(Reason.BAD_FEATURE, message)
    return values[0]


def _further(features: _Features, feature: Feature) -> bytes | FeatureValues | None:
    """A serialized tensor, or the values of a list; None if the record lacks the feature."""
    found = _kind(features, feature.name)
    if found is None:
        return None
    expected = LISTS[feature.kind]
    if feature.kind is FeatureKind.TENSOR:
        proto: bytes = _required(features, feature.name, expected)
        return proto
    values = _values(features[feature.name], found)
    if not len(values):
        return None
    _check_kind(feature.name, found, expected)
    return values


def _check_kind(key: str, found: str, expected: str) -> None:
    if found != expected:
        message = f"feature {key!r} is a {found}, expected a {expected}"
        raise RejectedError(Reason.BAD_FEATURE, message)


def _values(feature: Any, kind: str) -> FeatureValues:
    values = getattr(feature, kind).value
    if kind == BYTES_LIST:
        return as_objects(values)
    if kind == INT64_LIST:
        return np.array(values, np.int64)
    return np.frombuffer(packed_floats(feature.float_list, "value"), "<f4").copy()


def _widen(feature: Feature, found: bytes | FeatureValues, embedding: Embedding) -> FeatureValues:
    try:
        if isinstance(found, bytes):
            tensor = _tensor(feature.name, found, FEATURE_LAYOUTS, Reason.BAD_FEATURE)
            return per_window(tensor, embedding)
        return per_row(found, feature, embedding)
    except TensorError as error:
        raise _unusable(feature.name, error, Reason.BAD_FEATURE) from None


def _tensor(name: str, proto: bytes, layouts: tuple[str, ...], bad: Reason) -> Embedding:
    try:
        return decode_tensor(proto, layouts)
    except NoTensorError:
        raise RejectedError(bad, f"feature {name!r} is no serialized TensorProto") from None
    except TensorError as error:
        raise _unusable(name, error, bad) from None


def _unusable(name: str, error: TensorError, bad: Reason) -> RejectedError:
    return RejectedError(bad, f"feature {name!r} can't be used: {error}")


def _claims_another_shape(features: _Features, shape: tuple[int, ...]) -> bool:
    """Whether ``embedding_shape`` has a value that is not the tensor's shape."""
    kind = _kind(features, EMBEDDING_SHAPE)
    if kind != INT64_LIST:
        return kind is not None
    claimed = tuple(features[EMBEDDING_SHAPE].int64_list.value)
    return bool(claimed) and with_channels(claimed) != shape


def _seconds(samples: float, rate_hz: float | None) -> float:
    if rate_hz is None:
        raise RejectedError(
            Reason.NO_SAMPLE_RATE,
            f"{OLD_TIMESTAMP} is {samples:.0f} audio samples, and neither --sample-rate "
            "nor a config.json beside the shard tells how many a second has",
        )
    return _checked_s(samples / rate_hz, OLD_TIMESTAMP)


def _checked_s(timestamp_s: float, name: str = TIMESTAMP) -> float:
    # Also refuses NaN.
    if not abs(timestamp_s) <= MAX_TIMESTAMP_S:
        raise RejectedError(
            Reason.BAD_TIMESTAMP,
            f"{name} is {timestamp_s}, expected seconds since the recording's start",
        )
    return timestamp_s
