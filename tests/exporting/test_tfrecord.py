"""Shards from a dataset: TensorFlow reads them, and converting them gives the same rows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import a20_parquet
from a20_parquet.decoding.tensorflow import load_tensorflow
from a20_parquet.demo.shards import DemoPlan, write_demo_shards
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.exporting import write_tfrecord
from tests.helpers.command_line import run
from tests.helpers.conversions import (
    as_bits,
    assert_same_windows,
    digests,
    read_with_tensorflow,
)
from tests.helpers.shards import make_features, make_record, random_tensor, serialize, write_shard

NO_SHRINK = [Phase.explicit, Phase.reuse, Phase.generate]
"""Shrinking converts hundreds of times."""
NAMES = [
    "site_0285/20201014T235800+1030_Arkaba-Dry-A_49500.flac",
    "site_0285/20201014T235730+1000_Arkaba-Dry-A_49501.flac",
    "20201014T132755Z_Arkaba-Dry-A_49502.flac",
    "tests/files/audio/100sec.wav",
]


def rows(dataset: Path) -> list[tuple[str, pl.DataFrame]]:
    """All files as polars reads them, with the floats as bits."""
    files = sorted((dataset / "data").rglob("*.parquet"))
    bits = pl.col("embedding").cast(pl.Array(pl.Float32, 0)) if not files else pl.col("embedding")
    return [
        (
            file.relative_to(dataset).as_posix(),
            pl.read_parquet(file, hive_partitioning=False).with_columns(bits),
        )
        for file in files
    ]


def assert_same_rows(first: Path, second: Path) -> None:
    """Both datasets have the same files with the same rows in the same order, bit for bit."""
    pairs = list(zip(rows(first), rows(second), strict=True))
    for (path, expected), (other, found) in pairs:
        assert path == other
        assert found.drop("embedding").equals(expected.drop("embedding"))
        np.testing.assert_array_equal(
            found["embedding"].to_numpy().view(np.uint32),
            expected["embedding"].to_numpy().view(np.uint32),
        )


def round_trip(shards: Any, folder: Path, **options: Any) -> tuple[str, ...]:
    """Convert, export, and convert again to equal rows; return the remarks of the export."""
    options = {"decoder": "wire", "unknown_site": "unknown"} | options
    a20_parquet.convert(shards, folder / "first", **options)
    made = a20_parquet.export(folder / "first", folder / "shards", as_="tfrecord")
    a20_parquet.convert(folder / "shards", folder / "second", **options)
    assert_same_rows(folder / "first", folder / "second")
    first, second = (a20_parquet.describe(folder / name) for name in ("first", "second"))
    assert (first.model, first.window_seconds) == (second.model, second.window_seconds)
    return made.remarks


def examples(shards: Sequence[Path]) -> list[bytes]:
    """The records that TensorFlow reads, their features in one order."""
    tf = load_tensorflow()
    found = []
    for raw in tf.data.TFRecordDataset([str(path) for path in shards]):
        message = tf.train.Example.FromString(raw.numpy())
        found.append(message.SerializeToString(deterministic=True))
    return sorted(found)


def shards_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("embeddings-*"))


def test_demo_records_come_back_byte_for_byte(tmp_path: Path) -> None:
    """Whole minutes of canonical records, of recordings that overlap and cross midnight."""
    plan = DemoPlan(size_bytes=2_000_000, shards=2, recorders=3, days=2, dims=64, channels=2)
    write_demo_shards(tmp_path / "demo", plan)
    assert round_trip(tmp_path / "demo", tmp_path) == ()
    assert examples(shards_in(tmp_path / "shards")) == examples(shards_in(tmp_path / "demo"))
    assert [path.name for path in shards_in(tmp_path / "shards")] == ["embeddings-00000-of-00001"]


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("perch-real", {}),
        ("hoplite", {}),
        ("notebook/shards", {}),
        *((f"cases/{name}", {}) for name in ("nested_hop", "window_no_hop", "no_config")),
        *((f"cases/{name}", {}) for name in ("two_axes", "frontier_labs", "case", "baw_names")),
        ("cases/offset_in_samples", {}),
    ],
)
def test_real_data(real_data: Path, tmp_path: Path, source: str, options: dict[str, Any]) -> None:
    assert round_trip(real_data / source, tmp_path, **options) == ()


def test_real_float32_records_come_back(real_data: Path, tmp_path: Path) -> None:
    """Each of 30 real minutes is the same record again."""
    shard = real_data / "perch-real" / "embeddings-00000-of-00003"
    round_trip(shard, tmp_path)
    assert examples(shards_in(tmp_path / "shards")) == examples([shard])


def test_selections(grown: Path, tmp_path: Path) -> None:
    """What ``where`` selects is in the shards, as TensorFlow reads them; several shards by size."""
    where = "channel = 0 and hour(window_start_local) < 12"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_tfrecord, "SHARD_BYTES", 64 * 50)
        made = a20_parquet.export(grown, tmp_path / "out", as_="tfrecord", where=where)
    shards = shards_in(tmp_path / "out")
    assert len(shards) == -(-made.windows // 50) > 3
    assert {path.name[-9:] for path in shards} == {f"-of-{len(shards):05d}"[-9:]}
    expected = a20_parquet.scan(grown).filter(
        pl.col("channel") == 0, pl.col("window_start_local").dt.hour() < 12
    )
    assert_same_windows(read_with_tensorflow(shards), as_bits(expected.collect()))
    assert made.files == len(shards) + 1
    sample = a20_parquet.export(
        grown, tmp_path / "some", as_="tfrecord", per=("site,date", 3), where="channel = 0"
    )
    assert sum(len(w) for w in [read_with_tensorflow(shards_in(tmp_path / "some"))]) == (
        sample.windows
    )


def test_a_channel_alone_is_refused(grown: Path, tmp_path: Path) -> None:
    """Records number channels from 0; nothing is left behind."""
    with pytest.raises(UsageError, match=r"has channel 2 without channel 0.*or export a dataset"):
        a20_parquet.export(grown, tmp_path / "out", as_="tfrecord", where="channel = 2")
    assert not list(tmp_path.iterdir())


@st.composite
def recordings(draw: st.DrawFn) -> tuple[float, list[tuple[str, float, tuple[int, int]]]]:
    """A hop, and records that overlap, have gaps, repeat each other or start before 0."""
    hop_s = draw(st.sampled_from([5.0, 2.5, 0.96, 7.0, 61.0]))
    start = st.one_of(
        st.integers(-2, 4).map(lambda minute: 60.0 * minute),
        st.integers(-40, 40).map(lambda window: float(np.float32(window * hop_s))),
        st.floats(-1e6, 1e6, width=32),
    )
    shape = st.tuples(st.integers(0, 30), st.integers(1, 3))
    record = st.tuples(st.sampled_from(NAMES), start, shape)
    return hop_s, draw(st.lists(record, min_size=1, max_size=12))


@given(made=recordings(), buffer=st.sampled_from([1, 2000, 1 << 20]))
@settings(max_examples=25, phases=NO_SHRINK)
def test_any_records_give_the_same_rows(
    made: tuple[float, list[tuple[str, float, tuple[int, int]]]],
    buffer: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Also equal windows in their order, with buffers that hold a few windows or all."""
    hop_s, records = made
    folder = tmp_path_factory.mktemp("any")
    payloads = [
        make_record(random_tensor((*shape, 4), number), name, start_s)
        for number, (name, start_s, shape) in enumerate(records)
    ]
    if not any(shape[0] for _, _, shape in records):
        return
    shard = write_shard(folder / "in" / "a-00000-of-00001", payloads)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_tfrecord, "BUFFER_BYTES", buffer)
        a20_parquet.convert(
            shard, folder / "a", decoder="wire", window_seconds=hop_s, unknown_site="unknown"
        )
        made_ = a20_parquet.export(folder / "a", folder / "out", as_="tfrecord")
    a20_parquet.convert(folder / "out", folder / "b", decoder="wire", unknown_site="unknown")
    if made_.remarks:
        offsets = a20_parquet.scan(folder / "a").select("recording_offset_in_file").collect()
        starts = offsets.to_numpy().ravel()
        assert (starts.astype(np.float32) != starts).any()
        return
    assert_same_rows(folder / "a", folder / "b")


