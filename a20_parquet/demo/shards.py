"""Writes realistic Perch shards with TensorFlow's own writer."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from a20_parquet.decoding.tensorflow import load_tensorflow
from a20_parquet.demo.recorders import Recorder, demo_recorders
from a20_parquet.demo.soundscape import Heard, Soundscape
from a20_parquet.errors import UsageError

WINDOW_S = 5.0
"""Seconds of audio in a window, and from one window to the next."""

_FIRST_DAY = datetime(2020, 10, 1)  # noqa: DTZ001 - each recorder's own wall clock
_MINUTES_A_DAY = 24 * 60
_RECORDING_MINUTES = 120
_MOST_RECORDERS = 9_000
_MOST_WINDOWS = 12
_FIRST_RECORDING_ID = 10_243
# Frame, field names, tensor header and lengths: a record's bytes besides values and filename.
_RECORD_OVERHEAD_BYTES = 145
_PROGRESS_RECORDS = 64
_LABELS_A_SOUND = 20
_FRAME_BYTES = 16
"""A length and two checksums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What to write, checked when it is made.

    Records are spread evenly over ``recorders`` by ``days``: each pair is a (site, date) partition
    if there are enough records.

    Raises:
        UsageError: a value is out of range, or the values do not fit together.
    """

    size_bytes: int
    """Approximate size of all shards together."""
    shards: int
    """Number of shard files."""
    recorders: int = 24
    """Number of recorders; each is a site."""
    days: int = 30
    """Days recorded, in each recorder's local time."""
    dims: int = 1280
    """Floats per embedding."""
    channels: int = 1
    """Audio channels: 1, or more after source separation."""
    windows_per_record: int = 12
    """Windows per record; 12 fill its minute."""
    seed: int = 20260101
    """The same plan with the same seed gives the same bytes."""

    def __post_init__(self) -> None:
        for name in ("size_bytes", "shards", "recorders", "days", "dims", "channels"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.recorders > _MOST_RECORDERS:
            raise UsageError(f"recorders is {self.recorders}; give at most {_MOST_RECORDERS}")
        if not 1 <= self.windows_per_record <= _MOST_WINDOWS:
            raise UsageError(
                f"windows_per_record is {self.windows_per_record}; a record is a minute and has "
                f"1 to {_MOST_WINDOWS} windows of {WINDOW_S:g} s"
            )
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}; give 0 or more")
        if self.records < self.shards:
            raise UsageError(
                f"{self.size_bytes} bytes are {self.records} records, too few for {self.shards} "
                "shards; give more bytes or fewer shards"
            )
        if self.records > self.recorders * self.days * _MINUTES_A_DAY:
            raise UsageError(
                f"{self.size_bytes} bytes are {self.records} minutes, more than {self.recorders} "
                f"recorders have in {self.days} days; give more recorders or days"
            )

    @property
    def records(self) -> int:
        """Number of records in all shards together."""
        names = [len(_filename(each, _FIRST_DAY, 0)) for each in demo_recorders(self.recorders)]
        values_bytes = 4 * self.windows_per_record * self.channels * self.dims
        record_bytes = values_bytes + _RECORD_OVERHEAD_BYTES + sum(names) / len(names)
        return round(self.size_bytes / record_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    site: int
    """Index of the recorder."""
    day: int
    """Local day, 0 for the first."""
    hour: int
    """Local hour of the day, 0 to 23."""
    filename: str
    timestamp_s: int
    """Seconds from the recording's start to the record's."""
    windows: int


def write_demo_shards(
    folder: Path,
    plan: DemoPlan,
    advance: Callable[[int], None] | None = None,
    labels: Path | None = None,
) -> list[Path]:
    """Write the plan's shards and then Perch's ``config.json`` beside them.

    Args:
        folder: created if missing. Shards of the same plan are overwritten.
        plan: what to write.
        advance: called with the number of bytes written since its last call.
        labels: gets the first windows of each sound as CSV, in the form that ``label`` reads.

    Returns:
        The shards, in the order of their numbers.

    Raises:
        UsageError: the folder has shards that are not this plan's.
    """
    tf = load_tensorflow()

    shards = [folder / f"embeddings-{i:05d}-of-{plan.shards:05d}" for i in range(plan.shards)]
    others = sorted(set(folder.glob("embeddings-*")) - set(shards))
    if others:
        raise UsageError(f"{folder} has other shards, such as {others[0].name}; empty it first")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.json"
    config.unlink(missing_ok=True)

    recorders = demo_recorders(plan.recorders)
    soundscape = Soundscape(
        sites=plan.recorders,
        days=plan.days,
        shape=(plan.windows_per_record, plan.channels, plan.dims),
        seed=plan.seed,
    )
    labelled = _Labels()
    shares = np.array_split(_shuffled_minutes(plan), plan.shards)
    for number, (shard, minutes) in enumerate(zip(shards, shares, strict=True)):
        draw = np.random.default_rng([plan.seed, 2, number])
        unreported = 0
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for index, record in enumerate(_records(plan, recorders, minutes), 1):
                values, heard = soundscape.record(draw, record.site, record.day, record.hour)
                labelled.add(record, heard)
                example = _example(tf, record, values[: record.windows])
                writer.write(example)
                unreported += len(example) + _FRAME_BYTES
                # Not for each record: that would slow the writing.
                if advance and (index % _PROGRESS_RECORDS == 0 or index == len(minutes)):
                    advance(unreported)
                    unreported = 0
    config.write_text(json.dumps(_perch_config(plan), indent=2))
    if labels is not None:
        labels.write_text("\n".join(["filename,start_s,end_s,label", *labelled.lines(), ""]))
    return shards


class _Labels:
    """Collects windows in which one sound alone is heard."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {}

    def add(self, record: _Record, heard: Heard) -> None:
        """Take a window from the middle of a record's only sound, of each sound a few."""
        if len(heard) != 1:
            return
        name, first, end = heard[0]
        window = (first + end) // 2
        lines = self._lines.setdefault(name, [])
        if window < record.windows and len(lines) < _LABELS_A_SOUND:
            start_s = record.timestamp_s + window * WINDOW_S
            lines.append(f"{record.filename},{start_s:g},{start_s + WINDOW_S:g},{name}")

    def lines(self) -> Iterator[str]:
        """Yield the lines of all sounds, by name."""
        for _, lines in sorted(self._lines.items()):
            yield from lines


def _shuffled_minutes(plan: DemoPlan) -> NDArray[np.int64]:
    """Return the recorded minutes in the order of writing: int64 of shape (records, 2).

    Columns: index of the recorder; minutes since its first day's midnight. Records are shuffled
    over shards, as Perch does it.
    """
    draw = np.random.default_rng([plan.seed, 1])
    partitions = plan.recorders * plan.days
    ends = np.arange(1, partitions + 1) * plan.records // partitions
    partition = np.searchsorted(ends, np.arange(plan.records), side="right")
    records = np.diff(ends, prepend=0)[partition]
    rank = np.arange(plan.records) - (ends - np.diff(ends, prepend=0))[partition]
    # One minute from each of a day's equal stretches: no minute comes twice.
    earliest, past = rank * _MINUTES_A_DAY // records, (rank + 1) * _MINUTES_A_DAY // records
    recorder, day = np.divmod(partition, plan.days)
    minute = day * _MINUTES_A_DAY + draw.integers(earliest, past)
    return np.stack([recorder, minute], axis=1)[draw.permutation(plan.records)]


def _records(
    plan: DemoPlan, recorders: list[Recorder], minutes: NDArray[np.int64]
) -> Iterator[_Record]:
    """Yield the records of these minutes."""
    recordings_a_site = (plan.days + 1) * _MINUTES_A_DAY // _RECORDING_MINUTES
    for site, minute in minutes.tolist():
        recorder = recorders[site]
        # Every other recorder starts on odd hours: one of its recordings crosses midnight.
        shift = 60 * (site % 2)
        recording, inside = divmod(minute - shift, _RECORDING_MINUTES)
        started = _FIRST_DAY + timedelta(minutes=recording * _RECORDING_MINUTES + shift)
        number = _FIRST_RECORDING_ID + site * recordings_a_site + recording + 1
        missing = number % plan.windows_per_record if inside == _RECORDING_MINUTES - 1 else 0
        day, of_day = divmod(minute + recorder.clock_minutes, _MINUTES_A_DAY)
        yield _Record(
            site=site,
            day=day,
            hour=of_day // 60,
            filename=_filename(recorder, started, number),
            timestamp_s=60 * inside,
            windows=plan.windows_per_record - missing,
        )


def _filename(recorder: Recorder, started: datetime, number: int) -> str:
    time = f"{started:%Y%m%dT%H%M%S}{recorder.offset}"
    return f"site_{recorder.site_id:04d}/{time}_{recorder.name}_{number:05d}.flac"


def _example(tf: Any, record: _Record, values: NDArray[np.float32]) -> bytes:
    """A serialized ``tf.train.Example`` in Perch's layout."""
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    tensor = TensorProto(dtype=tf.float32.as_datatype_enum, tensor_content=values.tobytes())
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    # Filled in place: a message passed to another's constructor is copied, 60 KB each time.
    example = tf.train.Example()
    feature = example.features.feature
    feature["timestamp_s"].float_list.value.append(record.timestamp_s)
    feature["filename"].bytes_list.value.append(record.filename.encode())
    feature["embedding"].bytes_list.value.append(tensor.SerializeToString())
    feature["embedding_shape"].int64_list.value.extend(values.shape)
    # A map has no order of its own, and the same plan must give the same bytes.
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def _perch_config(plan: DemoPlan) -> dict[str, Any]:
    """The ``config.json`` that Perch writes beside shards."""
    return {
        "embed_fn_config": {
            "write_embeddings": True,
            "write_logits": False,
            "write_separated_audio": False,
            "write_raw_audio": False,
            "write_frontend": False,
            "model_key": "taxonomy_model_tf" if plan.channels == 1 else "separator_model_tf",
            "model_config": {
                "sample_rate": 32000,
                "embedding_size": plan.dims,
                "make_embeddings": True,
                "make_logits": False,
                "make_separated_audio": plan.channels > 1,
                "window_size_s": WINDOW_S,
                "hop_size_s": WINDOW_S,
            },
            "min_audio_s": WINDOW_S,
            "file_id_depth": 1,
        },
        "source_file_patterns": ["recordings/site_*/*.flac"],
        "num_shards_per_file": 120,
        "shard_len_s": 60,
    }
