"""Parses filenames and writes JSON objects as the notebook did."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Annotated, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.windows.filenames.parse import A2O_RULES, FilenameRules, parse_filenames
from a20_parquet.windows.records import RecordMetadata

WINDOW_S = 5
"""Seconds from one window's start to the next: the notebook knows no other."""

# The notebook repeats alternatives for the site's name, which takes exponential time for names with
# many hyphens that do not match. One character class matches the same names.
_HIT = re.compile(r"site_(\d{4})/(\d{8}T\d{6})(\+\d{4}|Z)_([\w-]*?)-((?:Wet|Dry)-[AB])_(\d+).flac")
_SITE_ID_DIGITS = 4
_HOURS, _SIXTY = 24, 60
_1970 = date(1970, 1, 1).toordinal()
_MOST_NAMED = 3
# json.dumps without its check for options.
_dumps = json.JSONEncoder().encode
_LEAVE_OUT = "Leave the shard out, or have the record written again."


@dataclass(frozen=True)
class NotebookWindow:
    """One object of the list in ``metadata/SHARD.json``, its items in this order."""

    file_timestamp: Annotated[int, "start of the recording, seconds since 1970 in UTC"]
    file_seconds_since_midnight: Annotated[int, "time of day at which it starts, local, seconds"]
    recording_offset_in_file: Annotated[
        int, "from the recording's start to the window's, whole seconds, rounded towards zero"
    ]
    site_id: Annotated[str | None, "as the filename writes it, else padded to four digits"]
    site_name: Annotated[str | None, "the recorder's place"]
    subsite_name: Annotated[str | None, "Wet-A, Wet-B, Dry-A or Dry-B"]
    file_seq_id: Annotated[int | None, "the A2O's id of the recording"]
    filename: Annotated[str, "the recording, as the shard names it"]


class NotebookRecording(NamedTuple):
    """Fields of a recording in the notebook's files; None if the filename does not contain them."""

    file_timestamp: int
    """Start of the recording, seconds since 1970 in UTC."""
    file_seconds_since_midnight: int
    """Time of day in the filename."""
    site_id: str | None
    """Digits in the filename, else padded to four digits."""
    site_name: str | None
    subsite_name: str | None
    file_seq_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookRecords:
    """Content of the notebook's files for a batch of records."""

    kept: tuple[int, ...]
    """Indices of the records that the files contain: their filenames have a start and an id."""
    left_out: tuple[bytes, ...]
    """Filenames of the other records."""
    windows: int
    """Windows of the kept records."""
    json: str
    """One JSON object per window, in record, then window order, separated by ``, ``."""


def read_as_notebook(filename: str) -> NotebookRecording | None:
    """Parse a filename as the notebook does.

    The notebook searches the filename for its pattern, which must match exactly once. Other text
    before or after is ignored.

    Returns:
        The recording; None if there is no single match, or the notebook fails at an impossible
        date, time, offset or id.
    """
    hits: list[tuple[str, ...]] = _HIT.findall(filename)
    if len(hits) != 1:
        return None
    site_id, local_time, zone, site_name, subsite_name, file_seq_id = hits[0]
    try:
        day = date(int(local_time[:4]), int(local_time[4:6]), int(local_time[6:8]))
        seconds = _seconds(local_time[9:11], local_time[11:13], local_time[13:])
        offset_s = 0 if zone == "Z" else _seconds(zone[1:3], zone[3:])
        number = int(file_seq_id)
    except ValueError:
        return None
    return NotebookRecording(
        file_timestamp=(day.toordinal() - _1970) * 86_400 + seconds - offset_s,
        file_seconds_since_midnight=seconds,
        site_id=site_id,
        site_name=site_name,
        subsite_name=subsite_name,
        file_seq_id=number,
    )


def read_filenames(
    filenames: Sequence[bytes], rules: FilenameRules = A2O_RULES
) -> list[NotebookRecording | None]:
    """Parse filenames as the notebook does, or else as datasets do; None if neither can."""
    texts = [_decode(filename) for filename in filenames]
    recordings = [None if text is None else read_as_notebook(text) for text in texts]
    others = [i for i, text in enumerate(texts) if text is not None and recordings[i] is None]
    if others:
        parsed = _read_as_dataset([texts[i] for i in others], rules)
        for i, recording in zip(others, parsed, strict=True):
            recordings[i] = recording
    return recordings


def render_records(metadata: RecordMetadata, rules: FilenameRules = A2O_RULES) -> NotebookRecords:
    """Write the JSON objects of a batch of records.

    ``rules`` are for filenames that the notebook itself cannot parse.

    Raises:
        RecordError: a record with windows has a timestamp that is not finite.
    """
    recordings = read_filenames(metadata.filenames, rules)
    kept = [i for i, recording in enumerate(recordings) if recording is not None]
    windows = [count_windows(metadata.shapes[i]) for i in kept]
    _check_timestamps(metadata, kept, windows)
    offsets = iter(_offsets(metadata.timestamps_s[kept], windows))
    parts = []
    for i, count in zip(kept, windows, strict=True):
        if count:
            before, after = _around_offset(recordings[i], metadata.filenames[i])
            parts.append(before + f"{after}, {before}".join(islice(offsets, count)) + after)
    return NotebookRecords(
        kept=tuple(kept),
        left_out=tuple(
            name
            for name, recording in zip(metadata.filenames, recordings, strict=True)
            if recording is None
        ),
        windows=sum(windows),
        json=", ".join(parts),
    )


