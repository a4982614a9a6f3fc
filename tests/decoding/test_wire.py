"""The wire decoder: records of forms that it knows, and others, which protobuf takes apart."""

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.decoding import wire_form
from a20_parquet.decoding.example import ProtobufDecoder
from a20_parquet.decoding.tensorflow import TensorFlowDecoder
from a20_parquet.decoding.wire import WireDecoder
from a20_parquet.windows.records import DecodedRecords
from tests.helpers.decoding import (
    FLOAT32,
    TENSOR,
    as_features,
    as_records,
    assert_same,
    bytes_feature,
    floats_feature,
    integers_feature,
    record_with,
)
from tests.helpers.shards import FILENAME, make_features, make_record, random_tensor, tensor_proto
from tests.helpers.wire import features_entry, field

CANONICAL: dict[str, Callable[[], bytes]] = {
    "float32": lambda: make_record(TENSOR),
    "float16": lambda: make_record(random_tensor((3, 1, 5), 1, np.float16)),
    "channels": lambda: make_record(random_tensor((2, 5, 8), 2)),
    "no name": lambda: make_record(TENSOR, ""),
    "a name that is no text": lambda: make_record(TENSOR, b"\xff\xfe\x0a\x00"),
    "before the recording": lambda: make_record(TENSOR, timestamp_s=-0.0),
    "no shape": lambda: record_with(embedding_shape=None),
    "another shape": lambda: record_with(embedding_shape=integers_feature(7, 300, 2**40)),
    "more features": lambda: record_with(
        nuisances=bytes_feature(b"one", b"", b"three" * 100),
        scores=floats_feature(1.5, float("nan")),
        none=floats_feature(),
        labels=integers_feature(-1, 0, 2**63 - 1, 300),
    ),
}


class _Unwanted(ProtobufDecoder):
    """Fails where it is asked for."""

    def decode(self, payload: bytes, rate_hz: float | None) -> NoReturn:
        raise AssertionError(f"{len(payload)} bytes at {rate_hz} Hz were left to protobuf")


def decoder_of_known_forms(features: tuple[str, ...] = ()) -> WireDecoder:
    """A decoder that fails where a record is of no known form."""
    decoder = WireDecoder(as_features(features))
    decoder._protobuf = _Unwanted()  # noqa: SLF001 - what it falls back on
    return decoder


def decode_alone(*payloads: bytes, features: tuple[str, ...] = ()) -> DecodedRecords:
    """Decode by known forms, and make sure that TensorFlow would say the same; twice."""
    decoder, records = decoder_of_known_forms(features), as_records(payloads, 7)
    expected = TensorFlowDecoder(as_features(features)).decode(records)
    for _ in range(2):
        found = decoder.decode(records)
        assert_same(found, expected)
        assert found.other_features == expected.other_features
    return found


@pytest.mark.parametrize("kind", CANONICAL)
def test_canonical_record(kind: str) -> None:
    """TensorFlow says the same, and is not needed."""
    assert len(decode_alone(CANONICAL[kind]()).metadata) == 1


def test_records_of_all_forms_at_once() -> None:
    """Each is decoded as its own form says."""
    payloads = [make() for make in CANONICAL.values()]
    found = decode_alone(*payloads, *reversed(payloads))
    assert len(found.metadata) == 2 * len(payloads)
    assert found.other_features == {"nuisances", "scores", "none", "labels"}


@pytest.mark.parametrize("shape", [(2, 1, 3), (2, 3)])
def test_features_that_are_wanted(shape: tuple[int, ...]) -> None:
    """They are tensors like the embedding; null where a record lacks them."""
    values = random_tensor(shape, 5, np.float16)
    payloads = [
        record_with(logits=bytes_feature(tensor_proto(19, shape, tensor_content=values.tobytes()))),
        make_record(TENSOR),
    ]
    found = decode_alone(*payloads, features=("logits",))
    (logits, missing) = found.features["logits"]
    assert missing is None
    assert logits is not None
    np.testing.assert_array_equal(logits, values.reshape(2, 1, 3))


def test_embeddings_are_used_where_they_lie() -> None:
    """No byte of them is copied."""
    payload = memoryview(bytearray(make_record(TENSOR)))
    records = as_records([payload])
    (embedding,) = decoder_of_known_forms().decode(records).embeddings
    assert np.shares_memory(embedding, np.frombuffer(payload, np.uint8))


def _example(names: list[str], features: dict[str, Any]) -> bytes:
    """A record whose features come in this order."""
    return field(1, b"".join(features_entry(name, features[name]) for name in names))


NAMES = ["embedding", "embedding_shape", "filename", "timestamp_s"]
RECORDS = st.builds(
    lambda names, shape, seed, is_half, filename, start_s: _example(
        names,
        make_features(
            random_tensor(shape, seed, np.float16 if is_half else np.float32), filename, start_s
        ),
    ),
    st.permutations(NAMES),
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.sampled_from([1, 4, 40])),
    st.integers(0, 3),
    st.booleans(),
    st.binary(max_size=3),
    st.floats(-1e9, 1e9, width=32),
)


