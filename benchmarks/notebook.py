"""What the original notebook does, rewritten from its description.

One record at a time through TensorFlow, a Python dictionary for every window, and two files a
shard. Neither slowed down nor tuned.
"""

import json
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np

WINDOW_S = 5
_NAME = re.compile(
    r"site_(\d{4})/(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})(Z|[+-]\d{4})_"
    r"(.+)-((?:Wet|Dry)-[AB])_(\d+)\.\w+"
)


def parse_filename(filename: str) -> dict[str, Any]:
    """The metadata that a filename of the A2O's form holds.

    Raises:
        ValueError: It has another form.
    """
    match = _NAME.search(filename)
    if match is None:
        raise ValueError(f"{filename!r} has no site, time, recorder and id")
    site_id, *when, offset, site_name, subsite_name, file_seq_id = match.groups()
    ahead = timedelta()
    if offset != "Z":
        ahead = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))
        if offset[0] == "-":
            ahead = -ahead
    year, month, day, hour, minute, second = map(int, when)
    start = datetime(year, month, day, hour, minute, second, tzinfo=timezone(ahead))
    return {
        "file_timestamp": int(start.timestamp()),
        "file_seconds_since_midnight": hour * 3600 + minute * 60 + second,
        "site_id": site_id,
        "site_name": site_name,
        "subsite_name": subsite_name,
        "file_seq_id": int(file_seq_id),
        "filename": filename,
    }


def convert_shard(shard: Path, out: Path) -> None:
    """Writes ``embeddings/NAME.npy`` (windows, dims) float32 and ``metadata/NAME.json``."""
    import tensorflow as tf

    features = {
        "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
        "filename": tf.io.FixedLenFeature([], tf.string),
        "embedding": tf.io.FixedLenFeature([], tf.string),
        "embedding_shape": tf.io.FixedLenFeature([3], tf.int64),
    }
    embeddings = []
    metadata = []
    for record in tf.data.TFRecordDataset(str(shard)):
        example = tf.io.parse_single_example(record, features)
        embedding = tf.io.parse_tensor(example["embedding"], tf.float32).numpy()
        filename = example["filename"].numpy().decode()
        timestamp_s = example["timestamp_s"].numpy()
        for i in range(embedding.shape[0]):
            parsed = parse_filename(filename)
            embeddings.append(embedding[i, 0, :])
            metadata.append(
                {
                    "file_timestamp": parsed["file_timestamp"],
                    "file_seconds_since_midnight": parsed["file_seconds_since_midnight"],
                    "recording_offset_in_file": int(timestamp_s + WINDOW_S * i),
                    "site_id": parsed["site_id"],
                    "site_name": parsed["site_name"],
                    "subsite_name": parsed["subsite_name"],
                    "file_seq_id": parsed["file_seq_id"],
                    "filename": parsed["filename"],
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
