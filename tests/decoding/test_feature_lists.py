"""Lists of further features: both decoders, against what TensorFlow parses."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.decoding.tensorflow import TensorFlowDecoder
from a20_parquet.decoding.wire import WireDecoder
from a20_parquet.windows.rejection import Reason
from a20_parquet.windows.schema import Feature, FeatureKind, FeatureScope
from tests.helpers.decoding import (
    BothDecoders,
    as_records,
    assert_same,
    bytes_feature,
    floats_feature,
    integers_feature,
)
from tests.helpers.shards import make_features, random_tensor, serialize

TYPES = {
    FeatureKind.FLOAT: tf.float32,
    FeatureKind.INT64: tf.int64,
    FeatureKind.STRING: tf.string,
    FeatureKind.BINARY: tf.string,
}
BITS: dict[FeatureKind, Any] = {
    FeatureKind.FLOAT: np.uint32,
    FeatureKind.INT64: np.int64,
    FeatureKind.BINARY: object,
}
LEAST, MOST = -(2**63), 2**63 - 1

counts = st.sampled_from([0, 1, 2, 3, 4, 6, 12])
lists = st.one_of(
    counts.flatmap(lambda count: st.lists(st.floats(width=32), min_size=count, max_size=count)).map(
        lambda values: floats_feature(*values)
    ),
    counts.flatmap(
        lambda count: st.lists(st.integers(LEAST, MOST), min_size=count, max_size=count)
    ).map(lambda values: integers_feature(*values)),
    counts.flatmap(
        lambda count: st.lists(
            st.sampled_from([b"", b"owl", b"\0", b"\xff", "å".encode(), b"long" * 9]),
            min_size=count,
            max_size=count,
        )
    ).map(lambda values: bytes_feature(*values)),
    st.just(tf.train.Feature()),
    st.none(),
)
shapes = st.tuples(st.integers(0, 3), st.integers(1, 2))
features = st.builds(
    Feature,
    st.just("x"),
    st.integers(1, 4),
    st.sampled_from(list(TYPES)),
    st.sampled_from(FeatureScope),
)


def record(shape: tuple[int, int], value: Any) -> bytes:
    """A record with a further feature, or without."""
    found = make_features(random_tensor((*shape, 2)))
    return serialize(found if value is None else found | {"x": value})


def parsed(payload: bytes, kind: FeatureKind) -> Any:
    """The list as TensorFlow parses it; None where it is of another kind and not empty."""
    try:
        found = tf.io.parse_single_example(payload, {"x": tf.io.VarLenFeature(TYPES[kind])})
    except tf.errors.InvalidArgumentError:
        stored = tf.train.Example.FromString(payload).features.feature["x"]
        is_empty = not getattr(stored, stored.WhichOneof("kind")).value
        return np.array([]) if is_empty else None
    return found["x"].values.numpy()


def rows_of(feature: Feature, shape: tuple[int, int]) -> tuple[int, int]:
    """How many windows and channels of a record have values of their own."""
    if feature.scope is FeatureScope.CHANNEL:
        return shape
    return (shape[0] if feature.scope is FeatureScope.WINDOW else 1), 1


def can_be_held(value: bytes, feature: Feature) -> bool:
    """Whether a text is one of the column."""
    if feature.kind is FeatureKind.STRING:
        try:
            value.decode()
        except UnicodeDecodeError:
            return False
    return len(value) <= feature.size


@pytest.mark.slow
@settings(max_examples=150)
@given(features, st.lists(st.tuples(shapes, lists), min_size=1, max_size=6))
def test_any_lists(feature: Feature, records: list[tuple[tuple[int, int], Any]]) -> None:
    """A record is taken if its list is of the kind and as long as the column needs, or empty."""
    payloads = [record(shape, value) for shape, value in records]
    found = BothDecoders((feature,)).decode(as_records(payloads))
    taken = dict(zip(found.metadata.numbers.tolist(), found.features["x"], strict=True))
    for number, ((shape, _), payload) in enumerate(zip(records, payloads, strict=True)):
        values = parsed(payload, feature.kind)
        rows = rows_of(feature, shape)
        if values is not None and not len(values):
            assert taken.pop(number) is None
        elif (
            values is not None
            and len(values) == rows[0] * rows[1] * feature.width
            and (not feature.kind.is_text or all(can_be_held(each, feature) for each in values))
        ):
            kept = taken.pop(number)
            assert kept is not None
            assert kept.shape == (*rows, feature.width)
            assert kept.dtype == values.dtype
            if feature.kind.is_text:
                assert kept.reshape(-1).tolist() == values.tolist()
            else:
                assert kept.tobytes() == values.tobytes()
    assert not taken
    assert {rejection.reason for rejection in found.rejected} <= {Reason.BAD_FEATURE}


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (FeatureKind.FLOAT, b"\x12\x0a\x0d\x00\x00\x80\x3f\x0d\x01\x00\x80\x7f"),
        (FeatureKind.INT64, b"\x1a\x06\x08\x07\x08\xff\xff\x03"),
        (FeatureKind.INT64, b"\x1a\x05\x0a\x03\x80\x00\x07"),
        (FeatureKind.INT64, b"\x1a\x0d\x0a\x0b\x07\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        (FeatureKind.BINARY, b"\x0a\x04\x0a\x00\x0a\x00"),
    ],
)
def test_other_ways_to_write_lists(kind: FeatureKind, stored: bytes) -> None:
    """Values that are not packed, and integers of more bytes than need be."""
    entry = b"\x0a\x01x\x12" + bytes([len(stored)]) + stored
    inner = b"\x0a" + bytes([len(entry)]) + entry
    plain = record((2, 1), None)
    others = tf.train.Example.FromString(plain).features.SerializeToString()
    content = others + inner
    size = len(content)
    payload = b"\x0a" + bytes([size & 0x7F | 0x80, size >> 7]) + content
    feature = Feature("x", 9 if kind.is_text else 1, kind, FeatureScope.WINDOW)
    tensorflow, wire = TensorFlowDecoder((feature,)), WireDecoder((feature,))
    records = as_records([payload, plain])
    expected = tensorflow.decode(records)
    for _ in range(2):
        assert_same(wire.decode(records), expected)
    values = parsed(payload, kind)
    if expected.rejected:
        assert values is None or len(values) != 2
    else:
        (kept, none) = expected.features["x"]
        assert none is None
        assert kept is not None
        assert (
            np.asarray(kept).reshape(-1).view(BITS[kind]).tolist()
            == values.view(BITS[kind]).tolist()
        )
