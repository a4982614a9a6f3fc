"""Embeddings of shape ``[T, D]`` are of one channel, wherever shards are read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

import a20_parquet
from a20_parquet.decoding.decoder import DecoderName
from tests.helpers.conversions import digests, page_digests
from tests.helpers.decoding import (
    FLOAT16,
    FLOAT32,
    BothDecoders,
    as_records,
    assert_equals_tensorflow,
    decode,
    integers_feature,
)
from tests.helpers.shards import make_features, random_tensor, serialize, tensor_proto, write_shard

SHARD = "embeddings-00000-of-00001"
decoders = pytest.mark.parametrize("decoder", list(DecoderName))


def record(tensor: Any, claimed: tuple[int, ...] | None, number: int = 0, **options: Any) -> bytes:
    """A record whose ``embedding_shape`` says ``claimed``, or that has none."""
    name = f"site_0285/20201014T010000+1030_Arkaba-Dry-A_{number}.flac"
    features = make_features(tensor, name, 60.0 * number, **options)
    del features["embedding_shape"]
    if claimed is not None:
        features["embedding_shape"] = integers_feature(*claimed)
    return serialize(features)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("windows", [0, 1, 12])
def test_both_decoders(dtype: Any, windows: int) -> None:
    """In one batch with tensors of three axes, each with its own ``embedding_shape``."""
    two, three = random_tensor((windows, 5), 1, dtype), random_tensor((windows, 2, 5), 2, dtype)
    payloads = [record(two, (windows, 5)), record(three, (windows, 2, 5)), record(two, None)]
    found = decode(payloads)
    assert found.metadata.shapes == [(windows, 1, 5), (windows, 2, 5), (windows, 1, 5)]
    assert found.shape_disagreements == 0
    assert_equals_tensorflow(payloads, found)
    for payload in payloads:
        assert decode([payload]).metadata.shapes == [
            (windows, 2 if payload is payloads[1] else 1, 5)
        ]


@pytest.mark.parametrize(
    "proto",
    [
        tensor_proto(FLOAT32, (3, 2), float_val=[1, 2, 3, 4, 5]),
        tensor_proto(FLOAT32, (3, 2)),
        tensor_proto(FLOAT16, (3, 2), half_val=[15360]),
        tensor_proto(FLOAT16, (3, 2), tensor_content=bytes(range(12))),
    ],
)
def test_every_form(proto: bytes) -> None:
    """Whatever field of the tensor holds the values."""
    payload = record(random_tensor((3, 2)), (3, 2), proto=proto)
    assert_equals_tensorflow([payload], decode([payload]))


@pytest.mark.parametrize(
    ("claimed", "disagreements"),
    [
        ((12, 4), 0),
        ((12, 1, 4), 0),
        (None, 0),
        ((), 0),
        ((4, 12), 1),
        ((12, 2, 4), 1),
        ((12,), 1),
        ((12, 1, 1, 4), 1),
    ],
)
def test_what_embedding_shape_says(claimed: tuple[int, ...] | None, disagreements: int) -> None:
    """Alone and among others; the same shape with and without the channel is no disagreement."""
    for tensor in (random_tensor((12, 4)), random_tensor((12, 1, 4))):
        payload, other = record(tensor, claimed), record(tensor, tensor.shape)
        broken = serialize({"filename": make_features(tensor)["filename"]})
        for batch in ([payload], [other, payload], [payload, broken]):
            found = BothDecoders().decode(as_records(batch))
            assert found.shape_disagreements == disagreements
            assert found.metadata.shapes[0] == (12, 1, 4)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Three records of two axes, and the same with three."""
    tensors = [random_tensor((12, 16), number) for number in range(3)]
    two, three = (tmp_path_factory.mktemp(name) for name in ("two", "three"))
    write_shard(two / SHARD, [record(t, t.shape, n) for n, t in enumerate(tensors)], "GZIP")
    whole = [record(t[:, None], (12, 1, 16), n) for n, t in enumerate(tensors)]
    write_shard(three / SHARD, whole)
    return two, three


@decoders
def test_conversion(folders: tuple[Path, Path], tmp_path: Path, decoder: str) -> None:
    """The same data as from tensors of three axes; the shards prove it."""
    two, three = folders
    for name, source in (("two", two), ("three", three)):
        out, npy = tmp_path / name, tmp_path / f"{name}-npy"
        converted = a20_parquet.convert(source, out, decoder=decoder, npy_json=npy)
        assert converted.totals.windows == 36
        assert not converted.quarantine
        assert converted.shape_disagreements == 0
        assert a20_parquet.verify(out, source, decoder=decoder).is_good
    assert page_digests(tmp_path / "two/data") == page_digests(tmp_path / "three/data")
    assert digests(tmp_path / "two-npy") == digests(tmp_path / "three-npy")
    assert a20_parquet.scan(tmp_path / "two").select("channel").collect()["channel"].sum() == 0


@decoders
def test_read_windows_and_npy_json(
    folders: tuple[Path, Path], tmp_path: Path, decoder: Any
) -> None:
    """What streams shards, and what writes the notebook's files alone."""
    tables = []
    for number, source in enumerate(folders):
        tables.append(a20_parquet.read_windows(source, decoder=decoder).read_all())
        a20_parquet.npy_json(source, tmp_path / f"{number}", decoder=decoder)
    assert len(tables[0]) == 36
    assert tables[0].equals(tables[1])
    assert isinstance(tables[0], pa.Table)
    assert digests(tmp_path / "0") == digests(tmp_path / "1")
    (metadata,) = (tmp_path / "0" / "metadata").glob("*.json")
    assert len(json.loads(metadata.read_text())) == 36


def test_inspect(folders: tuple[Path, Path]) -> None:
    """It counts windows, and shows the shape that is stored."""
    (found,) = a20_parquet.inspect(folders[0])
    assert (found.windows, found.rejected) == (36, {})
    (embedding,) = [each for each in found.features if each.name == "embedding"]
    assert (embedding.shapes, embedding.records) == (((12, 16),), 3)


def test_features_of_two_axes(tmp_path: Path) -> None:
    """A further tensor of the windows goes along."""
    tensor = random_tensor((4, 8))
    features = make_features(tensor, "site_0285/20201014T010000+1030_Arkaba-Dry-A_1.flac")
    logits = random_tensor((4, 3), 9)
    serialized = tf.io.serialize_tensor(logits).numpy()
    features["logits"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[serialized]))
    write_shard(tmp_path / "in" / SHARD, [serialize(features)])
    for decoder in DecoderName:
        out = tmp_path / decoder
        a20_parquet.convert(tmp_path / "in", out, feature=["logits"], decoder=decoder)
        rows = a20_parquet.scan(out).select("logits").collect()["logits"].to_numpy()
        np.testing.assert_array_equal(rows, logits)
