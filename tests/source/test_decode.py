"""Decoding, compared bit for bit with TensorFlow's own one-record functions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.errors import RecordError
from a20_parquet.source.decode import TensorFlowDecoder
from a20_parquet.source.frames import read_records
from a20_parquet.source.records import Records
from a20_parquet.source.shard import Shard
from a20_parquet.table.decoded import DecodedRecords
from tests.shards import (
    FILENAME,
    make_features,
    make_record,
    open_shard,
    random_tensor,
    serialize,
    tensor_proto,
    write_shard,
)

FLOAT32, FLOAT64, STRING, FLOAT16, BFLOAT16 = 1, 2, 7, 19, 14
BITS = {np.dtype(np.float32): np.uint32, np.dtype(np.float16): np.uint16}
SHAPE = (2, 1, 4)
TENSOR = random_tensor(SHAPE)
SHARD = Shard("shard", "store://shard", 3, "shard", 0, None)


def decode(payloads: Sequence[bytes], first: int = 0) -> DecodedRecords:
    """Decode payloads as if they lay ``first`` records into a shard, 1,000 bytes apart."""
    offsets = [1000 * (first + index) for index in range(len(payloads))]
    records = Records(SHARD, first, offsets, list(payloads))
    return TensorFlowDecoder().decode_strictly(records)


def bits(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The values as integers, for NaN is not equal to itself, but -0.0 is to 0.0."""
    return np.ascontiguousarray(array).view(BITS[array.dtype])


def assert_equals_tensorflow(payloads: Sequence[bytes], found: DecodedRecords) -> None:
    assert len(found.heads) == len(found.embeddings) == len(payloads)
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
        assert embedding.shape == tensor.shape == found.heads.shapes[index]
        np.testing.assert_array_equal(bits(embedding), bits(tensor))
        assert found.heads.filenames[index] == parsed["filename"].numpy()
        stamp = np.float32(found.heads.timestamps_s[index])
        assert stamp.tobytes() == parsed["timestamp_s"].numpy().tobytes()


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
    return tensor_proto(dtype, shape) + _float_val(raw[:count].tobytes())


def _float_val(content: bytes) -> bytes:
    """Field 5 of ``TensorProto``, packed."""
    assert len(content) < 16_384
    length = len(content)
    varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return b"\x2a" + varint + content


@settings(deadline=None, max_examples=100)
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
    """The last value stands for all that follow; no value at all for zeros."""
    payloads = [make_record(TENSOR), make_record(TENSOR, proto=proto), make_record(TENSOR)]
    found = decode(payloads)
    assert found.embeddings[1].reshape(-1).tolist() == expected
    assert_equals_tensorflow(payloads, found)


def test_heads() -> None:
    """What else a record says comes out in record order, with where it lies."""
    payloads = [
        make_record(random_tensor((12, 1, 8)), "a.wav", 60.0),
        make_record(random_tensor((11, 5, 8)), b"\xff\0bytes\0", 0.1),
    ]
    heads = decode(payloads, first=7).heads
    assert (heads.shard, heads.position) == ("store://shard", 3)
    assert heads.numbers.tolist() == list(range(7, 7 + len(payloads)))
    assert heads.offsets == [7000, 8000]
    assert heads.filenames == [b"a.wav", b"\xff\0bytes\0"]
    assert heads.timestamps_s.tolist() == [60.0, float(np.float32(0.1))]
    assert heads.shapes == [(12, 1, 8), (11, 5, 8)]


@given(st.permutations(["timestamp_s", "filename", "embedding", "embedding_shape", "other"]))
@settings(deadline=None, max_examples=20)
def test_features_in_any_order(order: list[str]) -> None:
    """Features may come in any order, beside others that the package does not know."""
    features = make_features(TENSOR, timestamp_s=5.0)
    features["other"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2, 3]))
    # Messages concatenate: each feature as an Example of its own fixes the order of the bytes.
    payload = b"".join(_entry(name, features[name]) for name in order)
    example = b"\x0a" + _varint(len(payload)) + payload
    assert tf.train.Example.FromString(example) == tf.train.Example.FromString(serialize(features))
    assert_equals_tensorflow([example], decode([example]))


def _varint(value: int) -> bytes:
    low, high = value & 127, value >> 7
    return bytes([low | 128]) + _varint(high) if high else bytes([low])


