"""The recordings of the conformance test, and the rows that every reader must find.

The rows are an oracle of its own: names, times and keys are written here by hand, embeddings are
the arrays that NumPy made and TensorFlow wrote to the shards. Nothing of the package is asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

DIMS = 1280
FEATURES = {
    "nuisances": pa.list_(pa.float32(), 3),  # a tensor of each window; the others of each record
    "score": pa.float32(),
    "counts": pa.list_(pa.int64(), 2),
    "label": pa.string(),
    "digest": pa.binary(),
}
"""Further columns, a third of each null, by their Arrow types."""
_SCORES = (float("nan"), -0.0, 1e-45, float("inf"), 0.25)
HOP_S = 5.0
UNKNOWN_SITE = "elsewhere"
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
_SPECIAL_HALVES = (0x7E00, 0xFE01, 0x7C00, 0xFC00, 0x8000, 0x0001, 0x83FF, 0x7BFF)
"""NaN, NaN with a sign and a payload, infinity, -0, subnormal ones, and the largest."""
_SPECIAL_BITS = (
    *(0x7FC00000, 0xFFC12345, 0x7F800001, 0xFFFFFFFF),  # NaN: quiet, payload, signalling, all ones
    *(0x80000000, 0x00000001, 0x807FFFFF),  # -0.0, the smallest denormal, the largest negative one
    *(0x7F800000, 0xFF800000, 0x7F7FFFFF),  # infinities, the largest number
)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording, with what its filename tells."""

    filename: str
    site: str
    site_id: int | None
    site_name: str | None
    subsite_name: str | None
    file_seq_id: int | None
    start: str | None
    """On the recorder's clock, ISO; UTC's where the filename says ``Z``."""
    offset_minutes: int | None
    seconds_since_midnight: int | None
    timestamps_s: Sequence[float]
    """``timestamp_s`` of its records."""
    shape: tuple[int, int]
    """Windows and channels of a record."""
    dtype: npt.DTypeLike = np.float32


DATED = (
    # With 250 rows a row group: three of them, two with two pages of embeddings.
    Recording(
        "site_0285/20201014T220000+1030_Arkaba-Dry-A_49500.flac",
        *("site_0285", 285, "Arkaba", "Dry-A", 49_500),
        *("2020-10-14T22:00:00", 630, 79_200, [60.0 * n for n in range(48)], (12, 1)),
    ),
    # From one year to the next.
    Recording(
        "site_0285/20201231T235930+1030_Arkaba-Dry-A_49501.flac",
        *("site_0285", 285, "Arkaba", "Dry-A", 49_501),
        *("2020-12-31T23:59:30", 630, 86_370, [0.25, 60.25], (12, 1)),
    ),
    # No id of a site, west of Greenwich, several channels, from February to March.
    Recording(
        "20210228T235900-0330_Site-3_7.wav",
        *("Site-3", None, "Site-3", None, 7),
        *("2021-02-28T23:59:00", -210, 86_340, [0.0, 60.1], (12, 3)),
    ),
    # Local time unknown; float16.
    Recording(
        "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
        *("Toorale-National-Park-Dry-A", None, "Toorale-National-Park", "Dry-A", 353_483),
        *("2019-06-30T01:39:25", None, 5_965, [0.0, 60.0], (11, 1)),
        dtype=np.float16,
    ),
    # Letters beyond ASCII, an id beyond 32 bits, a leap day.
    Recording(
        "site_0300/20200229T000000+1000_Ågård-北_123456789012345677.flac",
        *("site_0300", 300, "Ågård-北", None, 123_456_789_012_345_677),
        *("2020-02-29T00:00:00", 600, 0, [0.0], (12, 1)),
    ),
)
UNDATED = (
    Recording(
        "tests/files/audio/100sec.wav",
        *(UNKNOWN_SITE, None, None, None, None, None, None, None, [0.0, 60.0], (12, 1)),
    ),
    Recording(
        "site_0285/no date.wav",
        *("site_0285", 285, None, None, None, None, None, None, [0.0], (5, 1)),
    ),
)


@dataclass(frozen=True, slots=True)
class Record:
    """A record of a shard."""

    recording: Recording
    timestamp_s: float
    tensor: npt.NDArray[Any]
    """Shape (windows, channels, ``DIMS``)."""
    features: Mapping[str, Any]
    """Values of the features that it has; ``nuisances`` is that of each window."""


