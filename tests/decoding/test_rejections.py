"""Records that cannot be decoded: each is rejected with its reason, and takes no other with it."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.decoding.decoder import decode_strictly
from a20_parquet.errors import RecordError
from a20_parquet.windows.rejection import Reason
from tests.helpers.decoding import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    SHAPE,
    STRING,
    TENSOR,
    BothDecoders,
    as_records,
    assert_equals_tensorflow,
    bits,
    bytes_feature,
    floats_feature,
    integers_feature,
    raw_float_feature,
    record_with,
    record_with_proto,
)
from tests.helpers.shards import (
    make_record,
    random_tensor,
)

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
        lambda: record_with(embedding=None),
        Reason.BAD_FEATURE,
        "no feature 'embedding' .it has: embedding_shape, filename, timestamp_s",
    ),
    "no filename": (
        lambda: record_with(filename=None),
        Reason.BAD_FEATURE,
        "no feature 'filename'",
    ),
    "no timestamp": (
        lambda: record_with(timestamp_s=None),
        Reason.BAD_FEATURE,
        "no feature 'timestamp_s'",
    ),
    "text timestamp": (
        lambda: record_with(timestamp_s=bytes_feature(b"5")),
        Reason.BAD_FEATURE,
        "feature 'timestamp_s' is a bytes_list, expected a float_list",
    ),
    "integer timestamp": (
        lambda: record_with(timestamp_s=tf.train.Feature(int64_list=tf.train.Int64List(value=[5]))),
        Reason.BAD_FEATURE,
        "feature 'timestamp_s' is a int64_list, expected a float_list",
    ),
    "number filename": (
        lambda: record_with(filename=floats_feature(5)),
        Reason.BAD_FEATURE,
        "feature 'filename' is a float_list, expected a bytes_list",
    ),
    "list embedding": (
        lambda: record_with(embedding=floats_feature(1, 2)),
        Reason.BAD_FEATURE,
        "feature 'embedding' is a float_list, expected a bytes_list",
    ),
    "kindless": (
        lambda: record_with(filename=tf.train.Feature()),
        Reason.BAD_FEATURE,
        "feature 'filename' is a feature without a value, expected a bytes_list",
    ),
    "two names": (
        lambda: record_with(filename=bytes_feature(b"a", b"b")),
        Reason.BAD_FEATURE,
        "'filename' has 2 values",
    ),
    "two stamps": (
        lambda: record_with(timestamp_s=floats_feature(1, 2)),
        Reason.BAD_FEATURE,
        "'timestamp_s' has 2 values",
    ),
    "no stamps": (
        lambda: record_with(timestamp_s=floats_feature()),
        Reason.BAD_FEATURE,
        "'timestamp_s' has 0 values",
    ),
    "two tensors": (
        lambda: record_with(embedding=bytes_feature(b"", b"")),
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
        lambda: record_with_proto(STRING, SHAPE, string_val=[b"x"]),
        Reason.BAD_TENSOR,
        "dtype is number 7 ",
    ),
    "bfloat16": (
        lambda: record_with_proto(BFLOAT16, SHAPE, half_val=[1]),
        Reason.BAD_TENSOR,
        "dtype is number 14 ",
    ),
    "rank 0": (
        lambda: record_with_proto(FLOAT32, (), float_val=[1]),
        Reason.BAD_TENSOR,
        r"shape is \(\), expected",
    ),
    "rank 1": (
        lambda: make_record(random_tensor((12,))),
        Reason.BAD_TENSOR,
        r"shape is \(12,\), expected \(windows, channels, dims\) or \(windows, dims\)",
    ),
    "rank 2 without dims": (
        lambda: record_with_proto(FLOAT32, (3, 0)),
        Reason.BAD_TENSOR,
        r"shape is \(3, 0\), expected",
    ),
    "rank 4": (
        lambda: make_record(random_tensor((1, 2, 1, 4))),
        Reason.BAD_TENSOR,
        r"shape is \(1, 2, 1, 4\)",
    ),
    "short content": (
        lambda: record_with_proto(FLOAT32, SHAPE, tensor_content=bytes(31)),
        Reason.BAD_TENSOR,
        r"content has 31 bytes, which do not fill shape \(2, 1, 4\) of float32",
    ),
    "long content": (
        lambda: record_with_proto(FLOAT16, SHAPE, tensor_content=bytes(32)),
        Reason.BAD_TENSOR,
        r"content has 32 bytes, which do not fill shape \(2, 1, 4\) of float16",
    ),
    "content of nothing": (
        lambda: record_with_proto(FLOAT32, (0, 1, 4), tensor_content=bytes(4)),
        Reason.BAD_TENSOR,
        "content has 4 bytes",
    ),
    "many values": (
        lambda: record_with_proto(FLOAT32, SHAPE, float_val=range(9)),
        Reason.BAD_TENSOR,
        r"has 9 values, more than fill shape \(2, 1, 4\)",
    ),
    "negative": (
        lambda: record_with_proto(FLOAT32, (2, -1, 4), float_val=[1]),
        Reason.BAD_TENSOR,
        r"shape is \(2, -1, 4\), expected",
    ),
    "twice negative": (
        lambda: record_with_proto(FLOAT32, (-2, -1, 4), tensor_content=bytes(32)),
        Reason.BAD_TENSOR,
        r"shape is \(-2, -1, 4\), expected",
    ),
    "huge": (
        lambda: record_with_proto(FLOAT32, (2**40, 2**20, 1280), float_val=[1]),
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
        lambda: record_with(timestamp_s=None, timestamp_offset=integers_feature(-(10**10))),
        Reason.BAD_TIMESTAMP,
        "timestamp_offset is -5000000000.0, expected seconds",
    ),
    "least offset": (
        lambda: record_with(timestamp_s=None, timestamp_offset=integers_feature(-(2**63))),
        Reason.BAD_TIMESTAMP,
        "expected seconds",
    ),
    "two offsets": (
        lambda: record_with(timestamp_s=None, timestamp_offset=integers_feature(1, 2)),
        Reason.BAD_FEATURE,
        "feature 'timestamp_offset' has 2 values",
    ),
    "float offset": (
        lambda: record_with(timestamp_s=None, timestamp_offset=floats_feature(1)),
        Reason.BAD_FEATURE,
        "'timestamp_offset' is a float_list, expected a int64_list",
    ),
    "nan beside an offset": (
        lambda: record_with(
            timestamp_s=floats_feature(float("nan")), timestamp_offset=integers_feature(5)
        ),
        Reason.BAD_TIMESTAMP,
        "timestamp_s is nan",
    ),
    "the NaN that stands for none, beside an offset": (
        lambda: record_with(
            timestamp_s=raw_float_feature(0x7FE20A20), timestamp_offset=integers_feature(5)
        ),
        Reason.BAD_TIMESTAMP,
        "timestamp_s is nan",
    ),
}


SOME_GOOD: dict[str, Callable[[], bytes]] = {
    "good": lambda: make_record(TENSOR, timestamp_s=-0.0),
    "old": lambda: record_with(timestamp_s=None, timestamp_offset=integers_feature(120)),
    "lying": lambda: record_with(embedding_shape=integers_feature(9)),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize(("before", "after"), [(0, 0), (3, 2)])
def test_bad_record(kind: str, before: int, after: int) -> None:
    """A record that cannot be converted is named with the reason, and takes no other with it."""
    make, code, message = BAD[kind]
    payloads = [make_record(TENSOR)] * before + [make()] + [make_record(TENSOR)] * after
    records = as_records(payloads, first=20)
    found = BothDecoders().decode(records)
    (rejection,) = found.rejected
    assert (rejection.number, rejection.reason) == (20 + before, code)
    assert re.search(message, rejection.message)
    numbers = [20 + index for index in range(len(payloads)) if index != before]
    assert found.metadata.numbers.tolist() == numbers
    assert found.metadata.offsets == [1000 * number for number in numbers]
    assert_equals_tensorflow(payloads[:before] + payloads[before + 1 :], found)
    with pytest.raises(RecordError, match=message) as caught:
        decode_strictly(BothDecoders(), records)
    error = caught.value
    assert (error.shard, error.record, error.offset, error.code) == (
        "store://shard",
        20 + before,
        1000 * (20 + before),
        code,
    )
    assert str(error).startswith(f"store://shard: record {20 + before} at byte {error.offset}: ")
    assert error.console_text.endswith(code.fix)


@settings(max_examples=40)
@given(st.lists(st.sampled_from(["good", "old", "lying", *BAD]), min_size=1, max_size=12))
def test_a_records_fate_does_not_depend_on_others(kinds: list[str]) -> None:
    """Batches of one, of three and of all give the same records and the same rejections."""
    payloads = [SOME_GOOD[kind]() if kind in SOME_GOOD else BAD[kind][0]() for kind in kinds]

    def decode_in(size: int) -> tuple[Any, ...]:
        decoder = BothDecoders()
        batches = [
            decoder.decode(as_records(payloads[start : start + size], start))
            for start in range(0, len(payloads), size)
        ]
        return (
            [number for batch in batches for number in batch.metadata.numbers.tolist()],
            [stamp for batch in batches for stamp in batch.metadata.timestamps_s.tolist()],
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


@pytest.mark.slow
@settings(max_examples=200)
@given(st.data())
def test_changed_payload_is_rejected_or_what_tensorflow_reads(data: st.DataObject) -> None:
    """Any damage that no checksum shows gives a rejection or the values of TensorFlow."""
    payload = bytearray(make_record(random_tensor((1, 1, 2)), "a.wav"))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    payloads = [make_record(TENSOR), bytes(payload)]
    found = BothDecoders().decode(as_records(payloads))
    alone = BothDecoders().decode(as_records(payloads[1:], 1))
    assert alone.rejected == found.rejected
    assert found.metadata.numbers.tolist() == ([0] if found.rejected else [0, 1])
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
