"""The notebook's loop, written apart from the package, to compare its files with."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from a20_parquet.decoding.tensorflow import load_tensorflow


def find_hits(name: str) -> Iterator[tuple[str, ...]]:
    """Each hit of the notebook's pattern, from left to right, none overlapping another."""
    at = 0
    while at < len(name):
        begin, parts = _start_at(name, at)
        end, more = _end_from(name, begin) if parts else (0, ())
        if more:
            yield (*parts, *more)
        at = end if more else at + 1


def _start_at(name: str, at: int) -> tuple[int, tuple[str, ...]]:
    """Where the site's name begins, and site, time and zone; no parts where it has another form."""
    site, day, time = name[at + 5 : at + 9], name[at + 10 : at + 18], name[at + 19 : at + 25]
    zone = "Z" if name[at + 25 : at + 26] == "Z" else name[at + 25 : at + 30]
    expected = f"site_{site}/{day}T{time}{zone}_"
    digits = site + day + time + ("" if zone == "Z" else zone[1:])
    count = 18 if zone == "Z" else 22
    if name[at : at + len(expected)] != expected or len(digits) != count:
        return 0, ()
    if not digits.isdecimal() or zone[0] not in "Z+":
        return 0, ()
    return at + len(expected), (site, f"{day}T{time}", zone)


def _end_from(name: str, begin: int) -> tuple[int, tuple[str, ...]]:
    """Where the hit ends, and the site's name, the shortest, subsite and id."""
    for end in range(begin, len(name)):
        for subsite in ("Wet-A", "Wet-B", "Dry-A", "Dry-B"):
            first = end + len(f"-{subsite}_")
            if name[end:first] == f"-{subsite}_":
                for last in range(len(name) - 5, first, -1):
                    number, dot, flac = name[first:last], name[last], name[last + 1 : last + 5]
                    if number.isdecimal() and dot != "\n" and flac == "flac":
                        return last + 5, (name[begin:end], subsite, number)
        if not (name[end].isalnum() or name[end] in "_-"):
            break
    return 0, ()


def read_name(name: str) -> dict[str, Any]:
    """What the notebook reads of a filename.

    Raises:
        ValueError: it has not one hit, or one with an impossible date, time or offset.
    """
    [(site, local_time, zone, site_name, subsite, number)] = find_hits(name)
    offset = "+0000" if zone == "Z" else zone
    start = datetime.strptime(local_time + offset, "%Y%m%dT%H%M%S%z")
    midnight = start.replace(hour=0, minute=0, second=0)
    return {
        "file_timestamp": int(start.timestamp()),
        "file_seconds_since_midnight": (start - midnight).seconds,
        "site_id": site,
        "site_name": site_name,
        "subsite_name": subsite,
        "file_seq_id": int(number),
    }


def convert(shard: Path, out: Path) -> None:
    """Write ``out/embeddings`` and ``out/metadata`` of one shard, one record at a time."""
    tf = load_tensorflow()
    features = {
        "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
        "filename": tf.io.FixedLenFeature([], tf.string),
        "embedding": tf.io.FixedLenFeature([], tf.string),
    }
    rows: list[Any] = []
    objects: list[dict[str, Any]] = []
    for raw in tf.data.TFRecordDataset(str(shard)).as_numpy_iterator():
        example = tf.io.parse_single_example(raw, features)
        tensor = tf.io.parse_tensor(example["embedding"], tf.float32).numpy()
        filename = example["filename"].numpy().decode()
        timestamp_s = example["timestamp_s"].numpy()
        told = read_name(filename)
        for i, row in enumerate(tensor[:, 0]):
            rows.append(row)
            objects.append(
                {
                    "file_timestamp": told["file_timestamp"],
                    "file_seconds_since_midnight": told["file_seconds_since_midnight"],
                    "recording_offset_in_file": int(timestamp_s + 5 * i),
                    **{key: told[key] for key in ("site_id", "site_name", "subsite_name")},
                    "file_seq_id": told["file_seq_id"],
                    "filename": filename,
                }
            )
    stem = shard.name.split(".")[0]
    for folder in ("embeddings", "metadata"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    np.save(out / "embeddings" / f"{stem}.npy", rows)
    (out / "metadata" / f"{stem}.json").write_text(json.dumps(objects))


def pairs(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones as well, with its bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
