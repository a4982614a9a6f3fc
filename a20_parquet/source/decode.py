"""The decode stage: serialized ``tf.train.Example`` records as NumPy tensors, with TensorFlow.

TensorFlow takes whole batches. Embeddings come out as views of the bytes that it cut out of each
record, so that the only copy left is the one to the place where they belong.
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from a20_parquet.errors import RecordError
from a20_parquet.source.frames import Records
from a20_parquet.table.decoded import DecodedRecords, Embedding, RecordHeads

FEATURE_KINDS = {
    "timestamp_s": "float_list",
    "filename": "bytes_list",
    "embedding": "bytes_list",
}
_FIELDS = ("dtype", "tensor_shape", "tensor_content", "float_val", "half_val")
_FLOAT32, _FLOAT16 = 1, 19
_MAX_TENSOR_BYTES = 2**31 - 1
_LAYOUT = "(windows, channels, dims)"
_FIX = "Leave the shard out, or have it written again."


class _TensorFields(NamedTuple):
    """The fields of one ``TensorProto``; repeated ones are padded to the batch's longest."""

    dtype: int
    shape: bytes
    content: bytes
    floats: npt.NDArray[np.float32]
    halves: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    """How many of ``floats`` and ``halves`` there are."""


class _TensorError(Exception):
    """A tensor that is no embedding; the message says why."""