def _entry(name: str, feature: Any) -> bytes:
    """One entry of a ``Features`` map, on the wire."""
    key = name.encode()
    value: bytes = feature.SerializeToString()
    entry = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(value)) + value
    return b"\x0a" + _varint(len(entry)) + entry


def test_without_embedding_shape() -> None:
    """The tensor's own shape counts: the feature that repeats it may lie or be absent."""
    features = make_features(TENSOR)
    del features["embedding_shape"]
    lying = make_features(TENSOR)
    lying["embedding_shape"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[9]))
    found = decode([serialize(features), serialize(lying)])
    assert found.heads.shapes == [SHAPE, SHAPE]


def _bytes(*values: bytes) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _floats(*values: float) -> Any:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _with(**features: Any) -> bytes:
    """A record with other features; None leaves one out."""
    merged = make_features(TENSOR) | features
    return serialize({name: value for name, value in merged.items() if value is not None})


def _with_proto(*args: Any, **values: Any) -> bytes:
    return make_record(TENSOR, proto=tensor_proto(*args, **values))


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "no Example": (lambda: b"\xff" * 20, "the payload is no tf.train.Example"),
    "cut Example": (lambda: make_record(TENSOR)[:-3], "the payload is no tf.train.Example"),
    "empty": (lambda: b"", "it has no feature 'timestamp_s' .it has: none"),
    "no embedding": (
        lambda: _with(embedding=None),
        "no feature 'embedding' .it has: embedding_shape, filename, timestamp_s",
    ),
    "no filename": (lambda: _with(filename=None), "no feature 'filename'"),
    "no timestamp": (lambda: _with(timestamp_s=None), "no feature 'timestamp_s'"),
    "text timestamp": (
        lambda: _with(timestamp_s=_bytes(b"5")),
        "feature 'timestamp_s' is a bytes_list, expected a float_list",
    ),
    "integer timestamp": (
        lambda: _with(timestamp_s=tf.train.Feature(int64_list=tf.train.Int64List(value=[5]))),
        "feature 'timestamp_s' is a int64_list, expected a float_list",
    ),
    "number filename": (
        lambda: _with(filename=_floats(5)),
        "feature 'filename' is a float_list, expected a bytes_list",
    ),
    "list embedding": (
        lambda: _with(embedding=_floats(1, 2)),
        "feature 'embedding' is a float_list, expected a bytes_list",
    ),
    "kindless": (
        lambda: _with(filename=tf.train.Feature()),
        "feature 'filename' is a feature without a value, expected a bytes_list",
    ),
    "two names": (lambda: _with(filename=_bytes(b"a", b"b")), "'filename' has 2 values"),
    "two stamps": (lambda: _with(timestamp_s=_floats(1, 2)), "'timestamp_s' has 2 values"),
    "no stamps": (lambda: _with(timestamp_s=_floats()), "'timestamp_s' has 0 values"),
    "two tensors": (lambda: _with(embedding=_bytes(b"", b"")), "'embedding' has 2 values"),
    "no TensorProto": (
        lambda: make_record(TENSOR, proto=b"\xff" * 20),
        "'embedding' is no serialized TensorProto",
    ),
    "empty TensorProto": (lambda: make_record(TENSOR, proto=b""), "dtype is number 0"),
    "float64": (lambda: make_record(TENSOR.astype(np.float64)), r"dtype is number 2 .*float32"),
    "string": (lambda: _with_proto(STRING, SHAPE, string_val=[b"x"]), "dtype is number 7 "),
    "bfloat16": (lambda: _with_proto(BFLOAT16, SHAPE, half_val=[1]), "dtype is number 14 "),
    "rank 0": (lambda: _with_proto(FLOAT32, (), float_val=[1]), r"shape is \(\), expected"),
    "rank 2": (
        lambda: make_record(random_tensor((12, 4))),
        r"shape is \(12, 4\), expected \(windows, channels, dims\)",
    ),
    "rank 4": (lambda: make_record(random_tensor((1, 2, 1, 4))), r"shape is \(1, 2, 1, 4\)"),
    "short content": (
        lambda: _with_proto(FLOAT32, SHAPE, tensor_content=bytes(31)),
        r"content has 31 bytes, which do not fill shape \(2, 1, 4\) of float32",
    ),
    "long content": (
        lambda: _with_proto(FLOAT16, SHAPE, tensor_content=bytes(32)),
        r"content has 32 bytes, which do not fill shape \(2, 1, 4\) of float16",
    ),
    "content of nothing": (
        lambda: _with_proto(FLOAT32, (0, 1, 4), tensor_content=bytes(4)),
        "content has 4 bytes",
    ),
    "many values": (
        lambda: _with_proto(FLOAT32, SHAPE, float_val=range(9)),
        r"has 9 values, more than fill shape \(2, 1, 4\)",
    ),
    "negative": (
        lambda: _with_proto(FLOAT32, (2, -1, 4), float_val=[1]),
        r"shape is \(2, -1, 4\), expected",
    ),
    "twice negative": (
        lambda: _with_proto(FLOAT32, (-2, -1, 4), tensor_content=bytes(32)),
        r"shape is \(-2, -1, 4\), expected",
    ),
    "huge": (
        lambda: _with_proto(FLOAT32, (2**40, 2**20, 1280), float_val=[1]),
        "more bytes than a protobuf may hold",
    ),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 2)])
