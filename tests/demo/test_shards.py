"""Demo shards, read back with TensorFlow's own reader."""

import csv
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from a20_parquet.demo.recorders import demo_recorders
from a20_parquet.demo.shards import DemoPlan, write_demo_shards
from a20_parquet.errors import UsageError

SMALL: dict[str, Any] = {"size_bytes": 4_000_000, "shards": 4, "recorders": 20, "days": 10}
NAME = re.compile(
    r"site_(\d{4})/(\d{8}T\d{6})(Z|[+]\d{4})_([A-Za-z0-9-]+)-(Wet|Dry)-(A|B)_(\d+)[.]flac"
)


@dataclass
class Read:
    """One record as TensorFlow reads it."""

    filename: str
    timestamp_s: float
    shape: list[int]
    values: NDArray[np.float32]

    @property
    def name(self) -> re.Match[str]:
        """The parts of the filename."""
        match = NAME.fullmatch(self.filename)
        assert match, self.filename
        return match

    @property
    def local_start(self) -> datetime:
        """When the record starts, by the recorder's wall clock."""
        recording = datetime.strptime(self.name[2], "%Y%m%dT%H%M%S")  # noqa: DTZ007
        return recording + timedelta(seconds=self.timestamp_s)


def read(shard: Path) -> list[Read]:
    features = {
        "timestamp_s": tf.io.FixedLenFeature([], tf.float32),
        "filename": tf.io.FixedLenFeature([], tf.string),
        "embedding": tf.io.FixedLenFeature([], tf.string),
        "embedding_shape": tf.io.FixedLenFeature([3], tf.int64),
    }
    framed = list(tf.data.TFRecordDataset(str(shard)).as_numpy_iterator())
    parsed = tf.io.parse_example(tf.constant(framed, tf.string), features)
    return [
        Read(
            filename=parsed["filename"].numpy()[i].decode(),
            timestamp_s=float(parsed["timestamp_s"].numpy()[i]),
            shape=parsed["embedding_shape"].numpy()[i].tolist(),
            values=tf.io.parse_tensor(parsed["embedding"][i], tf.float32).numpy(),
        )
        for i in range(len(framed))
    ]


@pytest.fixture(scope="module")
def plan() -> DemoPlan:
    return DemoPlan(**{**SMALL, "size_bytes": 20_000_000})


