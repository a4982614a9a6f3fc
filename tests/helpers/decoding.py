"""Records to decode, what both decoders make of them, and what TensorFlow does."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from a20_parquet.decoding.decoder import decode_strictly
from a20_parquet.decoding.tensorflow import TensorFlowDecoder
from a20_parquet.decoding.wire import WireDecoder
from a20_parquet.tfrecord.records import Buffer, Records
from a20_parquet.tfrecord.shard import Shard
from a20_parquet.windows.records import DecodedRecords, Embedding
from a20_parquet.windows.schema import Feature
from tests.helpers.shards import (
    make_features,
    make_record,
    random_tensor,
    serialize,
    tensor_proto,
)

FLOAT32, FLOAT64, STRING, FLOAT16, BFLOAT16 = 1, 2, 7, 19, 14
BITS = {np.dtype(np.float32): np.uint32, np.dtype(np.float16): np.uint16}
SHAPE = (2, 1, 4)
TENSOR = random_tensor(SHAPE)
RATE_HZ = 2.0
SHARD = Shard("shard", "store://shard", 3, "shard", 0, None, sample_rate_hz=RATE_HZ)


def as_records(
    payloads: Sequence[Buffer], first: int = 0, rate_hz: float | None = RATE_HZ
) -> Records:
    """Payloads as if they lay ``first`` records into a shard, 1,000 bytes apart."""
    offsets = [1000 * (first + index) for index in range(len(payloads))]
    return Records(replace(SHARD, sample_rate_hz=rate_hz), first, offsets, list(payloads))


def as_features(features: Sequence[str | Feature]) -> tuple[Feature, ...]:
    """Features of any form; a name stands for a tensor."""
    return tuple(Feature(each, 0) if isinstance(each, str) else each for each in features)


@lru_cache
def _wire_decoder(features: tuple[Feature, ...]) -> WireDecoder:
    # Whatever forms one test's records have are known in the next.
    return WireDecoder(features)


class BothDecoders:
    """Decodes with each decoder, and makes sure that they agree."""

    def __init__(self, features: Sequence[str | Feature] = ()) -> None:
        self._tensorflow = TensorFlowDecoder(as_features(features))
        self._wire = _wire_decoder(as_features(features))

    def decode(self, records: Records) -> DecodedRecords:
        """What both give."""
        found = self._tensorflow.decode(records)
        assert_same(self._wire.decode(records), found)
        return found


def assert_same(found: DecodedRecords, expected: DecodedRecords) -> None:
    """Both are alike to the last bit."""
    assert found.rejected == expected.rejected
    assert found.shape_disagreements == expected.shape_disagreements
    metadata, other = found.metadata, expected.metadata
    assert (metadata.shard, metadata.position) == (other.shard, other.position)
    assert metadata.numbers.tolist() == other.numbers.tolist()
    assert metadata.offsets == other.offsets
    assert metadata.filenames == other.filenames
    assert metadata.timestamps_s.tobytes() == other.timestamps_s.tobytes()
    assert list(metadata.shapes) == list(other.shapes)
    assert_same_tensors(found.embeddings, expected.embeddings)
    assert found.features.keys() == expected.features.keys()
    for name, tensors in found.features.items():
        assert_same_tensors(tensors, expected.features[name])


def assert_same_tensors(
    found: Sequence[Embedding | None], expected: Sequence[Embedding | None]
) -> None:
    for one, other in zip(found, expected, strict=True):
        if one is None or other is None:
            assert one is other
            continue
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        if one.dtype == object:
            assert one.tolist() == other.tolist()
        else:
            assert one.tobytes() == other.tobytes()


def decode(payloads: Sequence[bytes], first: int = 0) -> DecodedRecords:
    """Decode payloads that all can be."""
    return decode_strictly(BothDecoders(), as_records(payloads, first))


def bits(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values as integers, for NaN is not equal to itself, but -0.0 is to 0.0."""
    return np.ascontiguousarray(array).view(BITS[array.dtype])


def assert_equals_tensorflow(payloads: Sequence[bytes], found: DecodedRecords) -> None:
    assert len(found.metadata) == len(found.embeddings) == len(payloads)
    for index, payload in enumerate(payloads):
        parsed = tf.io.parse_single_example(
            payload,
            {
                "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
                "filename": tf.io.FixedLenFeature([], tf.string),
                "embedding": tf.io.FixedLenFeature([], tf.string),
            },
        )
        embedding = found.embeddings[index]
        tensor = tf.io.parse_tensor(parsed["embedding"], tf.as_dtype(embedding.dtype)).numpy()
        if tensor.ndim == 2:  # one channel
            tensor = tensor[:, None, :]
        assert embedding.shape == tensor.shape == found.metadata.shapes[index]
        np.testing.assert_array_equal(bits(embedding), bits(tensor))
        assert found.metadata.filenames[index] == parsed["filename"].numpy()
        stamp = np.float32(found.metadata.timestamps_s[index])
        assert stamp.tobytes() == parsed["timestamp_s"].numpy().tobytes()


def bytes_feature(*values: bytes) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def integers_feature(*values: int) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def raw_float_feature(raw: int) -> Any:
    """A float whose bits no Python float keeps."""
    return tf.train.Feature.FromString(b"\x12\x06\x0a\x04" + raw.to_bytes(4, "little"))


def floats_feature(*values: float) -> Any:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def record_with(**features: Any) -> bytes:
    """A record with other features; None leaves one out."""
    merged = make_features(TENSOR) | features
    return serialize({name: value for name, value in merged.items() if value is not None})


def record_with_proto(*args: Any, **values: Any) -> bytes:
    return make_record(TENSOR, proto=tensor_proto(*args, **values))
