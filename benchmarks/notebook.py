"""What the original notebook does, rewritten from its description.

TensorFlow parses records inside the dataset's own graph, one at a time. Python matches each
filename once a record and makes a dictionary for every window. Two files a shard.
"""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

WINDOW_S = 5
_NAME = re.compile(r"site_(\d{4})/(\d{8}T\d{6})(\+\d{4}|Z)_([\w-]*?)-((?:Wet|Dry)-[AB])_(\d+).flac")


def convert_shard(shard: Path, out: Path) -> None:
    """Writes ``embeddings/NAME.npy`` (windows, dims) float32 and ``metadata/NAME.json``.

    Raises:
        ValueError: a filename does not contain exactly one name of the A2O's form.
    """
    import tensorflow as tf

    features = {
        "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
        "filename": tf.io.FixedLenFeature([], tf.string),
        "embedding": tf.io.FixedLenFeature([], tf.string),
        "embedding_shape": tf.io.FixedLenFeature([3], tf.int64),
    }

    def parse(record: Any) -> tuple[Any, Any, Any]:
        example = tf.io.parse_single_example(record, features)
        embedding = tf.io.parse_tensor(example["embedding"], tf.float32)
        return example["timestamp_s"], example["filename"], embedding

    embeddings = []
    metadata = []
    records = tf.data.TFRecordDataset(str(shard)).map(parse).as_numpy_iterator()
    for timestamp_s, encoded, embedding in records:
        filename = encoded.decode()
        [(site_id, local, zone, site_name, subsite_name, file_seq_id)] = _NAME.findall(filename)
        start = datetime.strptime(local + zone.replace("Z", "+0000"), "%Y%m%dT%H%M%S%z")
        midnight = start.replace(hour=0, minute=0, second=0)
        for i, channels in enumerate(embedding):
            embeddings.append(channels[0])
            metadata.append(
                {
                    "file_timestamp": int(start.timestamp()),
                    "file_seconds_since_midnight": (start - midnight).seconds,
                    "recording_offset_in_file": int(timestamp_s + WINDOW_S * i),
                    "site_id": site_id,
                    "site_name": site_name,
                    "subsite_name": subsite_name,
                    "file_seq_id": int(file_seq_id),
                    "filename": filename,
                }
            )
    np.save(out / "embeddings" / f"{shard.name}.npy", np.array(embeddings))
    (out / "metadata" / f"{shard.name}.json").write_text(json.dumps(metadata))


def convert(shards: list[Path], out: Path) -> None:
    """Converts one shard after another."""
    for folder in ("embeddings", "metadata"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    for shard in shards:
        convert_shard(shard, out)
