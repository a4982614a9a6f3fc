"""Decoding, compared bit for bit with TensorFlow's own one-record functions."""

import re
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
from a20_parquet.table.rejection import Reason
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


def as_records(payloads: Sequence[bytes], first: int = 0) -> Records:
    """Payloads as if they lay ``first`` records into a shard, 1,000 bytes apart."""
    offsets = [1000 * (first + index) for index in range(len(payloads))]
    return Records(SHARD, first, offsets, list(payloads))


def decode(payloads: Sequence[bytes], first: int = 0) -> DecodedRecords:
    """Decode payloads that all can be."""
    return TensorFlowDecoder().decode_strictly(as_records(payloads, first))


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
    text = make_features(TENSOR)
    text["embedding_shape"] = _bytes(b"2, 1, 4")
    for batch, disagreements in (([features, lying], 1), ([features, text], 1), ([features], 0)):
        found = decode([serialize(each) for each in batch])
        assert found.heads.shapes == [SHAPE] * len(batch)
        assert found.shape_disagreements == disagreements
    permuted = make_features(TENSOR) | {"embedding_shape": _integers(1, 2, 4)}
    assert decode([serialize(permuted), make_record(TENSOR)]).shape_disagreements == 1


@pytest.mark.parametrize("together", [True, False])
def test_older_timestamp(*, together: bool) -> None:
    """``timestamp_offset`` counts where ``timestamp_s`` is absent or empty, else not."""
    payloads = [
        _with(timestamp_s=None, timestamp_offset=_integers(180)),
        _with(timestamp_s=_floats(7.5), timestamp_offset=_integers(180)),
        _with(timestamp_s=tf.train.Feature(), timestamp_offset=_integers(-60)),
        _with(timestamp_s=_floats(2.5), timestamp_offset=_bytes(b"text")),
        _with(filename=_bytes(b"timestamp_s"), timestamp_s=None, timestamp_offset=_integers(3)),
    ]
    batches = [payloads] if together else [[payload] for payload in payloads]
    stamps = [stamp for batch in batches for stamp in decode(batch).heads.timestamps_s.tolist()]
    assert stamps == [180.0, 7.5, -60.0, 2.5, 3.0]


def test_negative_zero_is_a_timestamp() -> None:
    """Hoplite's writer stores -0.0."""
    (stamp,) = decode([make_record(TENSOR, timestamp_s=-0.0)]).heads.timestamps_s
    assert str(stamp) == "-0.0"


@pytest.mark.parametrize("last", [0, 1])
def test_duplicate_keys_are_as_tensorflow_takes_them(last: int) -> None:
    """Where a key comes twice, the value is the one that TensorFlow reads."""
    features = make_features(TENSOR, "a.wav", 5.0)
    names = [_entry("filename", _bytes(b"b.wav")), _entry("filename", features["filename"])]
    entries = [_entry(name, features[name]) for name in ("embedding", "timestamp_s")]
    content = b"".join([names[1 - last], *entries, names[last]])
    assert_equals_tensorflow(
        [payload := b"\x0a" + _varint(len(content)) + content], decode([payload])
    )


def _bytes(*values: bytes) -> Any:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _integers(*values: int) -> Any:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def _raw_float(raw: int) -> Any:
    """A float whose bits no Python float keeps."""
    return tf.train.Feature.FromString(b"\x12\x06\x0a\x04" + raw.to_bytes(4, "little"))


def _floats(*values: float) -> Any:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _with(**features: Any) -> bytes:
    """A record with other features; None leaves one out."""
    merged = make_features(TENSOR) | features
    return serialize({name: value for name, value in merged.items() if value is not None})


def _with_proto(*args: Any, **values: Any) -> bytes:
    return make_record(TENSOR, proto=tensor_proto(*args, **values))