def test_inexact_starts_are_told(tmp_path: Path) -> None:
    """A window at 2.88 s cannot start a record exactly; whole recordings can."""
    names = [NAMES[0], NAMES[3]]
    shard = write_shard(
        tmp_path / "in" / "a-00000-of-00001",
        [make_record(random_tensor((200, 1, 4), n), name, 0.0) for n, name in enumerate(names)],
    )
    assert round_trip(shard, tmp_path, window_seconds=0.96) == ()
    made = a20_parquet.export(
        tmp_path / "first",
        tmp_path / "part",
        as_="tfrecord",
        where="recording_offset_in_file between 2.5 and 3",
    )
    (remark,) = made.remarks
    assert remark.startswith("2 records start where timestamp_s, a float32, cannot say it exactly")
    assert "@2.88" in remark


def test_values_and_features(tmp_path: Path) -> None:
    """NaN with its bits, float16, and features of records, windows and channels, some missing."""
    train = load_tensorflow().train
    records = []
    for number in range(6):
        shape = (12, 2) if number % 2 else (5, 1)
        half = number == 3
        tensor = random_tensor((*shape, 4), number, np.float16 if half else np.float32)
        tensor.reshape(-1)[3] = np.nan
        if not half:
            tensor.view(np.uint32).reshape(-1)[5] = 0xFFC12345
        features = make_features(tensor, NAMES[number % 2], 60.0 * (number // 2))
        count, cells = shape[0], shape[0] * shape[1]
        if number != 4:
            logits = load_tensorflow().io.serialize_tensor(random_tensor((*shape, 3), number))
            features["logits"] = train.Feature(bytes_list=train.BytesList(value=[logits.numpy()]))
            features["gain"] = train.Feature(float_list=train.FloatList(value=[0.5 * number]))
        ids = train.Int64List(value=range(-number, 2 * count - number))
        features["ids"] = train.Feature(int64_list=ids)
        texts = [f"t{number}-{cell}".encode() for cell in range(cells)]
        features["note"] = train.Feature(bytes_list=train.BytesList(value=texts))
        records.append(serialize(features))
    shard = write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    wanted = ("logits", "gain:float[1]:record", "ids:int64[2]:window", "note:string[20]:channel")
    round_trip(shard, tmp_path, feature=wanted)
    config = json.loads((tmp_path / "shards" / "config.json").read_text())
    assert config["a20_parquet.features"] == list(wanted)


def test_an_existing_out_is_refused(grown: Path, tmp_path: Path) -> None:
    """It is replaced with ``overwrite`` only, and only if an export wrote all that is in it."""
    out = tmp_path / "out"
    out.mkdir()
    a20_parquet.export(grown, out, as_="tfrecord", where="channel = 0")
    before = digests(out)
    with pytest.raises(UsageError, match=r"already exists.*overwrite=True"):
        a20_parquet.export(grown, out, as_="tfrecord")
    assert digests(out) == before
    a20_parquet.export(grown, out, as_="tfrecord", overwrite=True)
    assert digests(out) != before
    (out / "mine.txt").write_text("mine")
    before = digests(tmp_path)
    with pytest.raises(UsageError, match="holds something else"):
        a20_parquet.export(grown, out, as_="tfrecord", overwrite=True)
    (out / "mine.txt").rename(tmp_path / "mine.txt")
    for name in ("mine", "embeddings-00001-of-00002"):
        (out / name).mkdir()
        (tmp_path / "mine.txt").rename(out / name / "mine.txt")
        with pytest.raises(UsageError, match="holds something else"):
            a20_parquet.export(grown, out, as_="tfrecord", overwrite=True)
        (out / name / "mine.txt").rename(tmp_path / "mine.txt")
        (out / name).rmdir()
    (tmp_path / "mine.txt").rename(out / "mine.txt")
    with pytest.raises(UsageError, match="not a folder"):
        a20_parquet.export(grown, out / "mine.txt", as_="tfrecord", overwrite=True)
    with pytest.raises(UsageError, match="not a folder"):
        a20_parquet.export(grown, tmp_path / "no" / "where", as_="tfrecord")
    with pytest.raises(UsageError, match="local file"):
        a20_parquet.export(grown, "memory://shards", as_="tfrecord")
    with pytest.raises(UsageError, match="is inside the dataset"):
        a20_parquet.export(grown, grown / "shards", as_="tfrecord")
    assert digests(tmp_path) == before


def test_the_current_folder_is_not_replaced(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell would be left in a folder that is gone."""
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    for name in (".", out):
        with pytest.raises(UsageError, match="is the current folder"):
            a20_parquet.export(grown, name, as_="tfrecord")
    assert Path.cwd() == out


def test_a_failed_export_leaves_what_was_there(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what a killed one left beside it goes."""
    out = tmp_path / "out"
    a20_parquet.export(grown, out, as_="tfrecord", where="channel = 0")
    before = digests(tmp_path)
    (tmp_path / ".out.a20-export.tmp").mkdir()
    (tmp_path / ".out.a20-export.tmp" / "embeddings-00000-of-00007").write_bytes(b"half")
    with monkeypatch.context() as patch:
        patch.setattr(
            write_tfrecord, "_write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space"))
        )
        with pytest.raises(DatasetError, match=r"cannot be written.*No space"):
            a20_parquet.export(grown, out, as_="tfrecord", overwrite=True)
    assert digests(tmp_path) == before
    assert len(list(tmp_path.iterdir())) == 1


def test_command_line(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same counts and errors as for other forms."""
    out = tmp_path / "out"
    code, shown, _ = run(monkeypatch, capsys, "export", grown, out, "--as", "tfrecord")
    assert (code, shown.splitlines()[-1]) == (0, str(out))
    code, _, said = run(
        monkeypatch, capsys, "export", grown, out, "--as", "tfrecord", "--where", "nope = 1"
    )
    assert code == 2
    assert "nope" in said
