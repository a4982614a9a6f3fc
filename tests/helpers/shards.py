"""Writes small shards with TensorFlow's own writer, for tests."""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import crc32c
import fsspec
import numpy as np
import numpy.typing as npt

from a20_parquet.decoding.tensorflow import load_tensorflow
from a20_parquet.tfrecord.shard import Shard

FILENAME = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"


def random_tensor(
    shape: tuple[int, ...], seed: int = 0, dtype: npt.DTypeLike = np.float32
) -> npt.NDArray[Any]:
    """Normally distributed values."""
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def make_features(
    tensor: npt.NDArray[Any],
    filename: str | bytes = FILENAME,
    timestamp_s: float = 0.0,
    proto: bytes | None = None,
) -> dict[str, Any]:
    """The features of a record as Perch writes them; ``proto`` replaces the serialized tensor."""
    tf = load_tensorflow()
    train = tf.train
    name = filename if isinstance(filename, bytes) else filename.encode()
    serialized = tf.io.serialize_tensor(tensor).numpy() if proto is None else proto
    return {
        "timestamp_s": train.Feature(float_list=train.FloatList(value=[timestamp_s])),
        "filename": train.Feature(bytes_list=train.BytesList(value=[name])),
        "embedding": train.Feature(bytes_list=train.BytesList(value=[serialized])),
        "embedding_shape": train.Feature(int64_list=train.Int64List(value=tensor.shape)),
    }


def make_record(
    tensor: npt.NDArray[Any],
    filename: str | bytes = FILENAME,
    timestamp_s: float = 0.0,
    proto: bytes | None = None,
) -> bytes:
    """A serialized record as Perch writes it."""
    return serialize(make_features(tensor, filename, timestamp_s, proto))


def serialize(features: dict[str, Any]) -> bytes:
    """A serialized ``tf.train.Example`` of any features."""
    train = load_tensorflow().train
    payload: bytes = train.Example(features=train.Features(feature=features)).SerializeToString()
    return payload


def write_shard(path: Path, payloads: Iterable[bytes], compression: str = "") -> Path:
    """Write a TFRecord file; ``compression`` is TensorFlow's name: none, ``GZIP``, ``ZLIB``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with load_tensorflow().io.TFRecordWriter(str(path), compression) as writer:
        for payload in payloads:
            writer.write(payload)
    return path


def frame(payload: bytes) -> bytes:
    """One TFRecord frame, built apart from the package and from TensorFlow."""
    length = struct.pack("<Q", len(payload))
    return length + _masked_crc(length) + payload + _masked_crc(payload)


def write_content(path: Path, content: bytes, compression: str = "") -> Path:
    """Write the bytes of a whole shard, compressed by Python's own modules."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(COMPRESS[compression](content))
    return path


def open_shard(path: Path) -> Shard:
    """The shard at ``path``, without searching for it."""
    size = path.stat().st_size
    return Shard(path.name, str(path), 0, str(path), size, fsspec.filesystem("file"))


def tensor_proto(dtype: int, shape: Sequence[int], **values: Any) -> bytes:
    """A serialized ``TensorProto`` with any fields."""
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    dims = {"dim": [{"size": size} for size in shape]}
    proto: bytes = TensorProto(dtype=dtype, tensor_shape=dims, **values).SerializeToString()
    return proto


def _masked_crc(data: bytes) -> bytes:
    crc = crc32c.crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _store(content: bytes) -> bytes:
    return content


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": _store,
    "GZIP": partial(gzip.compress, mtime=0),
    "ZLIB": zlib.compress,
}
