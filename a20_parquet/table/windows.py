"""From decoded records to windows: metadata columns, one row a window, built from whole arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.table.decoded import RecordHeads
from a20_parquet.table.filename import EXPECTED, Recordings, parse_filenames
from a20_parquet.table.partition import PartitionBy, periods, site_tokens
from a20_parquet.table.schema import (
    EMBEDDING,
    Feature,
    keyed_schema,
    metadata_schema,
    window_schema,
)

_US = 1_000_000
_MAX_OFFSET_S = 1e9
_MAX_CHANNELS = 1 << 15  # numbered from 0 in an int16
_LEAVE_OUT = "Leave the shard out, or have the record written again."


def keyed_metadata(heads: Sequence[RecordHeads], window_s: float, by: PartitionBy) -> Any:
    """Build the metadata and sort keys of all windows of some records.

    Rows are in the order of ``heads``, within a record window after window and within a window
    channel after channel, as the tensors have them.

    Args:
        heads: batches of records.
        window_s: seconds from one window's start to the next.
        by: the Hive keys.

    Returns:
        A record batch of ``keyed_schema()``.

    Raises:
        RecordError: a filename can't be read, or a timestamp is no usable number.
    """
    filenames = _filenames(heads)
    timestamps_s = np.concatenate([np.zeros(0), *(batch.timestamps_s for batch in heads)])
    _check_timestamps(heads, timestamps_s)
    recordings = parse_filenames(filenames)
    if not recordings.valid.all():
        index = int(np.argmin(recordings.valid))
        raise _error(
            heads,
            index,
            f"the filename {filenames[index].as_py()!r} can't be read, expected {EXPECTED}",
            "Leave the shard out, or have the recording renamed.",
        )

    shapes = [shape for batch in heads for shape in batch.shapes]
    windows, channels, _ = np.array(shapes, np.int64).reshape(-1, 3).T
    _check_channels(heads, channels)
    record = np.repeat(np.arange(len(shapes)), windows * channels)
    row = np.arange(len(record)) - np.repeat(
        np.cumsum(windows * channels) - windows * channels, windows * channels
    )
    window, channel = np.divmod(row, np.maximum(channels, 1)[record])
    offset_s = timestamps_s[record] + window * window_s

    start_us = _int64(recordings.file_timestamp)[record] + np.rint(offset_s * _US).astype(np.int64)
    utc_offset_s = _int64(recordings.utc_offset_minutes.fill_null(0)) * 60
    start_local_us = start_us + utc_offset_s[record] * _US

    repeat = pa.array(record)
    columns = {
        "filename": filenames.take(repeat),
        **{name: getattr(recordings, name).take(repeat) for name in Recordings.columns()},
        "recording_offset_in_file": offset_s,
        "window_start": start_us,
        "window_start_local": start_local_us,
        "channel": channel,
        "site": site_tokens(recordings).take(repeat),
        "period": periods(start_local_us // _US, by),
        "shard": np.repeat([b.position for b in heads], list(map(len, heads)))[record],
        "record": _numbers(heads)[record],
    }
    schema = keyed_schema()
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in schema]
    return pa.record_batch(arrays, schema=schema)


def with_embeddings(metadata: Any, embeddings: npt.NDArray[np.float32]) -> Any:
    """Join metadata and embeddings to a record batch of windows, without copying either.

    Args:
        metadata: a record batch that holds the columns of ``metadata_schema(features)``.
        embeddings: shape ``(rows, dims)``, C-contiguous.

    Returns:
        A record batch of ``window_schema(dims, features)``.
    """
    rows, dims = embeddings.shape
    # No other column of the metadata is a list.
    features = tuple(
        Feature(field.name, field.type.list_size)
        for field in metadata.schema
        if pa.types.is_fixed_size_list(field.type)
    )
    schema = window_schema(dims, features)
    values = pa.Array.from_buffers(
        pa.float32(), rows * dims, [None, pa.py_buffer(embeddings.reshape(-1))]
    )
    kind = schema.field(EMBEDDING).type
    column = pa.Array.from_buffers(kind, rows, [None], children=[values])
    rest = [metadata.column(name) for name in metadata_schema(features).names]
    return pa.record_batch([column, *rest], schema=schema)


def _int64(array: Any) -> npt.NDArray[np.int64]:
    values: npt.NDArray[np.int64] = array.cast(pa.int64()).to_numpy()
    return values


def _numbers(heads: Sequence[RecordHeads]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.zeros(0, np.int64), *(batch.numbers for batch in heads)])


def _filenames(heads: Sequence[RecordHeads]) -> Any:
    names = [name for batch in heads for name in batch.filenames]
    try:
        return pa.array(names, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        index = next(i for i, name in enumerate(names) if not _is_utf8(name))
        reason = f"the filename {names[index]!r} is no UTF-8 text"
        raise _error(heads, index, reason, _LEAVE_OUT) from None


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check_timestamps(heads: Sequence[RecordHeads], timestamps_s: npt.NDArray[np.float64]) -> None:
    usable = np.abs(timestamps_s) <= _MAX_OFFSET_S
    if not usable.all():
        index = int(np.argmin(usable))
        reason = (
            f"timestamp_s is {timestamps_s[index]}, expected seconds since the recording's start"
        )
        raise _error(heads, index, reason, _LEAVE_OUT)


def _check_channels(heads: Sequence[RecordHeads], channels: npt.NDArray[np.int64]) -> None:
    countable = channels <= _MAX_CHANNELS
    if not countable.all():
        index = int(np.argmin(countable))
        reason = f"its embedding has {channels[index]} channels, expected {_MAX_CHANNELS} at most"
        raise _error(heads, index, reason, _LEAVE_OUT)


def _error(heads: Sequence[RecordHeads], index: int, reason: str, fix: str) -> Exception:
    for batch in heads:
        if index < len(batch):
            return batch.error(index, reason, fix)
        index -= len(batch)
    raise IndexError(index)
