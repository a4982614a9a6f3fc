"""Further features that windows carry along, and those that are only named."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from a20_parquet.decoding.decoder import Decoder
from a20_parquet.decoding.tensorflow import TensorFlowDecoder
from a20_parquet.decoding.wire import WireDecoder
from a20_parquet.tfrecord.records import Records
from a20_parquet.tfrecord.shard import Shard
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.rejection import Reason
from tests.helpers.decoding import BothDecoders
from tests.helpers.shards import make_features, random_tensor, serialize, tensor_proto

SHARD = Shard("shard", "store://shard", 0, "shard", 0, None)
WINDOWS, CHANNELS = 3, 2
EMBEDDING = random_tensor((WINDOWS, CHANNELS, 4))
LOGITS = random_tensor((WINDOWS, CHANNELS, 5), seed=1)


def record(**further: Any) -> bytes:
    """A record with further features; arrays are serialized as tensors."""
    features = make_features(EMBEDDING)
    for name, value in further.items():
        stored = value
        if isinstance(value, np.ndarray):
            stored = proto(tf.io.serialize_tensor(value).numpy())
        features[name] = stored
    return serialize(features)


def proto(*values: bytes) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def integers(*values: int) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def decode(*payloads: bytes, features: tuple[str, ...] = ("label",)) -> DecodedRecords:
    offsets = list(range(len(payloads)))
    return BothDecoders(features).decode(Records(SHARD, 0, offsets, list(payloads)))


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (LOGITS, LOGITS),
        (LOGITS.astype(np.float16), LOGITS.astype(np.float16).astype(np.float32)),
        (LOGITS[:, 0], np.repeat(LOGITS[:, :1], CHANNELS, axis=1)),
        (LOGITS[:, 0, 0], np.repeat(LOGITS[:, :1, :1], CHANNELS, axis=1)),
        (np.full((WINDOWS, 1), np.nan, np.float32), np.full((WINDOWS, CHANNELS, 1), np.nan)),
    ],
)
def test_feature_of_windows(
    stored: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]
) -> None:
    """A tensor of windows comes as float32; one without channels belongs to each of them."""
    found = decode(record(label=stored), record(), record(label=stored))
    first, none, last = found.features["label"]
    assert none is None
    for tensor in (first, last):
        assert tensor is not None
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, expected)
    assert not found.rejected


def test_records_without_windows() -> None:
    """A record with no window has a feature with none."""
    features = make_features(EMBEDDING[:0])
    for logits in (LOGITS[:0], LOGITS[:0, 0], LOGITS[:0, 0, 0]):
        features["label"] = proto(tf.io.serialize_tensor(logits).numpy())
        (tensor,) = decode(serialize(features)).features["label"]
        assert tensor is not None
        assert tensor.shape == (0, CHANNELS, 5 if logits.ndim > 1 else 1)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (LOGITS[:2], r"its shape is \(2, 2, 5\), but the embedding has 3 windows and 2 channels"),
        (LOGITS[:, :1], r"its shape is \(3, 1, 5\), but the embedding has 3 windows"),
        (LOGITS[0, 0], r"its shape is \(5,\), but the embedding has 3 windows and 2 channels"),
        (
            LOGITS[None],
            r"its shape is \(1, 3, 2, 5\), expected \(windows, channels, size\) or \(windows, s",
        ),
        (LOGITS[:2, 0], r"its shape is \(2, 5\), but the embedding has 3 windows"),
        (LOGITS.astype(np.float64), "its dtype is number 2 "),
        (proto(b"\xff" * 9), "feature 'label' is no serialized TensorProto"),
        (proto(b""), "its dtype is number 0 "),
        (proto(b"a", b"b"), "feature 'label' has 2 values, expected one"),
        (integers(1), "feature 'label' is a int64_list, expected a bytes_list"),
        (proto(tensor_proto(1, (3, 2, 0))), r"its shape is \(3, 2, 0\)"),
    ],
)
def test_feature_that_is_none_of_windows(value: Any, message: str) -> None:
    """A record whose wanted feature cannot be carried along is rejected, and no other."""
    good = record(label=LOGITS)
    for payloads in ([record(label=value)], [good, good, record(label=value), good]):
        found = decode(*payloads)
        (rejection,) = found.rejected
        assert rejection.reason is Reason.BAD_FEATURE
        assert re.search(message, rejection.message)
        assert len(found.metadata) == len(found.features["label"]) == len(payloads) - 1


def test_features_beside_a_record_that_takes_the_slow_path() -> None:
    """Features also come of records that TensorFlow does not take in a batch."""
    slow = record(label=LOGITS, embedding_shape=proto(b"text"))
    found = decode(slow, record(label=LOGITS))
    for tensor in found.features["label"]:
        np.testing.assert_array_equal(tensor, LOGITS)
    assert found.shape_disagreements == 1


def test_other_features_are_named() -> None:
    """Features that are neither known nor wanted are named, but not those of their shapes."""
    payloads = [
        record(label=LOGITS, label_shape=integers(3, 2, 5)),
        record(nuisances=LOGITS, nuisances_shape=integers(3, 2, 5), odd_shape=integers(1)),
        record(timestamp_offset=integers(5)),
    ]
    assert decode(*payloads).other_features == {"nuisances", "odd_shape"}
    assert decode(*payloads, features=()).other_features == {"label", "nuisances", "odd_shape"}


@pytest.mark.parametrize("make", [TensorFlowDecoder, WireDecoder])
def test_other_features_are_named_each_time(make: Callable[[], Decoder]) -> None:
    """Also where records of the same form have come before."""
    payloads = [record(nuisances=LOGITS, nuisances_shape=integers(3, 2, 5), odd_shape=integers(1))]
    decoder = make()
    for _ in range(2):
        found = decoder.decode(Records(SHARD, 0, [0], payloads))
        assert found.other_features == {"nuisances", "odd_shape"}