def make_records(recordings: Sequence[Recording], dims: int = DIMS) -> Iterator[Record]:
    """All records, some of their values special, each third without one of the features."""
    number = 0
    for recording in recordings:
        for timestamp_s in recording.timestamps_s:
            random = np.random.default_rng(number)
            shape = (*recording.shape, dims)
            tensor = random.standard_normal(shape).astype(recording.dtype)
            if tensor.dtype == np.float32:
                _make_special(tensor)
            nuisances = random.standard_normal((shape[0], 3), dtype=np.float32)
            _make_special(nuisances)
            features = {
                "nuisances": nuisances,
                "score": _SCORES[number % len(_SCORES)],
                "counts": [number, -(2**60) - number],
                "label": f"Ninox {number % 7}: mopoke, ruru, 鷹鴞",
                "digest": random.bytes(number % 5) + b"\xff\x00",
            }
            for place, name in enumerate(FEATURES):
                if (number + place) % 3 == 0:
                    del features[name]
            yield Record(recording, timestamp_s, tensor, features)
            number += 1


def with_halves(records: Sequence[Record]) -> list[Record]:
    """The same records with tensors of float16, some values of which are special."""
    found = []
    for record in records:
        floats = np.where(np.isfinite(record.tensor), record.tensor, 1).clip(-60000, 60000)
        tensor = floats.astype(np.float16)
        tensor.reshape(-1)[: len(_SPECIAL_HALVES)].view(np.uint16)[:] = _SPECIAL_HALVES
        found.append(replace(record, tensor=tensor))
    return found


def _make_special(values: npt.NDArray[np.float32]) -> None:
    """Give some values bits that a reader may spoil."""
    flat = values.reshape(-1)
    flat[: len(_SPECIAL_BITS)].view(np.uint32)[:] = _SPECIAL_BITS


def expected_rows(records: Sequence[Record]) -> Any:
    """A ``pyarrow.Table`` of all windows, with all Hive keys and the features."""
    rows = [row for record in records for row in _rows(record)]
    embeddings, nuisances, flat = zip(*rows, strict=True)
    table = pa.Table.from_pylist(flat, schema=pa.schema(_FLAT))
    # Python's floats would lose NaN's payloads.
    return table.append_column("embedding", _lists(embeddings)).append_column(
        "nuisances", _lists(nuisances)
    )


_FLAT = {
    "filename": pa.string(),
    "site_id": pa.int32(),
    "site_name": pa.string(),
    "subsite_name": pa.string(),
    "file_seq_id": pa.int64(),
    "file_timestamp": pa.timestamp("us", tz="UTC"),
    "utc_offset_minutes": pa.int16(),
    "file_seconds_since_midnight": pa.int32(),
    "recording_offset_in_file": pa.float64(),
    "window_start": pa.timestamp("us", tz="UTC"),
    "window_start_local": pa.timestamp("us"),
    "channel": pa.int16(),
    "site": pa.string(),
    "date": pa.date32(),
    "month": pa.string(),
    "year": pa.int64(),
    **{name: kind for name, kind in FEATURES.items() if name != "nuisances"},
}


def _rows(record: Record) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    """Embedding, nuisances and the other columns of each window."""
    recording = record.recording
    fixed = {
        name: getattr(recording, name)
        for name in ("filename", "site", "site_id", "site_name", "subsite_name", "file_seq_id")
    }
    fixed["utc_offset_minutes"] = recording.offset_minutes
    fixed["file_seconds_since_midnight"] = recording.seconds_since_midnight
    features = dict(record.features)
    nuisances = features.pop("nuisances", None)
    fixed |= features
    first_s = float(np.float32(record.timestamp_s))
    tensor = record.tensor.astype(np.float32)
    for window, channel in np.ndindex(*recording.shape):
        offset_s = first_s + HOP_S * window
        row = fixed | {"recording_offset_in_file": offset_s, "channel": channel}
        yield (
            tensor[window, channel],
            None if nuisances is None else nuisances[window],
            row | _times(recording, offset_s),
        )


def _times(recording: Recording, offset_s: float) -> dict[str, Any]:
    """The columns that tell a time; they are left out where the recording has none."""
    if recording.start is None:
        return {}
    started = datetime.fromisoformat(recording.start)
    local = started + timedelta(microseconds=round(offset_s * 1e6))
    to_utc = timedelta(minutes=recording.offset_minutes or 0)
    return {
        "file_timestamp": _microseconds(started - to_utc),
        "window_start": _microseconds(local - to_utc),
        "window_start_local": _microseconds(local),
        "date": local.date(),
        "month": f"{local:%Y-%m}",
        "year": local.year,
    }


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _lists(rows: Sequence[npt.NDArray[np.float32] | None]) -> Any:
    """An Arrow array of lists with one length, null where a row is None."""
    size = next(len(row) for row in rows if row is not None)
    values = [np.zeros(size, np.float32) if row is None else row for row in rows]
    mask = pa.array([row is None for row in rows])
    return pa.FixedSizeListArray.from_arrays(pa.array(np.concatenate(values)), size, mask=mask)