BAD: dict[str, tuple[Callable[[], bytes], Reason, str]] = {
    "no Example": (
        lambda: b"\xff" * 20,
        Reason.NOT_AN_EXAMPLE,
        "the payload is no tf.train.Example",
    ),
    "cut Example": (
        lambda: make_record(TENSOR)[:-3],
        Reason.NOT_AN_EXAMPLE,
        "the payload is no tf.train.Example",
    ),
    "empty": (lambda: b"", Reason.BAD_FEATURE, "it has no feature 'timestamp_s' .it has: none"),
    "no embedding": (
        lambda: _with(embedding=None),
        Reason.BAD_FEATURE,
        "no feature 'embedding' .it has: embedding_shape, filename, timestamp_s",
    ),
    "no filename": (lambda: _with(filename=None), Reason.BAD_FEATURE, "no feature 'filename'"),
    "no timestamp": (
        lambda: _with(timestamp_s=None),
        Reason.BAD_FEATURE,
        "no feature 'timestamp_s'",
    ),
    "text timestamp": (
        lambda: _with(timestamp_s=_bytes(b"5")),
        Reason.BAD_FEATURE,
        "feature 'timestamp_s' is a bytes_list, expected a float_list",
    ),
    "integer timestamp": (
        lambda: _with(timestamp_s=tf.train.Feature(int64_list=tf.train.Int64List(value=[5]))),
        Reason.BAD_FEATURE,
        "feature 'timestamp_s' is a int64_list, expected a float_list",
    ),
    "number filename": (
        lambda: _with(filename=_floats(5)),
        Reason.BAD_FEATURE,
        "feature 'filename' is a float_list, expected a bytes_list",
    ),
    "list embedding": (
        lambda: _with(embedding=_floats(1, 2)),
        Reason.BAD_FEATURE,
        "feature 'embedding' is a float_list, expected a bytes_list",
    ),
    "kindless": (
        lambda: _with(filename=tf.train.Feature()),
        Reason.BAD_FEATURE,
        "feature 'filename' is a feature without a value, expected a bytes_list",
    ),
    "two names": (
        lambda: _with(filename=_bytes(b"a", b"b")),
        Reason.BAD_FEATURE,
        "'filename' has 2 values",
    ),
    "two stamps": (
        lambda: _with(timestamp_s=_floats(1, 2)),
        Reason.BAD_FEATURE,
        "'timestamp_s' has 2 values",
    ),
    "no stamps": (
        lambda: _with(timestamp_s=_floats()),
        Reason.BAD_FEATURE,
        "'timestamp_s' has 0 values",
    ),
    "two tensors": (
        lambda: _with(embedding=_bytes(b"", b"")),
        Reason.BAD_FEATURE,
        "'embedding' has 2 values",
    ),
    "no TensorProto": (
        lambda: make_record(TENSOR, proto=b"\xff" * 20),
        Reason.BAD_TENSOR,
        "'embedding' is no serialized TensorProto",
    ),
    "empty TensorProto": (
        lambda: make_record(TENSOR, proto=b""),
        Reason.BAD_TENSOR,
        "dtype is number 0",
    ),
    "float64": (
        lambda: make_record(TENSOR.astype(np.float64)),
        Reason.BAD_TENSOR,
        r"dtype is number 2 .*float32",
    ),
    "string": (
        lambda: _with_proto(STRING, SHAPE, string_val=[b"x"]),
        Reason.BAD_TENSOR,
        "dtype is number 7 ",
    ),
    "bfloat16": (
        lambda: _with_proto(BFLOAT16, SHAPE, half_val=[1]),
        Reason.BAD_TENSOR,
        "dtype is number 14 ",
    ),
    "rank 0": (
        lambda: _with_proto(FLOAT32, (), float_val=[1]),
        Reason.BAD_TENSOR,
        r"shape is \(\), expected",
    ),
    "rank 2": (
        lambda: make_record(random_tensor((12, 4))),
        Reason.BAD_TENSOR,
        r"shape is \(12, 4\), expected \(windows, channels, dims\)",
    ),
    "rank 4": (
        lambda: make_record(random_tensor((1, 2, 1, 4))),
        Reason.BAD_TENSOR,
        r"shape is \(1, 2, 1, 4\)",
    ),
    "short content": (
        lambda: _with_proto(FLOAT32, SHAPE, tensor_content=bytes(31)),
        Reason.BAD_TENSOR,
        r"content has 31 bytes, which do not fill shape \(2, 1, 4\) of float32",
    ),
    "long content": (
        lambda: _with_proto(FLOAT16, SHAPE, tensor_content=bytes(32)),
        Reason.BAD_TENSOR,
        r"content has 32 bytes, which do not fill shape \(2, 1, 4\) of float16",
    ),
    "content of nothing": (
        lambda: _with_proto(FLOAT32, (0, 1, 4), tensor_content=bytes(4)),
        Reason.BAD_TENSOR,
        "content has 4 bytes",
    ),
    "many values": (
        lambda: _with_proto(FLOAT32, SHAPE, float_val=range(9)),
        Reason.BAD_TENSOR,
        r"has 9 values, more than fill shape \(2, 1, 4\)",
    ),
    "negative": (
        lambda: _with_proto(FLOAT32, (2, -1, 4), float_val=[1]),
        Reason.BAD_TENSOR,
        r"shape is \(2, -1, 4\), expected",
    ),
    "twice negative": (
        lambda: _with_proto(FLOAT32, (-2, -1, 4), tensor_content=bytes(32)),
        Reason.BAD_TENSOR,
        r"shape is \(-2, -1, 4\), expected",
    ),
    "huge": (
        lambda: _with_proto(FLOAT32, (2**40, 2**20, 1280), float_val=[1]),
        Reason.BAD_TENSOR,
        "more bytes than a protobuf may hold",
    ),
    "nan": (
        lambda: make_record(TENSOR, timestamp_s=float("nan")),
        Reason.BAD_TIMESTAMP,
        "timestamp_s is nan, expected seconds",
    ),
    "infinite": (
        lambda: make_record(TENSOR, timestamp_s=float("-inf")),
        Reason.BAD_TIMESTAMP,
        "timestamp_s is -inf, expected seconds",
    ),
    "far": (
        lambda: make_record(TENSOR, timestamp_s=1.1e9),
        Reason.BAD_TIMESTAMP,
        r"timestamp_s is 11000000\d\d.0, expected seconds",
    ),
    "far offset": (
        lambda: _with(timestamp_s=None, timestamp_offset=_integers(-(10**10))),
        Reason.BAD_TIMESTAMP,
        "is -10000000000.0, expected seconds",
    ),
    "least offset": (
        lambda: _with(timestamp_s=None, timestamp_offset=_integers(-(2**63))),
        Reason.BAD_TIMESTAMP,
        "expected seconds",
    ),
    "two offsets": (
        lambda: _with(timestamp_s=None, timestamp_offset=_integers(1, 2)),
        Reason.BAD_FEATURE,
        "feature 'timestamp_offset' has 2 values",
    ),
    "float offset": (
        lambda: _with(timestamp_s=None, timestamp_offset=_floats(1)),
        Reason.BAD_FEATURE,
        "'timestamp_offset' is a float_list, expected a int64_list",
    ),
    "nan beside an offset": (
        lambda: _with(timestamp_s=_floats(float("nan")), timestamp_offset=_integers(5)),
        Reason.BAD_TIMESTAMP,
        "timestamp_s is nan",
    ),
    "the NaN that stands for none, beside an offset": (
        lambda: _with(timestamp_s=_raw_float(0x7FE20A20), timestamp_offset=_integers(5)),
        Reason.BAD_TIMESTAMP,
        "timestamp_s is nan",
    ),
}


