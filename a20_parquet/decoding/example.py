"""One record taken apart by protobuf: what is in it, or exactly why it can't be used.

Source: tensorflow/core/example/example.proto and feature.proto. A feature without a value counts as
absent, as TensorFlow takes it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from a20_parquet.decoding.messages import load_messages, packed_floats, parse_message
from a20_parquet.windows.feature_kinds import FeatureKind
from a20_parquet.windows.records import FeatureValues
from a20_parquet.windows.rejection import Reason
from a20_parquet.windows.schema import Feature

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
"""Which list of a ``Feature`` holds each kind."""


class RejectedError(Exception):
    """A record that can't be used."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class ExampleParts:
    """What a record holds, its tensors still serialized."""

    filename: bytes
    embedding: bytes
    timestamp: float
    """From the start of the recording to the start of the record; any number, not checked."""
    is_in_samples: bool
    """Whether that counts audio samples, as older writers do; else seconds."""
    claimed_shape: tuple[int, ...]
    """What ``embedding_shape`` says; empty where that is nothing, ``(-1,)`` where it is no list of
    integers."""
    features: tuple[bytes | FeatureValues | None, ...]
    """The further features that are wanted: a serialized tensor, or a list's values; None where
    the record lacks them."""
    names: tuple[str, ...]
    """Of all features."""


def take_apart(payload: bytes, wanted: tuple[Feature, ...]) -> ExampleParts:
    """Parse a serialized ``tf.train.Example``.

    Raises:
        RejectedError: it is none, or lacks what a record must have.
    """
    features = _parse(payload)
    if features is None:
        raise RejectedError(Reason.NOT_AN_EXAMPLE, "the payload is no tf.train.Example message")
    is_in_samples = (
        _kind(features, TIMESTAMP) is None and _kind(features, OLD_TIMESTAMP) is not None
    )
    stamp = (OLD_TIMESTAMP, INT64_LIST) if is_in_samples else (TIMESTAMP, FLOAT_LIST)
    timestamp = float(_required(features, *stamp))
    filename = _required(features, FILENAME, "bytes_list")
    embedding = _required(features, EMBEDDING, "bytes_list")
    kind = _kind(features, EMBEDDING_SHAPE)
    claimed_shape: tuple[int, ...] = () if kind is None else (-1,)
    if kind == "int64_list":
        claimed_shape = tuple(features[EMBEDDING_SHAPE].int64_list.value)
    further = tuple(_further(features, feature) for feature in wanted)
    return ExampleParts(
        filename, embedding, timestamp, is_in_samples, claimed_shape, further, tuple(features)
    )


def to_seconds(parts: ExampleParts, sample_rate_hz: float | None) -> float:
    """Return the seconds from the start of the recording to the start of the record.

    Args:
        parts: of the record.
        sample_rate_hz: of its recording, None if unknown.

    Raises:
        RejectedError: they are no number, infinite or more than any recording has, or the sample
            rate is needed and unknown.
    """
    if not parts.is_in_samples:
        name, timestamp_s = TIMESTAMP, parts.timestamp
    elif sample_rate_hz is None:
        raise RejectedError(
            Reason.NO_SAMPLE_RATE,
            f"{OLD_TIMESTAMP} is {parts.timestamp:.0f} audio samples, and neither --sample-rate "
            "nor a config.json beside the shard tells how many a second has",
        )
    else:
        name, timestamp_s = OLD_TIMESTAMP, parts.timestamp / sample_rate_hz
    if not abs(timestamp_s) <= MAX_TIMESTAMP_S:
        raise RejectedError(
            Reason.BAD_TIMESTAMP,
            f"{name} is {timestamp_s}, expected seconds since the recording's start",
        )
    return timestamp_s


def list_values(payload: bytes) -> dict[str, tuple[str, FeatureValues]]:
    """Parse all features of a record: the kind of each list and its values, if it has any.

    Raises:
        RejectedError: the payload is no ``tf.train.Example``.
    """
    features = _parse(payload)
    if features is None:
        raise RejectedError(Reason.NOT_AN_EXAMPLE, "the payload is no tf.train.Example message")
    return {
        name: (kind, values)
        for name, feature in features.items()
        if (kind := feature.WhichOneof("kind")) and len(values := _values(feature, kind))
    }


def as_objects(values: Iterable[bytes]) -> FeatureValues:
    """Make an array of bytes; numpy's own type for them drops zeros at the end."""
    found = list(values)
    array = np.empty(len(found), object)
    array[:] = found
    return array


def other_names(found: Iterable[str], wanted: tuple[str, ...]) -> frozenset[str]:
    """Name those of a record's features that are neither known nor wanted.

    What tells the shape of another feature, by name, is none of its own.
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


def _parse(payload: bytes) -> dict[str, Any] | None:
    """The features of a record by name; None if it is no ``tf.train.Example``."""
    example = parse_message(load_messages().example, payload)
    if example is None:
        return None
    # A name need not be text; of two entries of one name the last counts.
    return {
        entry.key.decode(errors="backslashreplace"): entry.value
        for entry in example.features.feature
    }


def _kind(features: dict[str, Any], key: str) -> str | None:
    return features[key].WhichOneof("kind") if key in features else None


def _further(features: dict[str, Any], feature: Feature) -> bytes | FeatureValues | None:
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
    if found != expected:
        raise RejectedError(Reason.BAD_FEATURE, _other_kind(feature.name, found, expected))
    return values


def _values(feature: Any, kind: str) -> FeatureValues:
    values = getattr(feature, kind).value
    if kind == BYTES_LIST:
        return as_objects(values)
    if kind == INT64_LIST:
        return np.array(values, np.int64)
    return np.frombuffer(packed_floats(feature.float_list, "value"), "<f4").copy()


def _other_kind(key: str, found: str, expected: str) -> str:
    return f"feature {key!r} is a {found}, expected a {expected}"


def _required(features: dict[str, Any], key: str, kind: str) -> Any:
    if key not in features:
        found = ", ".join(sorted(features)) or "none"
        raise RejectedError(Reason.BAD_FEATURE, f"it has no feature {key!r} (it has: {found})")
    found = _kind(features, key) or "feature without a value"
    if found != kind:
        raise RejectedError(Reason.BAD_FEATURE, _other_kind(key, found, kind))
    values = getattr(features[key], kind).value
    if len(values) != 1:
        message = f"feature {key!r} has {len(values)} values, expected one"
        raise RejectedError(Reason.BAD_FEATURE, message)
    return values[0]