def test_bad_record(kind: str, before: int, after: int) -> None:
    """A record that can't be converted is named with the reason, whatever stands around it."""
    make, reason = BAD[kind]
    payloads = [make_record(TENSOR)] * before + [make()] + [make_record(TENSOR)] * after
    with pytest.raises(RecordError, match=reason) as caught:
        decode(payloads, first=20)
    error = caught.value
    assert (error.shard, error.record, error.offset) == (
        "store://shard",
        20 + before,
        1000 * (20 + before),
    )
    assert str(error).startswith(f"store://shard: record {20 + before} at byte {error.offset}: ")
    assert str(error).endswith("Leave the shard out, or have the record written again.")


@settings(deadline=None, max_examples=30)
@given(st.permutations(list(BAD)), st.integers(0, 2))
def test_first_bad_record_is_named(kinds: list[str], good: int) -> None:
    """Of several bad records the first is named, whatever is wrong with the others."""
    payloads = [make_record(TENSOR)] * good + [BAD[kind][0]() for kind in kinds[:4]]
    with pytest.raises(RecordError, match=BAD[kinds[0]][1]) as caught:
        decode(payloads)
    assert caught.value.record == good


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_changed_payload_is_an_error_or_what_tensorflow_reads(data: st.DataObject) -> None:
    """Any damage that no checksum tells gives a RecordError or the values of TensorFlow."""
    payload = bytearray(make_record(random_tensor((1, 1, 2)), "a.wav"))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    payloads = [make_record(TENSOR), bytes(payload)]
    try:
        found = decode(payloads)
    except RecordError as error:
        assert error.record == 1  # noqa: PT017 -- either outcome is right
    else:
        assert_equals_tensorflow(payloads, found)


@pytest.mark.parametrize("batch_bytes", [1, 100_000, 8 << 20])
@pytest.mark.parametrize("folder", ["perch-real", "hoplite", "notebook/shards"])
def test_real_shards(real_data: Path, folder: str, batch_bytes: int) -> None:
    """Every record of every real shard is what TensorFlow reads."""
    paths = sorted((real_data / folder).glob("embeddings-*"))
    assert paths
    decoder = TensorFlowDecoder()
    for path in paths:
        expected = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        count = 0
        for records in read_records(open_shard(path), batch_bytes):
            payloads = expected[count : count + len(records.payloads)]
            found = decoder.decode(records)
            assert_equals_tensorflow(payloads, found)
            assert (found.heads.numbers[0], found.heads.shard) == (count, str(path))
            count += len(payloads)
        assert count == len(expected)


def test_values_outlive_the_buffer(tmp_path: Path) -> None:
    """Decoded values stay when the next batch overwrites the buffer they were read into."""
    tensors = [random_tensor(SHAPE, seed) for seed in range(20)]
    path = write_shard(
        tmp_path / "shard", [make_record(t, f"{FILENAME}{i}") for i, t in enumerate(tensors)]
    )
    decoder = TensorFlowDecoder()
    kept = [decoder.decode(records) for records in read_records(open_shard(path), 1)]
    assert len(kept) > 1
    found = [embedding for batch in kept for embedding in batch.embeddings]
    np.testing.assert_array_equal(found, tensors)
    names = [name for batch in kept for name in batch.heads.filenames]
    assert names == [f"{FILENAME}{index}".encode() for index in range(20)]
