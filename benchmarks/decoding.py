"""Shards as Arrow batches: TensorFlow, vectorised, for the contenders that need it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WINDOW_S = 5
_BATCH_RECORDS = 128
_NAME = re.compile(
    r"site_(?P<site>\d+)/(?P<time>\d{8}T\d{6})(?P<offset>Z|[+-]\d{4})_"
    r"(?P<place>.+)-(?P<subsite>(?:Wet|Dry)-[AB])_(?P<id>\d+)"
)


class Recording(NamedTuple):
    """What a filename tells; the fields are the columns of the same names."""

    site: str
    """Hive value: ``site_0285``."""
    site_id: int
    site_name: str
    subsite_name: str
    file_seq_id: int
    file_timestamp: int
    """Start in microseconds since 1970, UTC."""
    utc_offset_minutes: int | None
    file_seconds_since_midnight: int


@cache
def parse_filename(filename: str) -> Recording:
    """Takes a filename of the A2O's form apart.

    Raises:
        ValueError: It has another form.
    """
    name = _NAME.search(filename)
    if not name:
        raise ValueError(f"{filename!r} has no site, time, recorder and id")
    local = datetime.strptime(name["time"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    offset = _offset_minutes(name["offset"])
    instant = local - timedelta(minutes=offset or 0)
    return Recording(
        site=f"site_{name['site']}",
        site_id=int(name["site"]),
        site_name=name["place"],
        subsite_name=name["subsite"],
        file_seq_id=int(name["id"]),
        file_timestamp=int(instant.timestamp()) * 1_000_000,
        utc_offset_minutes=offset,
        file_seconds_since_midnight=local.hour * 3600 + local.minute * 60 + local.second,
    )


def _offset_minutes(offset: str) -> int | None:
    if offset == "Z":
        return None
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    return -minutes if offset[0] == "-" else minutes


def read_batches(shards: list[Path], keys: tuple[str, ...]) -> Iterator[Any]:
    """Yield all windows of the shards as ``pyarrow.RecordBatch``, one for every 128 records.

    TensorFlow reads shards and parses records in its own threads, ahead of the caller. Columns are
    the dataset's, and as strings those of ``site``, ``month`` and ``date`` that are among ``keys``,
    to partition by.
    """
    import tensorflow as tf

    features = {
        "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
        "filename": tf.io.FixedLenFeature([], tf.string),
        "embedding": tf.io.FixedLenFeature([], tf.string),
        "embedding_shape": tf.io.FixedLenFeature([3], tf.int64),
    }

    def parse(framed: Any) -> tuple[Any, Any, Any, Any]:
        parsed = tf.io.parse_example(framed, features)
        _, (content,) = tf.io.decode_proto(
            parsed["embedding"], "tensorflow.TensorProto", ["tensor_content"], [tf.string]
        )
        return parsed["filename"], parsed["timestamp_s"], parsed["embedding_shape"], content[:, 0]

    paths = [str(shard) for shard in shards]
    records = tf.data.TFRecordDataset(paths, num_parallel_reads=tf.data.AUTOTUNE)
    batches = records.batch(_BATCH_RECORDS).map(parse, num_parallel_calls=tf.data.AUTOTUNE)
    for filenames, timestamps_s, shapes, content in batches.prefetch(
        tf.data.AUTOTUNE
    ).as_numpy_iterator():
        yield _batch(
            [name.decode() for name in filenames.tolist()],
            timestamps_s.astype(np.float64),
            shapes,
            np.frombuffer(b"".join(content.tolist()), np.float32),
            keys,
        )


def _batch(
    filenames: list[str],
    timestamps_s: NDArray[np.float64],
    shapes: NDArray[np.int64],
    values: NDArray[np.float32],
    keys: tuple[str, ...],
) -> Any:
    """One Arrow batch with a row a window.

    Args:
        filenames: one a record.
        timestamps_s: shape (records,).
        shapes: windows, channels and dims of each record, shape (records, 3).
        values: the embeddings of all records, end to end.
        keys: columns to partition by.
    """
    import pyarrow as pa

    dims = int(shapes[0, 2])
    rows = shapes[:, 0] * shapes[:, 1]
    record = np.repeat(np.arange(len(rows)), rows)
    row_of_record = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
    window, channel = np.divmod(row_of_record, shapes[record, 1])

    names, index = np.unique(filenames, return_inverse=True)
    recordings = [parse_filename(name) for name in names.tolist()]
    recording = index[record]

    def column(field: str, kind: Any) -> Any:
        return pa.array([getattr(each, field) for each in recordings], kind).take(
            pa.array(recording)
        )

    offset_s = timestamps_s[record] + window * WINDOW_S
    offset_us = np.round(offset_s * 1e6).astype(np.int64)
    utc_us = np.array([each.file_timestamp for each in recordings])[recording] + offset_us
    ahead_us = np.array([(each.utc_offset_minutes or 0) * 60_000_000 for each in recordings])
    local = (utc_us + ahead_us[recording]).astype("datetime64[us]")

    def period(unit: Any) -> Any:
        names, name = np.unique(local.astype(unit), return_inverse=True)
        return pa.array(names.astype(str).tolist(), pa.string()).take(pa.array(name))

    partition_keys = {
        "site": lambda: column("site", pa.string()),
        "month": lambda: period("datetime64[M]"),
        "date": lambda: period("datetime64[D]"),
    }
    embedding = pa.field("element", pa.float32(), nullable=False)
    columns = {
        "embedding": pa.FixedSizeListArray.from_arrays(
            pa.array(values), type=pa.list_(embedding, dims)
        ),
        "filename": pa.array(names.tolist(), pa.string()).take(pa.array(recording)),
        "site_id": column("site_id", pa.int32()),
        "site_name": column("site_name", pa.string()),
        "subsite_name": column("subsite_name", pa.string()),
        "file_seq_id": column("file_seq_id", pa.int64()),
        "file_timestamp": column("file_timestamp", pa.timestamp("us", "UTC")),
        "utc_offset_minutes": column("utc_offset_minutes", pa.int16()),
        "file_seconds_since_midnight": column("file_seconds_since_midnight", pa.int32()),
        "recording_offset_in_file": pa.array(offset_s),
        "window_start": pa.array(utc_us, pa.timestamp("us", "UTC")),
        "window_start_local": pa.array(local),
        "channel": pa.array(channel.astype(np.int16)),
        **{key: partition_keys[key]() for key in keys},
    }
    return pa.RecordBatch.from_pydict(columns)
