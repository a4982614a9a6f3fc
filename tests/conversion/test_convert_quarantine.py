"""Quarantine that is converted after all: it is appended, and leaves in the same commit."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.quarantine import read_entries
from a20_parquet.errors import DatasetError
from a20_parquet.verification.verify import verify
from tests.helpers.command_line import run
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard

LABEL = "a-00000-of-00001"
FOREIGN = ["2020-10-14 100000 Kl9.wav", "neg/bar_neg.wav", "2020-10-15 100000 Kl9.wav"]
PATTERN = r"(?P<date>\d{4}-\d{2}-\d{2}) (?P<time>\d{6}) (?P<site_name>\w+)\.wav"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two good records, three with names of another form, one of other dims, and damage."""
    tensors = [random_tensor((2, 1, 8), number) for number in range(6)]
    names = [FILENAME, FOREIGN[0], FOREIGN[1], FILENAME, FOREIGN[2]]
    records = [
        make_record(tensor, name, 60.0 * number)
        for number, (tensor, name) in enumerate(zip(tensors, names, strict=False))
    ]
    records += [make_record(random_tensor((1, 1, 9)), FILENAME), make_record(tensors[5])]
    path = write_shard(tmp_path / "in" / LABEL, records)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    conversion = a20_parquet.convert(path, tmp_path / "dataset", dims=8)
    assert conversion.quarantine == {"bad_filename": 3, "bad_payload": 1, "wrong_dims": 1}
    return tmp_path / "dataset"


def kept(dataset: Path) -> list[tuple[int, str]]:
    """Number and reason of what is listed."""
    entries = read_entries(dataset / "quarantine", LABEL)
    return [(entry.record, entry.reason.value) for entry in entries]


def manifest_of(dataset: Path) -> dict[str, Any]:
    """What makes it complete."""
    found: dict[str, Any] = json.loads((dataset / "manifest.json").read_text())
    return found