@lru_cache(maxsize=1)
def load_tensorflow() -> ModuleType:
    """Import TensorFlow, without its start-up messages and without looking for GPUs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    with _silenced_stderr():
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


def _parse_batch(payloads: Any) -> tuple[Any, ...]:
    tf = load_tensorflow()
    features = tf.io.parse_example(
        payloads,
        {
            "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
            "filename": tf.io.FixedLenFeature([], tf.string),
            "embedding": tf.io.FixedLenFeature([], tf.string),
        },
    )
    counts, (dtype, shape, content, floats, halves) = tf.io.decode_proto(
        features["embedding"],
        "tensorflow.TensorProto",
        _FIELDS,
        [tf.int32, tf.string, tf.string, tf.float32, tf.int32],
    )
    return (
        features["timestamp_s"],
        features["filename"],
        dtype[:, 0],
        shape[:, 0],
        content[:, 0],
        floats,
        halves,
        counts[:, 3:],
    )


@lru_cache(maxsize=1)
def _batch_parser() -> Any:
    # Traced once a process: TensorFlow takes a second, and warns about a fifth trace.
    tf = load_tensorflow()
    return tf.function(_parse_batch, input_signature=[tf.TensorSpec([None], tf.string)])


class TensorFlowDecoder:
    """Decodes batches of records; one object may serve several threads.

    Tensors may hold their values as ``tensor_content``, ``float_val`` or ``half_val`` (source:
    tensorflow/core/framework/tensor.proto); float32 and float16 are kept as they are.
    """

    def __init__(self) -> None:
        self._tf: Any = load_tensorflow()
        self._parse = _batch_parser()
        errors = self._tf.errors
        self._parse_errors = (
            errors.InvalidArgumentError,
            errors.DataLossError,
            # TensorFlow quotes the record in its message, and fails where that is no text.
            UnicodeDecodeError,
        )

    def decode(self, records: Records) -> DecodedRecords:
        """Decode one batch.

        Raises:
            RecordError: a record is no ``tf.train.Example``, lacks a feature, or its embedding is
                no float32 or float16 tensor of shape ``(windows, channels, dims)``.
        """
        payloads = list(map(bytes, records.payloads))
        try:
            timestamps, filenames, embeddings = self._decode_payloads(payloads)
        except (_TensorError, *self._parse_errors) as error:
            raise self._first_error(records, payloads) from error
        heads = RecordHeads(
            shard=records.shard.url,
            position=records.shard.position,
            first=records.first,
            offsets=records.offsets,
            filenames=filenames.tolist(),
            timestamps_s=timestamps.astype(np.float64),
            shapes=[embedding.shape for embedding in embeddings],
        )
        return DecodedRecords(heads, embeddings)

    def _decode_payloads(
        self, payloads: Sequence[bytes]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.object_], list[Embedding]]:
        tensors = self._parse(self._tf.constant(payloads, self._tf.string))
        timestamps, filenames, *fields = (tensor.numpy() for tensor in tensors)
        embeddings = [_to_array(_TensorFields(*values)) for values in zip(*fields, strict=True)]
        return timestamps, filenames, embeddings

    def _first_error(self, records: Records, payloads: Sequence[bytes]) -> RecordError:
        # A batch's error says neither which record it was nor whether that is the first bad one.
        for index, payload in enumerate(payloads):
            try:
                self._decode_payloads([payload])
            except _TensorError as error:
                return records.error(index, str(error), _FIX)
            except self._parse_errors:
                reason = self._diagnose(payload) or "TensorFlow can't parse it"
                return records.error(index, reason, _FIX)
        return records.error(0, "TensorFlow can't parse this batch of records", _FIX)

    def _diagnose(self, payload: bytes) -> str | None:
        from google.protobuf.message import DecodeError
        from tensorflow.core.framework.tensor_pb2 import TensorProto

        try:
            features = self._tf.train.Example.FromString(payload).features.feature
        except DecodeError:
            return "the payload is no tf.train.Example message"
        for key, kind in FEATURE_KINDS.items():
            if key not in features:
                found = ", ".join(sorted(features)) or "none"
                return f"it has no feature {key!r} (it has: {found})"
            feature = features[key]
            found = feature.WhichOneof("kind") or "feature without a value"
            if found != kind:
                return f"feature {key!r} is a {found}, expected a {kind}"
            count = len(getattr(feature, kind).value)
            if count != 1:
                return f"feature {key!r} has {count} values, expected one"
        try:
            TensorProto.FromString(features["embedding"].bytes_list.value[0])
        except DecodeError:
            return "feature 'embedding' is no serialized TensorProto"
        return None


def _to_array(proto: _TensorFields) -> Embedding:
    kind: type[np.float32 | np.float16]
    values: npt.NDArray[Any]
    if proto.dtype == _FLOAT32:
        kind, values = np.float32, proto.floats[: proto.counts[0]]
    elif proto.dtype == _FLOAT16:
        kind, values = np.float16, proto.halves[: proto.counts[1]].astype(np.uint16)
        values = values.view(np.float16)
    else:
        raise _TensorError(
            f"the embedding's dtype is number {proto.dtype} of TensorFlow's DataType, expected 1 "
            "(float32) or 19 (float16)"
        )
    shape = _tensor_shape(proto.shape)
    expected = math.prod(shape)
    if proto.content:
        if len(proto.content) != expected * np.dtype(kind).itemsize:
            raise _TensorError(
                f"the embedding's content has {len(proto.content)} bytes, which do not fill shape "
                f"{shape} of {np.dtype(kind)}"
            )
        values = np.frombuffer(proto.content, kind)
        return values.reshape(shape)
    if len(values) > expected:
        raise _TensorError(f"the embedding has {len(values)} values, more than fill shape {shape}")
    if expected * np.dtype(kind).itemsize > _MAX_TENSOR_BYTES:
        raise _TensorError(
            f"the embedding's shape {shape} needs more bytes than a protobuf may hold, but it has "
            f"only {len(values)} values"
        )
    # The format leaves out values that repeat the last one, or all of them where they are zero.
    filled = np.zeros(expected, kind)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else 0
    padded: Embedding = filled.reshape(shape)
    return padded


@lru_cache(maxsize=256)
def _tensor_shape(shape_proto: bytes) -> tuple[int, ...]:
    from google.protobuf.message import DecodeError
    from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto

    try:
        proto = TensorShapeProto.FromString(shape_proto)
    except DecodeError:
        raise _TensorError("the embedding's shape can't be parsed") from None
    shape = tuple(int(dim.size) for dim in proto.dim)
    if len(shape) != len(_LAYOUT.split(",")) or min(shape) < 0:
        raise _TensorError(f"the embedding's shape is {shape}, expected {_LAYOUT}")
    return shape