@pytest.fixture(scope="module")
def shards(plan: DemoPlan, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_demo_shards(tmp_path_factory.mktemp("shards"), plan)


@pytest.fixture(scope="module")
def records(shards: list[Path]) -> list[list[Read]]:
    """The records of each shard."""
    return [read(shard) for shard in shards]


@pytest.fixture(scope="module")
def everything(records: list[list[Read]]) -> list[Read]:
    return [record for shard in records for record in shard]


def test_files(shards: list[Path]) -> None:
    """Shards are named as Perch names them, with its config beside them."""
    assert [shard.name for shard in shards] == [f"embeddings-0000{i}-of-00004" for i in range(4)]
    folder = shards[0].parent
    assert sorted(folder.iterdir()) == [folder / "config.json", *shards]
    model = json.loads((folder / "config.json").read_text())["embed_fn_config"]["model_config"]
    assert model["embedding_size"] == 1280
    assert model["hop_size_s"] == 5.0


def test_size(shards: list[Path], plan: DemoPlan) -> None:
    """All shards together have the size asked for, each an equal share."""
    sizes = [shard.stat().st_size for shard in shards]
    assert sum(sizes) == pytest.approx(plan.size_bytes, rel=0.05)
    assert max(sizes) == pytest.approx(min(sizes), rel=0.05)


def test_size_of_small_records(tmp_path: Path) -> None:
    """Names and field tags count, which matters where embeddings are short."""
    plan = DemoPlan(**SMALL | {"dims": 8, "size_bytes": 500_000})
    sizes = [shard.stat().st_size for shard in write_demo_shards(tmp_path, plan)]
    assert sum(sizes) == pytest.approx(plan.size_bytes, rel=0.05)


def test_record_count(everything: list[Read], plan: DemoPlan) -> None:
    """The plan has the number of records beforehand."""
    assert len(everything) == plan.records


def test_shapes(everything: list[Read]) -> None:
    """Tensors are [windows, 1, 1280] float32, and embedding_shape says the same."""
    assert all(list(record.values.shape) == record.shape for record in everything)
    assert {record.values.dtype for record in everything} == {np.dtype("float32")}
    assert {tuple(record.shape[1:]) for record in everything} == {(1, 1280)}
    assert Counter(record.shape[0] for record in everything).most_common(1)[0][0] == 12


def test_tensor_bytes(shards: list[Path]) -> None:
    """The tensor's bytes are those of TensorFlow's serialize_tensor."""
    framed = next(iter(tf.data.TFRecordDataset(str(shards[0])).as_numpy_iterator()))
    example = tf.train.Example.FromString(framed)
    assert set(example.features.feature) == {
        "timestamp_s",
        "filename",
        "embedding",
        "embedding_shape",
    }
    (content,) = example.features.feature["embedding"].bytes_list.value
    assert tf.io.serialize_tensor(tf.io.parse_tensor(content, tf.float32)).numpy() == content


def test_only_last_record_is_short(tmp_path: Path) -> None:
    """Some recordings end within their last minute; every other record is whole."""
    plan = DemoPlan(size_bytes=350_000, shards=1, recorders=1, days=1, dims=2)
    records = read(write_demo_shards(tmp_path, plan)[0])
    last = [record.shape[0] for record in records if record.timestamp_s == 7140]
    assert {record.shape[0] for record in records if record.timestamp_s < 7140} == {12}
    assert min(last) < 12


def test_timestamps(everything: list[Read]) -> None:
    """Records start on whole minutes of a two-hour recording."""
    assert all(record.timestamp_s % 60 == 0 for record in everything)
    assert all(0 <= record.timestamp_s < 7200 for record in everything)


def test_no_minute_twice(everything: list[Read]) -> None:
    """A recorder's minute is written once."""
    minutes = Counter((record.filename, record.timestamp_s) for record in everything)
    assert set(minutes.values()) == {1}


def test_recordings(everything: list[Read]) -> None:
    """A recording's id has one filename, and a site and day has several recordings."""
    ids = {record.name[7]: record.filename for record in everything}
    assert len(ids) == len({record.filename for record in everything})
    site_days = Counter(
        (name[1], name[2][:8]) for name in map(NAME.fullmatch, ids.values()) if name
    )
    assert max(site_days.values()) > 1


def test_partitions(everything: list[Read], plan: DemoPlan) -> None:
    """Site and local date of the windows make one partition a recorder and day."""
    partitions = Counter((record.name[1], record.local_start.date()) for record in everything)
    assert len(partitions) == plan.recorders * plan.days
    assert max(partitions.values()) - min(partitions.values()) <= 1


def test_past_midnight(everything: list[Read]) -> None:
    """Some recordings run past midnight."""
    assert any(
        not record.filename[10:].startswith(f"{record.local_start:%Y%m%d}") for record in everything
    )


def test_shuffled(records: list[list[Read]], plan: DemoPlan) -> None:
    """Each shard touches nearly every site, and neighbours have nothing to do with each other."""
    for shard in records:
        sites = [record.name[1] for record in shard]
        assert len(set(sites)) >= 0.9 * plan.recorders
        same = sum(a == b for a, b in zip(sites[1:], sites[:-1], strict=True))
        assert same < len(sites) / 4


def test_recorders() -> None:
    """Names and site ids are unique, places have two to four recorders and various offsets."""
    recorders = demo_recorders(340)
    assert (
        len({each.name for each in recorders}) == len({each.site_id for each in recorders}) == 340
    )
    assert {each.offset for each in recorders} == {"+1000", "+0930", "+1100", "+0800", "+1030", "Z"}
    places = Counter(each.name[: -len("-Wet-A")] for each in recorders)
    *whole, _ = places.values()  # the last place is cut off where the count ends
    assert set(whole) == {2, 3, 4}


def test_values(everything: list[Read]) -> None:
    """Embeddings are finite, not negative and mostly small with a long tail."""
    values = np.concatenate([record.values[:, 0] for record in everything[:200]])
    assert np.isfinite(values).all()
    assert values.min() >= 0
    assert np.median(values) < values.mean()
    assert values.mean() < 0.1
    assert 0.5 < values.max() < 3


def test_calls_recur(everything: list[Read]) -> None:
    """Some windows have a very similar one in another site's recording."""
    windows = np.concatenate([record.values[:, 0] for record in everything])
    sites = np.repeat([r.name[1] for r in everything], [r.shape[0] for r in everything])
    windows /= np.linalg.norm(windows, axis=1, keepdims=True)
    cosine = windows[:200] @ windows.T
    cosine[sites[:200, None] == sites] = -1
    assert 0.05 < (cosine.max(axis=1) > 0.85).mean() < 0.9


def test_labels_tell_what_is_heard(tmp_path: Path) -> None:
    """Labelled windows exist, have the sound's hours, and sound alike: more than other sounds."""
    plan = DemoPlan(**{**SMALL, "size_bytes": 30_000_000})
    shards = write_demo_shards(tmp_path / "shards", plan, labels=tmp_path / "labels.csv")
    found = {
        (record.filename, record.timestamp_s): record for shard in shards for record in read(shard)
    }
    with (tmp_path / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    hours: dict[str, set[int]] = {}
    vectors: dict[str, list[NDArray[np.float32]]] = {}
    for row in rows:
        start_s = float(row["start_s"])
        assert float(row["end_s"]) == start_s + 5
        record = found[row["filename"], start_s // 60 * 60]
        zone = {each.name: each for each in demo_recorders(plan.recorders)}
        ahead = zone[f"{record.name[4]}-{record.name[5]}-{record.name[6]}"].clock_minutes
        hours.setdefault(row["label"], set()).add(
            (record.local_start + timedelta(minutes=ahead)).hour
        )
        window = record.values[int(start_s % 60) // 5, 0]
        vectors.setdefault(row["label"], []).append(window / np.linalg.norm(window))
    assert hours["dawn chorus"] <= {4, 5, 6, 7}
    assert hours["rain"] <= set(range(13, 23))
    assert {22, 23, 0, 1} & hours["insects"]
    assert not hours["insects"] & {9, 10, 14}
    names = ["dawn chorus", "insects", "rain"]
    means = [np.stack(vectors[name]) for name in names]
    alike = np.array([[(one @ other.T).mean() for other in means] for one in means])
    assert alike.diagonal().min() > 0.8
    assert (alike - np.eye(3)).max() < 0.8


@pytest.mark.parametrize("channels", [2, 5])
def test_channels(channels: int, tmp_path: Path) -> None:
    """Separated audio has further channels; a call heard in one is in channel 0 too."""
    plan = DemoPlan(**SMALL | {"channels": channels, "dims": 64, "windows_per_record": 6})
    records = read(write_demo_shards(tmp_path, plan)[0])
    assert {tuple(record.shape[1:]) for record in records} == {(channels, 64)}
    mean = np.mean([record.values.mean(axis=(0, 2)) for record in records], axis=0)
    assert (mean[0] > mean[1:]).all()


def digests(folder: Path, plan: DemoPlan) -> list[str]:
    return [hashlib.sha256(f.read_bytes()).hexdigest() for f in write_demo_shards(folder, plan)]


def test_deterministic(tmp_path: Path) -> None:
    """The same plan gives the same bytes, another seed others."""
    plan = DemoPlan(**SMALL)
    first = digests(tmp_path / "a", plan)
    assert digests(tmp_path / "b", plan) == first
    assert digests(tmp_path / "a", plan) == first
    assert not set(digests(tmp_path / "c", DemoPlan(**SMALL, seed=1))) & set(first)


def test_advance(tmp_path: Path) -> None:
    """Progress adds up to the bytes of the shards."""
    steps: list[int] = []
    shards = write_demo_shards(tmp_path, DemoPlan(**SMALL | {"dims": 100}), steps.append)
    assert len(steps) > 8
    assert sum(steps) == sum(shard.stat().st_size for shard in shards)


def test_foreign_shards(tmp_path: Path) -> None:
    """Shards that another plan left are not mixed with new ones."""
    (tmp_path / "embeddings-00000-of-00009").touch()
    with pytest.raises(UsageError, match="00000-of-00009"):
        write_demo_shards(tmp_path, DemoPlan(**SMALL))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"size_bytes": 0}, "size_bytes is 0"),
        ({"shards": 0}, "shards is 0"),
        ({"recorders": -1}, "recorders is -1"),
        ({"recorders": 10_000}, "at most 9000"),
        ({"days": 0}, "days is 0"),
        ({"dims": 0}, "dims is 0"),
        ({"channels": 0}, "channels is 0"),
        ({"windows_per_record": 0}, "windows_per_record is 0"),
        ({"windows_per_record": 13}, "1 to 12 windows"),
        ({"seed": -1}, "seed is -1"),
        ({"shards": 100}, "fewer shards"),
        ({"size_bytes": 10**12}, "more recorders or days"),
    ],
)
def test_refused(change: dict[str, int], says: str) -> None:
    """A plan that cannot be written is refused, with the fix."""
    with pytest.raises(UsageError, match=says):
        DemoPlan(**SMALL | change)
