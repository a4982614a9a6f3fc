"""The decode stage with TensorFlow.

TensorFlow takes whole batches. Embeddings come out as views of the bytes that it cut out of each
record, so that the only copy left is the one to the place where they belong.
"""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise, repeat
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from a20_parquet.source.decode import DecodedRecord, gather, per_row, per_window
from a20_parquet.source.example import (
    BYTES_LIST,
    FLOAT_LIST,
    INT64_LIST,
    LISTS,
    MAX_TIMESTAMP_S,
    TIMESTAMP,
    RejectedError,
    other_features,
    take_apart,
    to_seconds,
)
from a20_parquet.source.records import Records
from a20_parquet.source.tensors import (
    FEATURE_LAYOUTS,
    TensorDecoder,
    TensorError,
    with_channels,
)
from a20_parquet.table.decoded import DecodedRecords, Embedding, FeatureValues
from a20_parquet.table.rejection import Reason
from a20_parquet.table.schema import Feature, FeatureKind

# What TensorFlow fills in where a record lacks a feature: values that no writer stores.
_NO_TIMESTAMP = np.array(0x7FE20A20, np.uint32).view(np.float32)[()]
_NO_OFFSET = -(2**63)
_NO_NUMBER = -(2**63)
_NO_FEATURE = b"\xff a20_parquet: the record lacks this feature"
_MOST_SIZES = 4096