@pytest.mark.parametrize("memory", ["large", "tiny"])
def test_all_that_can_be_mended(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    """Names that get a site leave quarantine; other dims and damage stay, as they were listed."""
    if memory == "tiny":
        use_tiny_memory(monkeypatch)
    before = {entry.record: entry for entry in read_entries(dataset / "quarantine", LABEL)}
    damaged = (dataset / "quarantine" / f"{LABEL}.damaged").read_bytes()
    source = dataset / "quarantine" / f"{LABEL}.tfrecord"
    conversion = a20_parquet.convert(source, dataset, unknown_site="elsewhere")
    assert conversion.new_windows == 6
    assert conversion.quarantine == {"bad_payload": 1, "wrong_dims": 1}
    after = {entry.record: entry for entry in read_entries(dataset / "quarantine", LABEL)}
    assert after == {number: before[number] for number in (5, 6)}
    assert (dataset / "quarantine" / f"{LABEL}.damaged").read_bytes() == damaged
    frame = pl.read_parquet(dataset / "data")
    assert sorted(frame.filter(pl.col("site") == "elsewhere")["filename"].unique()) == sorted(
        FOREIGN
    )
    offsets = set(frame.filter(pl.col("filename") == FOREIGN[2])["recording_offset_in_file"])
    assert offsets == {240.0, 245.0}
    assert len(frame) == 10
    (shard,) = manifest_of(dataset)["shards"]
    assert (shard["records"], shard["windows"], shard["quarantined"]) == (6, 10, 1)
    assert (shard["damaged"], shard["conversion"], shard["retried"]) == (1, 0, [1])
    assert conversion.totals.windows == 10
    assert (conversion.totals.quarantined, conversion.totals.damaged) == (1, 1)


def test_partly_and_then_the_rest(dataset: Path, tmp_path: Path) -> None:
    """A first try takes some, a second one the others; numbers and places stay the shard's."""
    source = dataset / "quarantine" / f"{LABEL}.tfrecord"
    places = {entry.record: entry.offset for entry in read_entries(source.parent, LABEL)}
    first = a20_parquet.convert(source, dataset, filename_pattern=PATTERN)
    assert first.new_windows == 4
    assert kept(dataset) == [(2, "bad_filename"), (5, "wrong_dims"), (6, "bad_payload")]
    second = a20_parquet.convert(source, dataset, unknown_site="elsewhere")
    assert second.new_windows == 2
    assert kept(dataset) == [(5, "wrong_dims"), (6, "bad_payload")]
    left = {entry.record: entry.offset for entry in read_entries(source.parent, LABEL)}
    assert left == {number: places[number] for number in (5, 6)}
    (shard,) = manifest_of(dataset)["shards"]
    assert shard["windows"] == 10
    again = a20_parquet.convert(tmp_path / "in", dataset)
    assert (again.new_shards, again.held_shards) == (0, 1)


def test_nothing_can_be_mended(dataset: Path) -> None:
    """Then data and quarantine stay as they are."""
    before = digests(dataset)
    source = dataset / "quarantine" / f"{LABEL}.tfrecord"
    conversion = a20_parquet.convert(source, dataset)
    assert conversion.new_windows == 0
    assert conversion.quarantine == {"bad_filename": 3, "bad_payload": 1, "wrong_dims": 1}
    after = digests(dataset)
    assert {k: v for k, v in after.items() if k != "manifest.json"} == {
        k: v for k, v in before.items() if k != "manifest.json"
    }


def test_an_empty_quarantine_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When all is converted the folder goes, and the exit code is 0 again."""
    records = [make_record(random_tensor((1, 1, 8)), name) for name in (FILENAME, FOREIGN[1])]
    shard = write_shard(tmp_path / "in" / LABEL, records)
    out = tmp_path / "out"
    assert run(monkeypatch, capsys, "convert", shard, out)[0] == 3
    source = out / "quarantine" / f"{LABEL}.tfrecord"
    code, text, _ = run(monkeypatch, capsys, "convert", source, out, "--unknown-site", "x")
    assert code == 0, text
    assert not (out / "quarantine").exists()
    assert manifest_of(out)["quarantine"] == []
    assert run(monkeypatch, capsys, "convert", shard, out)[0] == 0


def test_a_shard_of_which_nothing_could_be_converted(tmp_path: Path) -> None:
    """Its quarantine is the shard itself, and is taken where it is named as source."""
    bad = write_shard(
        tmp_path / "bad-00000-of-00001", [make_record(random_tensor((2, 1, 8)), FOREIGN[1])]
    )
    good = write_shard(tmp_path / "good-00000-of-00001", [make_record(random_tensor((1, 1, 8)))])
    out = tmp_path / "out"
    a20_parquet.convert([bad, good], out)
    kept_file = out / "quarantine" / "bad-00000-of-00001.tfrecord"
    assert kept_file.read_bytes() == bad.read_bytes()
    conversion = a20_parquet.convert(kept_file, out, unknown_site="x")
    assert (conversion.new_windows, conversion.quarantine) == (2, {})
    assert conversion.totals.shards == 2


def test_a_retry_that_helps_nobody_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was killed after its commit, and is run again, adds no conversion a second time."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    names: tuple[str | bytes, ...] = (FILENAME, "x.wav", b"\xff")
    records = [make_record(random_tensor((3, 1, 8), n), name) for n, name in enumerate(names)]
    write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    dataset = tmp_path / "dataset"
    a20_parquet.convert(tmp_path / "in", dataset, decoder="wire")
    quarantine = dataset / "quarantine"
    with monkeypatch.context() as patch:
        patch.setattr("a20_parquet.conversion.finish.clean_up", stop)
        with pytest.raises(KeyboardInterrupt):
            a20_parquet.convert(quarantine, dataset, unknown_site="Lab", decoder="wire")
    manifest = (dataset / "manifest.json").read_bytes()
    assert len(json.loads(manifest)["conversions"]) == 2
    for _ in range(2):
        again = a20_parquet.convert(quarantine, dataset, unknown_site="Lab", decoder="wire")
        assert (again.retried_shards, again.new_windows) == (1, 0)
        assert again.quarantine == {"bad_filename": 1}
        assert (dataset / "manifest.json").read_bytes() == manifest
        assert not (dataset / "conversion").exists()
    assert verify(dataset, tmp_path / "in", decoder="wire").is_good


def test_a_list_that_says_other_records_is_not_gone_by(dataset: Path) -> None:
    """One digit of an offset is enough: the windows would be counted for other records."""
    path = dataset / "quarantine" / f"{LABEL}.jsonl"
    content = path.read_text()
    place = content.index('"offset":') + len('"offset":')
    path.write_text(f"{content[:place]}{(int(content[place]) + 1) % 10}{content[place + 1 :]}")
    before = digests(dataset)
    with pytest.raises(
        DatasetError, match="jsonl: its size or checksum is not the one in manifest"
    ):
        a20_parquet.convert(dataset / "quarantine", dataset, filename_pattern=PATTERN)
    assert digests(dataset) == before
