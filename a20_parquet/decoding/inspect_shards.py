"""Inspects shards: features, counts, checksums and the first record."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from a20_parquet.decoding.example import OLD_TIMESTAMP, TIMESTAMP
from a20_parquet.decoding.large import LARGE_BYTES, reduce
from a20_parquet.decoding.messages import parse_message
from a20_parquet.decoding.tensorflow import TensorFlowDecoder, load_tensorflow
from a20_parquet.errors import A20ParquetError, RecordError, SourceError
from a20_parquet.shards.discover import find_shards
from a20_parquet.shards.perch_config import read_configs
from a20_parquet.tfrecord.compression import open_content
from a20_parquet.tfrecord.frames import FrameReader
from a20_parquet.tfrecord.records import Damage, Records
from a20_parquet.tfrecord.shard import Codec, Shard
from a20_parquet.windows.filenames.parse import Recordings, parse_filenames
from a20_parquet.windows.rejection import Reason, Rejection

_BATCH_BYTES = 4 << 20
_FIRST_VALUES = 5
_MAX_VALUES = 1 << 29
_NUMBER_KINDS = frozenset("biuf")
_RANKS = (2, 3)


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature of the records of a shard."""

    name: str
    kind: str
    """``bytes_list``, ``float_list`` or ``int64_list``."""
    dtype: str
    """Of its values or its serialized tensor; ``not read`` in large records."""
    shapes: tuple[tuple[int, ...], ...]
    """All shapes in order of appearance; ``(values,)`` for a list."""
    records: int
    """Number of records that have it with this kind and dtype."""


