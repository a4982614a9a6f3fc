"""Every kind of record that Perch's writers have written, against TensorFlow's own reading."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

import a20_parquet
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.decoding.tensorflow import load_tensorflow
from tests.helpers.conversions import (
    Windows,
    as_bits,
    assert_same_windows,
    digests,
    page_digests,
    use_tiny_memory,
)
from tests.helpers.shards import (
    FILENAME,
    make_features,
    make_record,
    random_tensor,
    serialize,
    tensor_proto,
    write_shard,
)

FLOAT, HALF = 1, 19
RATE_HZ = 32_000


def read(shard: Path) -> Windows:
    """All windows of a shard by TensorFlow's reader, parser of examples and parser of tensors."""
    tf = load_tensorflow()
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    windows = {}
    for raw in tf.data.TFRecordDataset([str(shard)]):
        features = tf.train.Example.FromString(raw.numpy()).features.feature
        if "timestamp_s" in features:
            start_s = float(np.float32(features["timestamp_s"].float_list.value[0]))
        else:
            start_s = features["timestamp_offset"].int64_list.value[0] / RATE_HZ
        serialized = features["embedding"].bytes_list.value[0]
        dtype = tf.dtypes.as_dtype(TensorProto.FromString(serialized).dtype)
        tensor = tf.cast(tf.io.parse_tensor(serialized, dtype), tf.float32).numpy()
        name = features["filename"].bytes_list.value[0].decode()
        for window, channel in np.ndindex(*tensor.shape[:2]):
            key = (name, start_s + 5.0 * window, channel)
            windows[key] = tensor[window, channel].view(np.uint32)
    return windows


def halves(tensor: npt.NDArray[np.float16]) -> bytes:
    """A tensor whose values stand in ``half_val``."""
    values = tensor.reshape(-1).view(np.uint16).tolist()
    return tensor_proto(HALF, tensor.shape, half_val=values)


