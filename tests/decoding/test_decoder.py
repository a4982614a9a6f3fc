"""Decoding, compared bit for bit with TensorFlow's own one-record functions."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.tfrecord.frames import read_records
from tests.helpers.decoding import (
    BITS,
    FLOAT16,
    FLOAT32,
    RATE_HZ,
    SHAPE,
    TENSOR,
    BothDecoders,
    assert_equals_tensorflow,
    bits,
    bytes_feature,
    decode,
    floats_feature,
    integers_feature,
    record_with,
)
from tests.helpers.shards import (
    make_features,
    make_record,
    open_shard,
    random_tensor,
    serialize,
    tensor_proto,
)
from tests.helpers.wire import features_entry, field

shapes = st.tuples(st.integers(0, 4), st.integers(1, 3), st.integers(1, 6))


@st.composite
def protos(draw: st.DrawFn) -> bytes:
    """Serialized tensors of any bits, in each of the ways that the format has for them."""
    shape = draw(shapes)
    size = int(np.prod(shape))
    dtype = draw(st.sampled_from([FLOAT32, FLOAT16]))
    kind = np.dtype(np.float32 if dtype == FLOAT32 else np.float16)
    width = 8 * kind.itemsize
    values = st.one_of(
        st.integers(0, 2**width - 1),
        # Subnormals, both zeros, infinities and NaNs, quiet and signalling.
        st.integers(0, 3),
        st.integers(0, 3).map(lambda low: low | 1 << width - 1),
        st.integers(0, 3).map(lambda low: low | (0x7F800000 if width == 32 else 0x7C00)),
        st.integers(0, 3).map(lambda low: low | (0xFFC00000 if width == 32 else 0xFE00)),
    )
    count = draw(st.one_of(st.just(size), st.integers(0, size)))
    raw = np.array(draw(st.lists(values, min_size=size, max_size=size)), BITS[kind])
    if draw(st.booleans()):
        return tensor_proto(dtype, shape, tensor_content=raw.tobytes())
    if dtype == FLOAT16:
        return tensor_proto(dtype, shape, half_val=raw[:count].tolist())
    # A float_val that goes through Python would lose which NaN it was.
    return tensor_proto(dtype, shape) + field(5, raw[:count].tobytes())


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(protos(), st.floats(-1e9, 1e9, width=32), st.binary(max_size=30)),
        min_size=1,
        max_size=8,
    )
)
def test_any_tensors_equal_tensorflows(records: list[tuple[bytes, float, bytes]]) -> None:
    """Any mix of dtypes, shapes and forms in one batch is what TensorFlow makes of each record."""
    payloads = [
        make_record(np.zeros(SHAPE, np.float32), name, stamp, proto)
        for proto, stamp, name in records
    ]
    assert_equals_tensorflow(payloads, decode(payloads))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_special_values(dtype: npt.DTypeLike) -> None:
    """NaN payloads, both zeros, infinities and subnormals keep each bit."""
    kind = np.dtype(dtype)
    patterns = {
        np.dtype(np.float32): [0x7FC00001, 0xFFC12345, 0x7FA00001, 0x80000000, 1, 0x7F800000],
        np.dtype(np.float16): [0x7E01, 0xFE55, 0x7D01, 0x8000, 1, 0x7C00],
    }
    raw = np.array(patterns[kind], BITS[kind]).reshape(1, 2, 3)
    width = 8 * kind.itemsize
    (embedding,) = decode([make_record(raw.view(kind))]).embeddings
    assert embedding.dtype == kind
    np.testing.assert_array_equal(bits(embedding), raw)
    assert width in {16, 32}


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        (tensor_proto(FLOAT32, (1, 1, 4), float_val=[1, 2]), [1, 2, 2, 2]),
        (tensor_proto(FLOAT32, (1, 1, 4), float_val=[7]), [7, 7, 7, 7]),
        (tensor_proto(FLOAT32, (1, 1, 4)), [0, 0, 0, 0]),
        (tensor_proto(FLOAT16, (1, 1, 4), half_val=[0x3C00, 0x4000]), [1, 2, 2, 2]),
        (tensor_proto(FLOAT16, (1, 1, 4)), [0, 0, 0, 0]),
        (tensor_proto(FLOAT32, (0, 1, 4)), []),
        (tensor_proto(FLOAT32, (2, 0, 4)), []),
    ],
)
def test_values_shorter_than_the_shape(proto: bytes, expected: list[float]) -> None:
    """The last value is repeated; without any value all are zeros."""
    payloads = [make_record(TENSOR), make_record(TENSOR, proto=proto), make_record(TENSOR)]
    found = decode(payloads)
    assert found.embeddings[1].reshape(-1).tolist() == expected
    assert_equals_tensorflow(payloads, found)


def test_metadata() -> None:
    """Filenames, timestamps and offsets are in record order."""
    payloads = [
        make_record(random_tensor((12, 1, 8)), "a.wav", 60.0),
        make_record(random_tensor((11, 5, 8)), b"\xff\0bytes\0", 0.1),
    ]
    metadata = decode(payloads, first=7).metadata
    assert (metadata.shard, metadata.position) == ("store://shard", 3)
    assert metadata.numbers.tolist() == list(range(7, 7 + len(payloads)))
    assert metadata.offsets == [7000, 8000]
    assert metadata.filenames == [b"a.wav", b"\xff\0bytes\0"]
    assert metadata.timestamps_s.tolist() == [60.0, float(np.float32(0.1))]
    assert metadata.shapes == [(12, 1, 8), (11, 5, 8)]


@given(st.permutations(["timestamp_s", "filename", "embedding", "embedding_shape", "other"]))
@settings(max_examples=20)
def test_features_in_any_order(order: list[str]) -> None:
    """Features may come in any order, beside others that the package does not know."""
    features = make_features(TENSOR, timestamp_s=5.0)
    features["other"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2, 3]))
    # Messages concatenate: each feature as an Example of its own fixes the order of the bytes.
    example = field(1, b"".join(features_entry(name, features[name]) for name in order))
    assert tf.train.Example.FromString(example) == tf.train.Example.FromString(serialize(features))
    assert_equals_tensorflow([example], decode([example]))


def test_without_embedding_shape() -> None:
    """The tensor's own shape counts: the feature that repeats it may be wrong or absent."""
    features = make_features(TENSOR)
    del features["embedding_shape"]
    lying = make_features(TENSOR)
    lying["embedding_shape"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[9]))
    text = make_features(TENSOR)
    text["embedding_shape"] = bytes_feature(b"2, 1, 4")
    for batch, disagreements in (([features, lying], 1), ([features, text], 1), ([features], 0)):
        found = decode([serialize(each) for each in batch])
        assert found.metadata.shapes == [SHAPE] * len(batch)
        assert found.shape_disagreements == disagreements
    permuted = make_features(TENSOR) | {"embedding_shape": integers_feature(1, 2, 4)}
    assert decode([serialize(permuted), make_record(TENSOR)]).shape_disagreements == 1