@dataclass(frozen=True, slots=True)
class FirstRecord:
    """A shard's first record."""

    filename: str | None
    recording: dict[str, Any] | None
    """Columns read from the filename; None if it cannot be read."""
    timestamp_s: float | None
    timestamp_offset: int | None
    """In audio samples; only without ``timestamp_s``."""
    sample_rate_hz: float | None
    """From Perch's ``config.json`` beside the shard."""
    values: tuple[float, ...]
    """The first values of its embedding."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """The result for one shard."""

    url: str
    bytes: int
    """Stored size."""
    compression: Codec
    records: int
    """Whole records that are a ``tf.train.Example``."""
    windows: int
    """Rows that their embeddings make."""
    damage: str | None
    """The first record that is damaged or no ``tf.train.Example``; None if all are intact."""
    damaged_ranges: int
    """Number of byte ranges that are in no whole record."""
    damaged_bytes: int
    """Bytes in them."""
    rejected: dict[str, int]
    """Number of whole records that cannot be converted, by reason."""
    features: tuple[Feature, ...]
    first: FirstRecord | None


@dataclass(slots=True)
class _Tally:
    records: int = 0
    windows: int = 0
    shapes: dict[tuple[str, str, str], dict[tuple[int, ...], int]] = field(default_factory=dict)
    first: FirstRecord | None = None
    damaged_bytes: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    error: RecordError | None = None


def inspect(sources: str | Path | Sequence[str | Path]) -> list[Inspection]:
    """Inspect shards.

    Args:
        sources: folders, files, globs or fsspec URLs.

    Raises:
        SourceError: a source cannot be read or is not a shard.
        RecordError: a shard has records, but no whole ``tf.train.Example``; the error names the
            first record.
    """
    found = []
    for each in inspect_each(sources):
        if isinstance(each, A20ParquetError):
            raise each
        found.append(each)
    return found


def inspect_each(
    sources: str | Path | Sequence[str | Path],
) -> Iterator[Inspection | SourceError | RecordError]:
    """Inspect one shard after the other; yield the error of one without any result.

    Args:
        sources: folders, files, globs or fsspec URLs.

    Raises:
        SourceError: a source cannot be listed, or contains no shard.
    """
    for shard in read_configs(find_shards(sources)).shards:
        try:
            yield _inspect_shard(shard)
        except (SourceError, RecordError) as error:
            yield error


def _inspect_shard(shard: Shard) -> Inspection:
    tally = _Tally()
    decoder = TensorFlowDecoder()
    with open_content(shard) as content:
        reader = FrameReader(shard, content, _BATCH_BYTES)
        for item in reader.read():
            if isinstance(item, Damage):
                tally.error = tally.error or item.error()
                tally.damaged_bytes += len(item.content)
            else:
                _count(tally, item)
                rejected = decoder.decode(item).rejected
                tally.rejected.update(rejection.reason.value for rejection in rejected)
    error = tally.error
    if error is not None and not tally.records:
        raise error
    return Inspection(
        url=shard.url,
        bytes=shard.size,
        compression=content.codec,
        records=tally.records,
        windows=tally.windows,
        damage=None
        if error is None
        else f"record {error.record} at byte {error.offset}: {error.reason}",
        damaged_ranges=reader.damaged_ranges,
        damaged_bytes=tally.damaged_bytes,
        rejected=dict(sorted(tally.rejected.items())),
        features=tuple(
            Feature(*key, shapes=tuple(shapes), records=sum(shapes.values()))
            for key, shapes in sorted(tally.shapes.items())
        ),
        first=tally.first,
    )


def _count(tally: _Tally, records: Records) -> None:
    for index, payload in enumerate(records.payloads):
        example = parse_message(load_tensorflow().train.Example, reduce(payload, ()))
        if example is None:
            message = "the payload is no tf.train.Example message"
            rejection = Rejection(records.first + index, Reason.NOT_AN_EXAMPLE, message)
            tally.error = tally.error or records.error(rejection)
            continue
        tally.records += 1
        features = example.features.feature
        for name, feature in features.items():
            kind = feature.WhichOneof("kind") or "empty"
            values = getattr(feature, kind).value if kind != "empty" else []
            tensor = _as_tensor(name, values, features) if kind == "bytes_list" else None
            if tensor is None:
                dtype = {"bytes_list": "bytes", "float_list": "float32", "int64_list": "int64"}
                is_read = len(payload) <= LARGE_BYTES or len(values) > 0
                key = (name, kind, dtype.get(kind, "none") if is_read else "not read")
                shape: tuple[int, ...] = (len(values),)
            else:
                key = (name, kind, load_tensorflow().dtypes.as_dtype(tensor.dtype).name)
                shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
                if name == "embedding" and len(shape) in _RANKS and min(shape) >= 0:
                    tally.windows += math.prod(shape[:-1])
            counts = tally.shapes.setdefault(key, {})
            counts[shape] = counts.get(shape, 0) + 1
        tally.first = tally.first or _first_record(features, records.shard.sample_rate_hz)


def _as_tensor(name: str, values: Sequence[bytes], features: Any) -> Any:
    """Parse a serialized tensor, known by its name or by a companion ``<name>_shape``."""
    from tensorflow.core.framework.tensor_pb2 import TensorProto
    from tensorflow.core.framework.types_pb2 import DataType

    if len(values) != 1 or not (name == "embedding" or f"{name}_shape" in features):
        return None
    tensor = parse_message(TensorProto, values[0])
    is_known = tensor is not None and tensor.dtype and tensor.dtype in DataType.values()
    return tensor if is_known else None


def _first_record(features: Any, sample_rate_hz: float | None) -> FirstRecord:
    filenames = list(features["filename"].bytes_list.value) if "filename" in features else []
    filename = filenames[0].decode(errors="replace") if filenames else None
    stamps = list(features[TIMESTAMP].float_list.value) if TIMESTAMP in features else []
    offsets = list(features[OLD_TIMESTAMP].int64_list.value) if OLD_TIMESTAMP in features else []
    tensor = None
    if "embedding" in features:
        tensor = _as_tensor("embedding", features["embedding"].bytes_list.value, features)
    return FirstRecord(
        filename=filename,
        recording=_recording(filename) if filename is not None else None,
        timestamp_s=float(stamps[0]) if stamps else None,
        timestamp_offset=offsets[0] if offsets and not stamps else None,
        sample_rate_hz=sample_rate_hz,
        values=_first_values(tensor) if tensor is not None else (),
    )


def _first_values(tensor: Any) -> tuple[float, ...]:
    """Empty if the tensor's content is not numeric or does not fill its shape."""
    if math.prod(dim.size for dim in tensor.tensor_shape.dim) > _MAX_VALUES:
        return ()
    try:
        values = load_tensorflow().make_ndarray(tensor)
    except (KeyError, TypeError, ValueError):
        return ()
    if values.dtype.kind not in _NUMBER_KINDS:
        return ()
    return tuple(float(value) for value in values.reshape(-1)[:_FIRST_VALUES])


def _recording(filename: str) -> dict[str, Any] | None:
    recordings = parse_filenames(pa.array([filename], pa.string()))
    if not recordings.valid[0]:
        return None
    return {name: getattr(recordings, name)[0].as_py() for name in Recordings.columns()}