def variants(dims: int) -> list[dict[str, Any]]:
    """The features of records of all kinds."""
    tf = load_tensorflow()
    train = tf.train

    def int64s(*values: int) -> Any:
        return train.Feature(int64_list=train.Int64List(value=values))

    def tensor(*shape: int, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[Any]:
        return random_tensor((*shape, dims), len(found), dtype)

    found: list[dict[str, Any]] = []
    for windows, channels in ((12, 1), (11, 1), (1, 5), (0, 1), (3, 2)):
        found.append(make_features(tensor(windows, channels)))
    found.append(make_features(tensor(2, 1, dtype=np.float16)))
    single = tensor(2, 1)
    proto = tensor_proto(FLOAT, single.shape, float_val=single.reshape(-1).tolist())
    found.append(make_features(single, proto=proto))
    half = tensor(1, 2, dtype=np.float16)
    found.append(make_features(half, proto=halves(half)))
    constant = tensor_proto(FLOAT, (2, 1, dims), float_val=[0.25])
    found.append(make_features(tensor(2, 1), proto=constant))
    no_shape = make_features(tensor(2, 1))
    del no_shape["embedding_shape"]
    found.append(no_shape)
    found.append(make_features(tensor(2, 1)) | {"embedding_shape": int64s(7, 1, 3)})
    found.append(make_features(tensor(2, 2)) | {"embedding_shape": int64s(4, dims)})
    older = make_features(tensor(2, 1))
    del older["timestamp_s"]
    found.append(older | {"timestamp_offset": int64s(3_200_016)})
    special = tensor(1, 1)
    special.reshape(-1).view(np.uint32)[:4] = [0x80000000, 0x7FC00123, 0xFF800000, 1]
    found.append(make_features(special))
    # Each at a time of its own; those with another clock have one already.
    for number, features in enumerate(found):
        if "timestamp_s" in features:
            start_s = -0.0 if number == 0 else 60.5 * number
            features["timestamp_s"] = train.Feature(float_list=train.FloatList(value=[start_s]))
    return found


@pytest.mark.parametrize("dims", [128, 512, 1280, 2048])
def test_every_variant(tmp_path: Path, dims: int) -> None:
    """Nothing goes to quarantine, and each window is TensorFlow's, bit for bit."""
    shard = write_shard(tmp_path / "a-00000-of-00001", map(serialize, variants(dims)))
    conversion = a20_parquet.convert(shard, tmp_path / "out", sample_rate=RATE_HZ)
    assert conversion.quarantine == {}
    assert conversion.shape_disagreements == 2
    other = a20_parquet.convert(shard, tmp_path / "wire", decoder="wire", sample_rate=RATE_HZ)
    assert other.shape_disagreements == 2
    assert digests(tmp_path / "wire") == digests(tmp_path / "out")
    expected = read(shard)
    assert conversion.new_windows == len(expected) > 40
    frame = pl.read_parquet(tmp_path / "out" / "data")
    assert frame["embedding"].dtype == pl.Array(pl.Float32, dims)
    assert_same_windows(as_bits(frame), expected)
    assert_same_windows(as_bits(a20_parquet.scan(tmp_path / "out").collect()), expected)


def test_memory_does_not_change_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiniest buffers give the same bytes."""
    shard = write_shard(tmp_path / "a-00000-of-00001", map(serialize, variants(128)))
    a20_parquet.convert(shard, tmp_path / "large", sample_rate=RATE_HZ)
    use_tiny_memory(monkeypatch)
    for decoder in DecoderName:
        a20_parquet.convert(shard, tmp_path / decoder, decoder=decoder, sample_rate=RATE_HZ)
        assert digests(tmp_path / decoder) == digests(tmp_path / "large")


@pytest.mark.parametrize("start_s", [float("nan"), float("inf"), -float("inf")])
def test_a_time_that_is_none(tmp_path: Path, start_s: float) -> None:
    """Such a record goes to quarantine; NaN in an embedding is data."""
    nan = np.full((1, 1, 8), np.nan, np.float32)
    records = [make_record(nan, FILENAME, start_s), make_record(nan, FILENAME, 60.0)]
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    conversion = a20_parquet.convert(shard, tmp_path / "out")
    assert (conversion.quarantine, conversion.new_windows) == ({"bad_timestamp": 1}, 1)


@pytest.mark.parametrize("channels", [[0], [1, 3], [4, 9], "0,2"])
def test_channels(tmp_path: Path, channels: Sequence[int] | str) -> None:
    """Only those that are asked for come, under their own numbers; the others are counted."""
    shapes = [(3, 5), (2, 1), (0, 5), (1, 2)]
    records = [
        make_record(random_tensor((*shape, 8), n), FILENAME, 60.0 * n)
        for n, shape in enumerate(shapes)
    ]
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    conversion = a20_parquet.convert(shard, tmp_path / "out", channels=channels)
    wanted = {0, 2} if isinstance(channels, str) else set(channels)
    expected = {key: bits for key, bits in read(shard).items() if key[2] in wanted}
    assert conversion.new_windows == len(expected)
    assert conversion.left_out == len(read(shard)) - len(expected) > 0
    assert_same_windows(as_bits(pl.read_parquet(tmp_path / "out" / "data")), expected)


def test_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each window has its record's values, null where the record has none; others are named."""
    tf = load_tensorflow()
    records = []
    expected: dict[tuple[float, int], list[float] | None] = {}
    for number in range(20):
        windows, channels = number % 4, 1 + number % 2
        features = make_features(random_tensor((windows, channels, 8), number), FILENAME)
        start_s = 60.0 * number
        features["timestamp_s"] = tf.train.Feature(float_list=tf.train.FloatList(value=[start_s]))
        label = random_tensor((windows, channels, 3), 100 + number)
        if number % 3:
            content = tf.io.serialize_tensor(label).numpy()
            features["label"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
            features["raw_audio"] = features["label"]
        for window, channel in np.ndindex(windows, channels):
            values = label[window, channel].tolist() if number % 3 else None
            expected[start_s + 5.0 * window, channel] = values
        records.append(serialize(features))
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    conversion = a20_parquet.convert(shard, tmp_path / "out", feature=["label"])
    assert conversion.other_features == ("raw_audio",)
    frame = pl.read_parquet(tmp_path / "out" / "data")
    assert frame["label"].dtype == pl.Array(pl.Float32, 3)
    keys = frame.select("recording_offset_in_file", "channel").rows()
    assert dict(zip(keys, frame["label"].to_list(), strict=True)) == expected
    use_tiny_memory(monkeypatch)
    for decoder in DecoderName:
        a20_parquet.convert(shard, tmp_path / decoder, feature=["label"], decoder=decoder)
        assert digests(tmp_path / decoder) == digests(tmp_path / "out")


def test_features_that_are_not_asked_for(tmp_path: Path) -> None:
    """They are named once, and nothing else changes."""
    tf = load_tensorflow()
    content = tf.io.serialize_tensor(random_tensor((1, 1, 3))).numpy()
    extra = {"nuisances": tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))}
    extra["nuisances_shape"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 1, 3]))
    tensor = random_tensor((1, 1, 8))
    for name, more in (("plain", {}), ("more", extra)):
        shard = write_shard(
            tmp_path / name / "a-00000-of-00001", [serialize(make_features(tensor) | more)] * 2
        )
        conversion = a20_parquet.convert(shard, tmp_path / f"{name}-out")
        assert conversion.other_features == tuple(each for each in more if "shape" not in each)
    plain, more = (page_digests(tmp_path / name / "data") for name in ("plain-out", "more-out"))
    assert plain == more