def count_windows(shape: tuple[int, int, int]) -> int:
    """Rows of a record of shape ``(windows, channels, dims)`` in the notebook's files."""
    windows, channels, _ = shape
    return windows if channels else 0


def name_outputs(names: Sequence[str], labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Choose the names of shards' files: the shard's file name up to the first dot.

    Shards for which this name is empty, or not unique, use their labels, which are unique.

    Returns:
        A unique name per shard, and a message for each name that several would have shared.
    """
    outputs = [name.partition(".")[0] or label for name, label in zip(names, labels, strict=True)]
    lines: list[str] = []
    while shared := {name for name, times in Counter(outputs).items() if times > 1}:
        # A label may equal another shard's short name: repeat until all names are unique.
        lines += _shared_lines(outputs, labels, shared)
        outputs = [
            label if name in shared else name for name, label in zip(outputs, labels, strict=True)
        ]
    return outputs, lines


def _shared_lines(outputs: Sequence[str], labels: Sequence[str], shared: set[str]) -> Iterator[str]:
    for name in sorted(shared):
        sharing = [label for output, label in zip(outputs, labels, strict=True) if output == name]
        more = len(sharing) - _MOST_NAMED
        listed = [*sharing[:_MOST_NAMED], f"{more:,} more"] if more > 0 else sharing
        these = f"{', '.join(listed[:-1])} and {listed[-1]}"
        both = "all" if sharing[2:] else "both"
        yield (
            f"{these} would {both} be {name}.npy and {name}.json: each is named by its whole label"
        )


def _seconds(hours: str, minutes: str, seconds: str = "0") -> int:
    """Seconds of a time of day, or of an offset of less than a day.

    Raises:
        ValueError: there is no such time.
    """
    hour, minute, second = int(hours), int(minutes), int(seconds)
    if hour >= _HOURS or minute >= _SIXTY or second >= _SIXTY:
        raise ValueError(f"no time: {hour}:{minute}:{second}")
    return hour * 3600 + minute * 60 + second


def _decode(filename: bytes) -> str | None:
    try:
        return filename.decode()
    except UnicodeDecodeError:
        return None


def _read_as_dataset(
    filenames: Sequence[str | None], rules: FilenameRules
) -> Iterator[NotebookRecording | None]:
    recordings = parse_filenames(pa.array(filenames, pa.string()), rules)
    columns: list[list[Any]] = [
        (recordings.file_timestamp.cast(pa.int64())).to_pylist(),
        recordings.file_seconds_since_midnight.to_pylist(),
        recordings.site_id.to_pylist(),
        recordings.site_name.to_pylist(),
        recordings.subsite_name.to_pylist(),
        recordings.file_seq_id.to_pylist(),
    ]
    for valid, start_us, seconds, site, name, subsite, number in zip(
        recordings.valid, *columns, strict=True
    ):
        yield (
            None
            if not valid or start_us is None or number is None
            else NotebookRecording(
                file_timestamp=start_us // 1_000_000,
                file_seconds_since_midnight=seconds,
                site_id=None if site is None else f"{site:0{_SITE_ID_DIGITS}d}",
                site_name=name,
                subsite_name=subsite,
                file_seq_id=number,
            )
        )


def _check_timestamps(
    metadata: RecordMetadata, kept: Sequence[int], windows: Sequence[int]
) -> None:
    for i, count in zip(kept, windows, strict=True):
        if count and not math.isfinite(metadata.timestamps_s[i]):
            reason = (
                f"timestamp_s is {metadata.timestamps_s[i]}, expected seconds since the "
                "recording's start"
            )
            raise metadata.error(i, reason, _LEAVE_OUT)


def _offsets(timestamps_s: npt.NDArray[np.float64], windows: Sequence[int]) -> list[str]:
    """Whole seconds from the recording's start to each window, as decimal digits."""
    counts = np.array(windows, np.int64)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    # The notebook adds Python integers to TensorFlow's float32. The sum is float32 too, and may be
    # rounded up to the next second.
    start_s = np.repeat(timestamps_s.astype(np.float32), counts)
    offset_s = start_s + (WINDOW_S * number).astype(np.float32)
    return [str(int(value)) for value in offset_s.tolist()]


def _around_offset(recording: NotebookRecording | None, filename: bytes) -> tuple[str, str]:
    """JSON object of a window, split around the offset, which alone differs within a record."""
    if recording is None:
        raise ValueError("a record whose filename was not parsed is in no file")
    before = (
        f'{{"file_timestamp": {recording.file_timestamp}, "file_seconds_since_midnight": '
        f'{recording.file_seconds_since_midnight}, "recording_offset_in_file": '
    )
    after = (
        f', "site_id": {_dumps(recording.site_id)}, "site_name": {_dumps(recording.site_name)}, '
        f'"subsite_name": {_dumps(recording.subsite_name)}, '
        f'"file_seq_id": {recording.file_seq_id}, "filename": {_dumps(filename.decode())}}}'
    )
    return before, after