@settings(max_examples=60)
@given(st.lists(RECORDS, min_size=1, max_size=8))
def test_features_in_any_order(payloads: list[bytes]) -> None:
    """A map has no order: each that a writer may choose is one more form."""
    assert len(decode_alone(*payloads).metadata) == len(payloads)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.data())
def test_changed_records_beside_their_originals(data: st.DataObject) -> None:
    """Whatever bytes change in a record whose form is known, TensorFlow says the same of it."""
    payload = data.draw(RECORDS)
    changed = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        # Most bytes are an embedding's, where any change is as good as none.
        place = data.draw(st.integers(0, len(payload) - 1))
        changed[place] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, changed[place] ^ 1]))
    cut = bytes(changed[: data.draw(st.sampled_from([len(payload), len(payload) - 1]))])
    decoder = WireDecoder()
    for payloads in ([payload], [payload, cut], [cut]):
        records = as_records(payloads)
        assert_same(decoder.decode(records), TensorFlowDecoder().decode(records))
    assert_tensorflow_agrees(cut)


def assert_tensorflow_agrees(payload: bytes) -> None:
    """What TensorFlow's own operations take is taken, with the same values.

    They do not look at what they are not asked for: a payload that is no message cannot be used.
    """
    found = WireDecoder().decode(as_records([payload]))
    spec = {
        "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
        "filename": tf.io.FixedLenFeature([], tf.string),
        "embedding": tf.io.FixedLenFeature([], tf.string),
    }
    is_half = bool(found.embeddings) and found.embeddings[0].itemsize == 2
    try:
        parsed = tf.io.parse_single_example(payload, spec)
        stamp = parsed["timestamp_s"].numpy()
        kind = tf.float16 if is_half else tf.float32
        tensor = tf.io.parse_tensor(parsed["embedding"], kind).numpy()
    except (tf.errors.OpError, UnicodeDecodeError):
        return
    if found.embeddings:
        assert found.metadata.filenames == [parsed["filename"].numpy()]
        assert found.metadata.timestamps_s.astype(np.float32).tobytes() == stamp.tobytes()
        assert found.embeddings[0].tobytes() == tensor.tobytes()
    elif abs(stamp) <= 1e9 and tensor.ndim in {2, 3} and tensor.size:
        with pytest.raises(DecodeError):
            tf.train.Example.FromString(payload)


@pytest.mark.parametrize(
    "payload",
    [
        record_with(timestamp_s=None, timestamp_offset=integers_feature(3)),
        make_record(TENSOR, proto=tensor_proto(FLOAT32, (2, 1, 4), float_val=[1.0])),
        make_record(TENSOR[:0]),
        make_record(TENSOR, timestamp_s=float("nan")),
        make_record(TENSOR, timestamp_s=2e9),
        record_with(embedding_shape=integers_feature()),
        record_with(filename=bytes_feature(b"a", b"b")),
        record_with(timestamp_s=floats_feature(1, 2)),
        make_record(TENSOR) + make_record(TENSOR),
        b"",
    ],
)
def test_what_is_left_to_protobuf(payload: bytes) -> None:
    """It is asked where a record is of another form, and only then."""
    with pytest.raises(AssertionError, match="left to protobuf"):
        decoder_of_known_forms().decode(as_records([make_record(TENSOR), payload]))
    decoder = WireDecoder()
    for payloads in ([payload], [make_record(TENSOR), payload, make_record(TENSOR)]):
        records = as_records(payloads, 3)
        assert_same(decoder.decode(records), TensorFlowDecoder().decode(records))
    assert_tensorflow_agrees(payload)


@pytest.mark.parametrize(
    "change",
    [
        (b"\x0a\x09embedding", b"\x0a\x09embeddin\xff"),
        (b"\x0a\x0fembedding_shape", b"\x0a\x0f\xff\xfe\xfdedding_shape"),
        (b"\x0a\x0fembedding_shape", b"\x0a\x0ftimestamp_offset"),
        (b"\x12\x06\x0a\x04", b"\x12\x06\x0d\x04"),
    ],
    ids=repr,
)
def test_odd_records_as_tensorflow_takes_them(change: tuple[bytes, bytes]) -> None:
    """Names that are no text among them."""
    payload = make_record(TENSOR)
    assert change[0] in payload
    changed = payload.replace(*change)
    assert_tensorflow_agrees(changed)
    records = as_records([changed])
    assert_same(WireDecoder().decode(records), TensorFlowDecoder().decode(records))


def test_more_forms_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of further forms are decoded as well."""
    monkeypatch.setattr(wire_form, "_MOST_LENGTHS", 2)
    monkeypatch.setattr(wire_form, "_MOST_FORMS_A_LENGTH", 1)
    payloads = [
        _example(names, make_features(TENSOR, "x" * length))
        for names in (NAMES, NAMES[::-1])
        for length in (3, 1, 2, 3)
    ]
    assert len(decode_alone(*payloads).metadata) == len(payloads)


def test_a_name_twice() -> None:
    """The last of its values counts, as for TensorFlow."""
    features = make_features(TENSOR, FILENAME)
    payload = _example(["filename", *NAMES], features)
    with pytest.raises(AssertionError, match="left to protobuf"):
        decoder_of_known_forms().decode(as_records([payload]))
    assert_tensorflow_agrees(payload)