@lru_cache(maxsize=1)
def load_tensorflow() -> ModuleType:
    """Import TensorFlow, without its start-up messages, without Keras and looking for no GPUs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with _silenced_stderr(), _without_keras(), _without_collecting():
        import tensorflow as tf

    module: ModuleType = tf
    return module


@contextmanager
def _silenced_stderr() -> Iterator[None]:
    # TensorFlow's C++ part writes to the file descriptor before any log level counts.
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _without_keras() -> Iterator[None]:
    # TensorFlow loads Keras at once, a sixth of the import; with pandas, matplotlib and IPython,
    # which Keras loads where there are any, more than a third. This variable asks for the package
    # tf_keras instead, and where there is none, for nothing. ``tf.keras`` reads it again when it is
    # first used.
    variable = "TF_USE_LEGACY_KERAS"
    if variable in os.environ or find_spec("tf_keras") is not None:
        yield
        return
    os.environ[variable] = "1"
    try:
        yield
    finally:
        del os.environ[variable]


@contextmanager
def _without_collecting() -> Iterator[None]:
    # What is imported stays: to look for garbage in it again and again takes a sixth of the time.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _batch_parser(tf: Any, features: Sequence[Feature]) -> Callable[[Any], "_Parsed"]:
    # ``tf.io.parse_example`` takes 2 ms to call this operation, a ``tf.function`` of it 0.5 ms.
    string, int64 = tf.string, tf.int64
    nothing = tf.constant([], string)
    tensors = [feature.name for feature in features if feature.kind is FeatureKind.TENSOR]
    lists = {feature.name: feature.kind for feature in features if feature.name not in tensors}
    types = {BYTES_LIST: string, FLOAT_LIST: tf.float32, INT64_LIST: int64}
    defaults = {
        "timestamp_s": tf.constant(_NO_TIMESTAMP, tf.float32),
        "timestamp_offset": tf.constant(_NO_OFFSET, int64),
        # As many numbers as there are.
        "embedding_shape": tf.constant(_NO_NUMBER, int64),
        # No default: it must be there.
        "filename": nothing,
        "embedding": nothing,
        **{name: tf.constant(_NO_FEATURE, string) for name in tensors},
    }
    shapes = [[-1] if name == "embedding_shape" else [] for name in defaults]
    keys = tf.constant(list(defaults), string)
    ragged_keys = tf.constant(list(lists), string)

    def parse(payloads: Any) -> _Parsed:
        parsed = tf.raw_ops.ParseExampleV2(
            serialized=payloads,
            names=nothing,
            sparse_keys=nothing,
            dense_keys=keys,
            ragged_keys=ragged_keys,
            dense_defaults=list(defaults.values()),
            num_sparse=0,
            sparse_types=[],
            ragged_value_types=[types[LISTS[kind]] for kind in lists.values()],
            ragged_split_types=[int64] * len(lists),
            dense_shapes=shapes,
        )
        found = zip(lists, parsed.ragged_values, parsed.ragged_row_splits, strict=True)
        return _Parsed(
            [tensor.numpy() for tensor in parsed.dense_values],
            {name: _divided(values.numpy(), splits.numpy()) for name, values, splits in found},
        )

    return parse


class _Parsed(NamedTuple):
    """A batch of records, parsed by TensorFlow."""

    dense: Sequence[Any]
    """What all records have once: one array each."""
    lists: dict[str, list[FeatureValues | None]]
    """The lists of further features, one a record; None where it has no value."""


def _divided(values: FeatureValues, splits: npt.NDArray[np.int64]) -> list[FeatureValues | None]:
    bounds = pairwise(splits.tolist())
    return [values[first:stop] if first < stop else None for first, stop in bounds]


def _per_rows(
    lists: Sequence[FeatureValues | None], feature: Feature, embeddings: Sequence[Embedding]
) -> list[FeatureValues | None]:
    return [
        None if values is None else per_row(values, feature, embedding)
        for values, embedding in zip(lists, embeddings, strict=True)
    ]


def _list_bytes(values: bytes | FeatureValues | None) -> int:
    """Bytes that values take in a record; of integers, which have no certain size there, 0."""
    if values is None:
        return 0
    if isinstance(values, bytes):
        return len(values)
    if values.dtype == object:
        return sum(map(len, values.tolist()))
    return values.nbytes if values.dtype == np.float32 else 0


class TensorFlowDecoder:
    """Decodes batches of records; one object may serve several threads.

    TensorFlow takes a batch at once. Where that fails, halves of it are taken, and a single record
    that fails is taken apart by protobuf: so what becomes of a record does not depend on others.
    Tensors are left to ``tensors.TensorDecoder``; float32 and float16 embeddings are kept as they
    are.
    """

    def __init__(self, features: Sequence[Feature] = ()) -> None:
        """Prepare to decode.

        Args:
            features: further features to decode.
        """
        self._tf: Any = load_tensorflow()
        self._wanted = tuple(features)
        self._names = tuple(feature.name for feature in features)
        self._parse = _batch_parser(self._tf, self._wanted)
        self._tensors = TensorDecoder(self._tf)
        self._feature_tensors = TensorDecoder(self._tf, FEATURE_LAYOUTS)
        self._others: dict[int, frozenset[str]] = {}
        errors = self._tf.errors
        self._parse_errors = (
            errors.InvalidArgumentError,
            errors.DataLossError,
            # TensorFlow quotes the record in its message, and fails where that is no text.
            UnicodeDecodeError,
        )

    def __reduce__(self) -> tuple[type[Self], tuple[tuple[Feature, ...]]]:
        """Made anew in another process, which imports TensorFlow by itself."""
        return type(self), (self._wanted,)

    def decode(self, records: Records) -> DecodedRecords:
        """See ``Decoder.decode``."""
        payloads = [bytes(payload) for payload in records.payloads]
        rate_hz = records.shard.sample_rate_hz
        return gather(records, self.decode_payloads(payloads, rate_hz), self._wanted)

    def decode_payloads(
        self, payloads: Sequence[bytes], rate_hz: float | None
    ) -> list[DecodedRecord | RejectedError]:
        """Decode serialized records, wherever they come from.

        Args:
            payloads: the records.
            rate_hz: sample rate of their recordings, None if unknown.
        """
        if not payloads:
            return []
        try:
            return self._decode_batch(payloads, rate_hz)
        except (TensorError, RejectedError, *self._parse_errors):
            if len(payloads) == 1:
                return [self._decode_exactly(payloads[0], rate_hz)]
        middle = len(payloads) // 2
        halves = payloads[:middle], payloads[middle:]
        return [found for half in halves for found in self.decode_payloads(half, rate_hz)]

    def _decode_batch(
        self, payloads: Sequence[bytes], rate_hz: float | None
    ) -> list[DecodedRecord | RejectedError]:
        """Decode a batch at once; raise one of many errors where a record is out of the way."""
        parsed = self._parse(self._tf.constant(payloads, self._tf.string))
        stamps, offsets, claims, filenames, protos, *further = parsed.dense
        embeddings = self._embeddings(protos)
        is_stamped = stamps.view(np.uint32) != _NO_TIMESTAMP.view(np.uint32)
        # Without a rate the offsets become NaN, so that each is looked at by itself.
        offsets_s = offsets.astype(np.float64) / (np.nan if rate_hz is None else rate_hz)
        timestamps_s = np.where(is_stamped, stamps.astype(np.float64), offsets_s)
        in_doubt = ~(np.abs(timestamps_s) <= MAX_TIMESTAMP_S)
        for index in np.flatnonzero(~is_stamped).tolist():
            in_doubt[index] |= TIMESTAMP.encode() in payloads[index]
        leftover = np.array(list(map(len, payloads)))
        for column in (filenames, protos, *further):
            leftover -= [0 if value == _NO_FEATURE else len(value) for value in column]
        columns = []
        tensors = iter(further)
        for feature in self._wanted:
            if feature.kind is FeatureKind.TENSOR:
                columns.append(self._feature(next(tensors), embeddings))
            else:
                lists = parsed.lists[feature.name]
                leftover -= list(map(_list_bytes, lists))
                columns.append(_per_rows(lists, feature, embeddings))
        rows = zip(
            filenames.tolist(),
            timestamps_s.tolist(),
            embeddings,
            map(_claims_another, claims.tolist(), embeddings),
            zip(*columns, strict=True) if columns else repeat(()),
            map(self._other_features, payloads, leftover.tolist()),
            strict=False,
        )
        return [
            self._decode_exactly(payload, rate_hz) if doubtful else DecodedRecord(*row)
            for payload, doubtful, row in zip(payloads, in_doubt.tolist(), rows, strict=True)
        ]

    def _decode_exactly(
        self, payload: bytes, rate_hz: float | None
    ) -> DecodedRecord | RejectedError:
        """Decode one record that is in the way of a batch, or tell why it can't be used."""
        try:
            parts = take_apart(payload, self._wanted)
            embedding = self._exact_tensor(self._embeddings, "embedding", parts.embedding)
            features = tuple(
                self._exact_feature(feature, found, embedding)
                for feature, found in zip(self._wanted, parts.features, strict=True)
            )
            timestamp_s = to_seconds(parts, rate_hz)
        except RejectedError as error:
            return error
        known = sum(map(_list_bytes, (parts.filename, parts.embedding, *parts.features)))
        return DecodedRecord(
            parts.filename,
            timestamp_s,
            embedding,
            _claims_another(parts.claimed_shape, embedding),
            features,
            self._other_features(payload, len(payload) - known),
        )

    def _embeddings(self, protos: Sequence[bytes]) -> list[Embedding]:
        """Decode embeddings, each to ``(windows, channels, dims)``."""
        found = self._tensors.decode(protos)
        return [tensor.reshape(with_channels(tensor.shape)) for tensor in found]

    def _exact_tensor(
        self,
        decode: Callable[[Sequence[bytes]], list[Embedding]],
        name: str,
        proto: bytes,
        bad: Reason = Reason.BAD_TENSOR,
    ) -> Embedding:
        try:
            return decode([proto])[0]
        except TensorError as error:
            raise RejectedError(bad, f"feature {name!r} can't be used: {error}") from None
        except self._parse_errors:
            raise RejectedError(bad, f"feature {name!r} is no serialized TensorProto") from None

    def _exact_feature(
        self, feature: Feature, found: bytes | FeatureValues | None, embedding: Embedding
    ) -> FeatureValues | None:
        if found is None:
            return None
        bad = Reason.BAD_FEATURE
        try:
            if isinstance(found, bytes):
                tensor = self._exact_tensor(self._feature_tensors.decode, feature.name, found, bad)
                return per_window(tensor, embedding)
            return per_row(found, feature, embedding)
        except TensorError as error:
            message = f"feature {feature.name!r} can't be used: {error}"
            raise RejectedError(bad, message) from None

    def _feature(
        self, protos: Sequence[bytes], embeddings: Sequence[Embedding]
    ) -> list[FeatureValues | None]:
        """Decode one further feature of a batch, a tensor."""
        found = iter(self._feature_tensors.decode([p for p in protos if p != _NO_FEATURE]))
        return [
            None if proto == _NO_FEATURE else per_window(next(found), embedding)
            for proto, embedding in zip(protos, embeddings, strict=True)
        ]

    def _other_features(self, payload: bytes, leftover_bytes: int) -> frozenset[str]:
        """Name what of a record was not decoded; ``leftover_bytes`` is how much that is.

        To look into each record would take long. Records of one writer that have as many bytes of
        other things have the same features.
        """
        names = self._others.get(leftover_bytes)
        if names is None:
            names = other_features(payload, self._names)
            if len(self._others) >= _MOST_SIZES:
                self._others.clear()
            self._others[leftover_bytes] = names
        return names


def _claims_another(claimed: Sequence[int], embedding: Embedding) -> bool:
    """Whether an ``embedding_shape``, padded or empty where there is none, is not the tensor's."""
    shape = tuple(number for number in claimed if number != _NO_NUMBER)
    return bool(shape) and with_channels(shape) != embedding.shape