@pytest.mark.parametrize("together", [True, False])
def test_older_timestamp(*, together: bool) -> None:
    """``timestamp_offset``, in samples, counts where ``timestamp_s`` is absent or empty."""
    payloads = [
        record_with(timestamp_s=None, timestamp_offset=integers_feature(180)),
        record_with(timestamp_s=floats_feature(7.5), timestamp_offset=integers_feature(180)),
        record_with(timestamp_s=tf.train.Feature(), timestamp_offset=integers_feature(-60)),
        record_with(timestamp_s=floats_feature(2.5), timestamp_offset=bytes_feature(b"text")),
        record_with(
            filename=bytes_feature(b"timestamp_s"),
            timestamp_s=None,
            timestamp_offset=integers_feature(3),
        ),
    ]
    batches = [payloads] if together else [[payload] for payload in payloads]
    stamps = [stamp for batch in batches for stamp in decode(batch).metadata.timestamps_s.tolist()]
    assert stamps == [180 / RATE_HZ, 7.5, -60 / RATE_HZ, 2.5, 3 / RATE_HZ]


def test_negative_zero_is_a_timestamp() -> None:
    """Hoplite's writer stores -0.0."""
    (stamp,) = decode([make_record(TENSOR, timestamp_s=-0.0)]).metadata.timestamps_s
    assert str(stamp) == "-0.0"


@pytest.mark.parametrize("last", [0, 1])
def test_duplicate_keys_are_as_tensorflow_takes_them(last: int) -> None:
    """Where a key comes twice, the value is the one that TensorFlow reads."""
    features = make_features(TENSOR, "a.wav", 5.0)
    names = [features_entry("filename", bytes_feature(b"b.wav"))]
    names.append(features_entry("filename", features["filename"]))
    entries = [features_entry(name, features[name]) for name in ("embedding", "timestamp_s")]
    content = b"".join([names[1 - last], *entries, names[last]])
    assert_equals_tensorflow([payload := field(1, content)], decode([payload]))


@pytest.mark.parametrize("batch_bytes", [1, 100_000, 8 << 20])
@pytest.mark.parametrize("folder", ["perch-real", "hoplite", "notebook/shards"])
def test_real_shards(real_data: Path, folder: str, batch_bytes: int) -> None:
    """Every record of every real shard is what TensorFlow reads."""
    paths = sorted((real_data / folder).glob("embeddings-*"))
    assert paths
    decoder = BothDecoders()
    for path in paths:
        expected = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        count = 0
        for records in read_records(open_shard(path), batch_bytes):
            payloads = expected[count : count + len(records.payloads)]
            found = decoder.decode(records)
            assert_equals_tensorflow(payloads, found)
            assert (found.metadata.numbers[0], found.metadata.shard) == (count, str(path))
            count += len(payloads)
        assert count == len(expected)
