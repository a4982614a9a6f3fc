"""Conversions from end to end: what shards hold by TensorFlow, and what a dataset holds."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.decoding.tensorflow import load_tensorflow
from tests.helpers.shards import make_record, random_tensor, write_shard
from tests.helpers.thrift import read_pages

Windows = dict[tuple[str, float, int], npt.NDArray[np.uint32]]
"""Bits of embeddings by filename, offset in seconds, and channel."""

A2O_NAMES = [
    "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
    "site_0285/20201014T230000+1030_Arkaba-Dry-A_49501.flac",
    "site_0286/20201014T010000+1030_Arkaba-Wet-A_49600.flac",
    "20210301T235900-0330_Site-3_7.wav",
    "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
]
INFO_NAMES = (
    "site_0285/20201014T235930+1030_Arkaba-Dry-A_49500.flac",
    "site_0285/20201116T010000+1030_Arkaba-Dry-A_49501.flac",
    "site_0286/20210301T120000-0330_Arkaba-Wet-A_49600.flac",
    "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
)
"""Of several sites, periods and years, for ``make_dataset``."""

MakeDataset = Callable[[str], Path]
"""Takes Hive keys; the dataset that is partitioned by them."""


def read_with_tensorflow(shards: Sequence[Path], compression: str = "") -> Windows:
    """All windows by (filename, offset, channel), as TensorFlow reads them, as raw bits."""
    tf = load_tensorflow()
    windows = {}
    for raw in tf.data.TFRecordDataset([str(path) for path in shards], compression):
        features = tf.io.parse_single_example(
            raw,
            {
                "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
                "filename": tf.io.FixedLenFeature([], tf.string),
                "embedding": tf.io.FixedLenFeature([], tf.string),
            },
        )
        serialized = features["embedding"]
        is_half = tf.io.decode_proto(serialized, "tensorflow.TensorProto", ["dtype"], [tf.int32])[
            1
        ][0].numpy() == [19]
        dtype = tf.float16 if is_half.all() else tf.float32
        tensor = tf.cast(tf.io.parse_tensor(serialized, dtype), tf.float32).numpy()
        for t in range(tensor.shape[0]):
            for c in range(tensor.shape[1]):
                offset_s = float(features["timestamp_s"].numpy()) + 5.0 * t
                key = (features["filename"].numpy().decode(), offset_s, c)
                assert key not in windows
                windows[key] = tensor[t, c].view(np.uint32)
    return windows


def as_bits(frame: pl.DataFrame) -> Windows:
    """The windows of a polars frame in the same form."""
    keys = frame.select("filename", "recording_offset_in_file", "channel").rows()
    return {
        key: row.view(np.uint32)
        for key, row in zip(keys, frame["embedding"].to_numpy(), strict=True)
    }


def assert_same_windows(found: Windows, expected: Windows) -> None:
    """Both hold the same windows, bit for bit."""
    assert found.keys() == expected.keys()
    for key, bits in expected.items():
        np.testing.assert_array_equal(found[key], bits)


def digests(dataset: Path, *, but: str = "") -> dict[str, str]:
    """SHA-256 of every file of a dataset."""
    return {
        path.relative_to(dataset).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in dataset.rglob("*")
        if path.is_file() and path.name != but
    }


def page_digests(data: Path) -> dict[str, str]:
    """SHA-256 of all pages of every data file.

    What follows them names the dataset, whose id follows from the shards' content.
    """
    found = {}
    for path in data.rglob("*.parquet"):
        content = path.read_bytes()
        pages = content[: max(page.stop for page in read_pages(content))]
        found[path.relative_to(data).as_posix()] = hashlib.sha256(pages).hexdigest()
    return found


def write_shuffled(folder: Path, shards: int = 4) -> Path:
    """Shards of shuffled records: several sites, channels, record lengths and float16."""
    rng = np.random.default_rng(7)
    for shard in range(shards):
        records = []
        for record in range(30):
            number = shard * 30 + record
            shape = (int(rng.integers(0, 13)), int(rng.choice([1, 1, 5])), 16)
            tensor = random_tensor(shape, number, np.float16 if number % 7 == 0 else np.float32)
            name = A2O_NAMES[int(rng.integers(len(A2O_NAMES)))]
            records.append(make_record(tensor, name, 60.0 * number))
        write_shard(folder / f"embeddings-{shard:05d}-of-{shards:05d}", records)
    return folder


TINY = MemoryPlan(
    workers=2,
    batch_bytes=100,
    gather_rows=61,
    slice_rows=3,
    staging_rows=7,
    runs=100,
    holds_all=False,
)
"""Buffers so small that any input is far larger than all of them."""


def use_tiny_memory(monkeypatch: pytest.MonkeyPatch, workers: int = TINY.workers) -> None:
    """Convert with these buffers from now on."""
    from a20_parquet.conversion import job

    monkeypatch.setattr(job, "plan_memory", lambda **_: replace(TINY, workers=workers))