SOME_GOOD: dict[str, Callable[[], bytes]] = {
    "good": lambda: make_record(TENSOR, timestamp_s=-0.0),
    "old": lambda: _with(timestamp_s=None, timestamp_offset=_integers(120)),
    "lying": lambda: _with(embedding_shape=_integers(9)),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 2)])
def test_bad_record(kind: str, before: int, after: int) -> None:
    """A record that can't be converted is named with the reason, and takes no other with it."""
    make, code, message = BAD[kind]
    payloads = [make_record(TENSOR)] * before + [make()] + [make_record(TENSOR)] * after
    records = as_records(payloads, first=20)
    found = TensorFlowDecoder().decode(records)
    (rejection,) = found.rejected
    assert (rejection.number, rejection.reason) == (20 + before, code)
    assert re.search(message, rejection.message)
    numbers = [20 + index for index in range(len(payloads)) if index != before]
    assert found.heads.numbers.tolist() == numbers
    assert found.heads.offsets == [1000 * number for number in numbers]
    assert_equals_tensorflow(payloads[:before] + payloads[before + 1 :], found)
    with pytest.raises(RecordError, match=message) as caught:
        TensorFlowDecoder().decode_strictly(records)
    error = caught.value
    assert (error.shard, error.record, error.offset, error.code) == (
        "store://shard",
        20 + before,
        1000 * (20 + before),
        code,
    )
    assert str(error).startswith(f"store://shard: record {20 + before} at byte {error.offset}: ")
    assert str(error).endswith(code.fix)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from(["good", "old", "lying", *BAD]), min_size=1, max_size=12))
