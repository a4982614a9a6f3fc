"""The decode stage: serialized ``tf.train.Example`` records as NumPy tensors, with TensorFlow.

TensorFlow takes whole batches. Embeddings come out as views of the bytes that it cut out of each
record, so that the only copy left is the one to the place where they belong.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.errors import RecordError
from a20_parquet.source.frames import Records
from a20_parquet.source.tensors import TensorDecoder, TensorError
from a20_parquet.table.decoded import DecodedRecords, Embedding, RecordHeads

FEATURE_KINDS = {
    "timestamp_s": "float_list",
    "filename": "bytes_list",
    "embedding": "bytes_list",
}
_FIX = "Leave the shard out, or have it written again."


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
    return features["timestamp_s"], features["filename"], features["embedding"]


@lru_cache(maxsize=1)
def _batch_parser() -> Any:
    # Traced once a process: TensorFlow takes a second, and warns about a fifth trace.
    tf = load_tensorflow()
    return tf.function(_parse_batch, input_signature=[tf.TensorSpec([None], tf.string)])


class TensorFlowDecoder:
    """Decodes batches of records; one object may serve several threads.

    Tensors are left to ``tensors.TensorDecoder``; float32 and float16 are kept as they are.
    """

    def __init__(self) -> None:
        self._tf: Any = load_tensorflow()
        self._parse = _batch_parser()
        self._tensors = TensorDecoder(self._tf)
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
        try:
            timestamps, filenames, embeddings = self._decode_payloads(records.payloads)
        except (TensorError, *self._parse_errors) as error:
            raise self._first_error(records) from error
        heads = RecordHeads(
            shard=records.shard.url,
            position=records.shard.position,
            numbers=np.arange(records.first, records.first + len(records.payloads)),
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
        timestamps, filenames, protos = (tensor.numpy() for tensor in tensors)
        return timestamps, filenames, self._tensors.decode(protos)

    def _first_error(self, records: Records) -> RecordError:
        # A batch's error says neither which record it was nor whether that is the first bad one.
        for index, payload in enumerate(records.payloads):
            try:
                self._decode_payloads([payload])
            except TensorError as error:
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