def test_a_records_fate_does_not_depend_on_others(kinds: list[str]) -> None:
    """Batches of one, of three and of all give the same records and the same rejections."""
    payloads = [SOME_GOOD[kind]() if kind in SOME_GOOD else BAD[kind][0]() for kind in kinds]

    def decode_in(size: int) -> tuple[Any, ...]:
        decoder = TensorFlowDecoder()
        batches = [
            decoder.decode(as_records(payloads[start : start + size], start))
            for start in range(0, len(payloads), size)
        ]
        return (
            [number for batch in batches for number in batch.heads.numbers.tolist()],
            [stamp for batch in batches for stamp in batch.heads.timestamps_s.tolist()],
            [bits(tensor).tolist() for batch in batches for tensor in batch.embeddings],
            [rejection for batch in batches for rejection in batch.rejected],
            sum(batch.shape_disagreements for batch in batches),
        )

    together = decode_in(len(payloads))
    assert together == decode_in(1) == decode_in(3)
    assert together[0] == [index for index, kind in enumerate(kinds) if kind in SOME_GOOD]
    found = [(rejection.number, rejection.reason) for rejection in together[3]]
    assert found == [(i, BAD[kind][1]) for i, kind in enumerate(kinds) if kind in BAD]
    assert together[4] == kinds.count("lying")


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_changed_payload_is_rejected_or_what_tensorflow_reads(data: st.DataObject) -> None:
    """Any damage that no checksum tells gives a rejection or the values of TensorFlow."""
    payload = bytearray(make_record(random_tensor((1, 1, 2)), "a.wav"))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    payloads = [make_record(TENSOR), bytes(payload)]
    found = TensorFlowDecoder().decode(as_records(payloads))
    alone = TensorFlowDecoder().decode(as_records(payloads[1:], 1))
    assert alone.rejected == found.rejected
    assert found.heads.numbers.tolist() == ([0] if found.rejected else [0, 1])
    if found.rejected:
        assert_equals_tensorflow(payloads[:1], found)
    elif _tensorflow_parses(payloads[1]):
        assert_equals_tensorflow(payloads, found)


def _tensorflow_parses(payload: bytes) -> bool:
    """Whether TensorFlow takes the record as a new one; protobuf also takes older ones."""
    try:
        tf.io.parse_single_example(payload, {"timestamp_s": tf.io.FixedLenFeature([], tf.float32)})
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError):
        return False
    return True


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
