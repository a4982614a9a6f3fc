"""Times in audio samples, as Perch wrote them until May 2023: divided by the sample rate."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import a20_parquet
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.decoding.inspect_shards import inspect
from a20_parquet.errors import RecordError, UsageError
from a20_parquet.verification.verify import verify
from tests.helpers.command_line import run
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import FILENAME, make_features, random_tensor, serialize, write_shard

RATE_HZ = 32_000
MINUTE = 60 * RATE_HZ
WINDOWS = 12


def write_samples(  # noqa: PLR0913 - what a shard may be like
    folder: Path,
    samples: Sequence[int] = (0, MINUTE, 2 * MINUTE, 3 * MINUTE),
    *,
    rate_hz: float | None = None,
    filename: str = FILENAME,
    compression: str = "",
    name: str = "embeddings-00000-of-00001",
) -> Path:
    """A shard whose records start at these samples, beside a config.json that tells the rate."""
    import tensorflow as tf

    payloads = []
    for number, count in enumerate(samples):
        features = make_features(random_tensor((WINDOWS, 1, 16), number), filename)
        del features["timestamp_s"]
        count_list = tf.train.Int64List(value=[count])
        features["timestamp_offset"] = tf.train.Feature(int64_list=count_list)
        payloads.append(serialize(features))
    write_shard(folder / name, payloads, compression)
    if rate_hz is not None:
        write_config(folder, rate_hz)
    return folder


def write_config(folder: Path, rate_hz: float) -> None:
    model = {"window_size_s": 5.0, "hop_size_s": 5.0, "sample_rate": rate_hz}
    config = {"embed_fn_config": {"model_config": model}}
    (folder / "config.json").write_text(json.dumps(config))


def offsets_s(dataset: Path) -> list[float]:
    """The offsets of all windows, as polars reads the files."""
    files = pl.scan_parquet(dataset / "data").sort("filename", "recording_offset_in_file")
    return files.collect()["recording_offset_in_file"].to_list()


FOUR_MINUTES = [5.0 * i for i in range(4 * WINDOWS)]


@pytest.mark.parametrize("compression", ["", "GZIP"])
@pytest.mark.parametrize("decoder", DecoderName)
def test_minutes_of_a_recording(tmp_path: Path, decoder: DecoderName, compression: str) -> None:
    """The configuration beside the shard tells the rate: the records are one minute each."""
    source = write_samples(tmp_path / "in", rate_hz=RATE_HZ, compression=compression)
    conversion = a20_parquet.convert(source, tmp_path / "out", decoder=decoder)
    assert (conversion.quarantine, conversion.assumptions) == ({}, ())
    assert offsets_s(tmp_path / "out") == FOUR_MINUTES
    dates = pl.scan_parquet(tmp_path / "out" / "data").select("date").unique().collect()
    assert dates["date"].cast(pl.String).to_list() == ["2020-10-14"]
    assert verify(tmp_path / "out", source, decoder=decoder).is_good


@pytest.mark.parametrize("decoder", DecoderName)
def test_unknown_rate(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    decoder: DecoderName,
) -> None:
    """The records go to quarantine, and the option that is named there mends them."""
    source, dataset = write_samples(tmp_path / "in"), tmp_path / "out"
    command = ("convert", source, dataset, "--decoder", decoder)
    code, _, err = run(monkeypatch, capsys, *command)
    assert code == 3
    assert f"no_sample_rate: mended by converting {dataset}/quarantine" in err
    assert "--sample-rate" in err
    (listed,) = (dataset / "quarantine").glob("*.jsonl")
    entries = [json.loads(line) for line in listed.read_text().splitlines()]
    assert [entry["reason"] for entry in entries] == ["no_sample_rate"] * 4
    assert "timestamp_offset is 1920000 audio samples" in entries[1]["message"]
    assert "--sample-rate" in entries[1]["message"]
    assert verify(dataset, source, decoder=decoder).is_good
    again = ("convert", dataset / "quarantine", dataset, "--decoder", decoder)
    code, _, err = run(monkeypatch, capsys, *again, "--sample-rate", RATE_HZ)
    assert (code, "assumed" in err) == (0, False)
    assert offsets_s(dataset) == FOUR_MINUTES
    assert not (dataset / "quarantine").exists()
    assert verify(dataset, source, decoder=decoder).is_good


def test_given_rate_counts_before_the_configuration(tmp_path: Path) -> None:
    """What a user says is so, whatever the file says."""
    source = write_samples(tmp_path / "in", rate_hz=48_000)
    a20_parquet.convert(source, tmp_path / "out", sample_rate=RATE_HZ)
    assert offsets_s(tmp_path / "out") == FOUR_MINUTES
    assert verify(tmp_path / "out", source).is_good


@pytest.mark.parametrize("decoder", DecoderName)
def test_each_folder_has_its_rate(tmp_path: Path, decoder: DecoderName) -> None:
    """verify knows the rates when the configurations are gone."""
    names = [f"site_000{n}/20201014T010000Z_A-Dry-A_{n}.flac" for n in (1, 2)]
    for name, rate_hz in zip(names, (RATE_HZ, 48_000), strict=True):
        write_samples(
            tmp_path / "in" / str(rate_hz), (0, 60 * rate_hz), rate_hz=rate_hz, filename=name
        )
    a20_parquet.convert(tmp_path / "in", tmp_path / "out", decoder=decoder)
    for config in (tmp_path / "in").rglob("config.json"):
        config.unlink()
    assert offsets_s(tmp_path / "out") == [5.0 * i for i in range(2 * WINDOWS)] * 2
    assert verify(tmp_path / "out", tmp_path / "in", decoder=decoder).is_good


@pytest.mark.slow
def test_bytes_are_the_same_with_tiny_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the units of the first pass are."""
    source = write_samples(tmp_path / "in", range(0, 40 * MINUTE, MINUTE), rate_hz=RATE_HZ)
    a20_parquet.convert(source, tmp_path / "large")
    use_tiny_memory(monkeypatch)
    for decoder in DecoderName:
        a20_parquet.convert(source, tmp_path / decoder, decoder=decoder)
        assert digests(tmp_path / decoder) == digests(tmp_path / "large")


def test_records_in_quarantine_keep_their_rate(tmp_path: Path) -> None:
    """What was left there for its name needs no rate when it is tried again."""
    source = write_samples(tmp_path / "in", rate_hz=RATE_HZ, filename="100sec.wav")
    write_samples(source, rate_hz=RATE_HZ, name="b-00000-of-00001")
    conversion = a20_parquet.convert(source, tmp_path / "out")
    assert conversion.quarantine == {"bad_filename": 4}
    quarantine = tmp_path / "out" / "quarantine"
    conversion = a20_parquet.convert(quarantine, tmp_path / "out", unknown_site="yard")
    assert (conversion.quarantine, conversion.assumptions) == ({}, ())
    frame = pl.read_parquet(tmp_path / "out" / "data" / "site=yard")
    assert sorted(frame["recording_offset_in_file"]) == FOUR_MINUTES
    assert verify(tmp_path / "out", source).is_good


@pytest.mark.parametrize("decoder", DecoderName)
def test_retry_under_other_options(tmp_path: Path, decoder: DecoderName) -> None:
    """verify reads each record as the conversion did that took it."""
    source = write_samples(tmp_path / "in", (0, MINUTE))
    late = make_features(random_tensor((2, 1, 16), 9), "20300101T000000Z_Late-Dry-A_9.flac")
    write_shard(source / "late-00000-of-00001", [serialize(late)])
    a20_parquet.convert(source, tmp_path / "out", from_date="2030-01-01", decoder=decoder)
    quarantine = tmp_path / "out" / "quarantine"
    a20_parquet.convert(quarantine, tmp_path / "out", sample_rate=RATE_HZ, decoder=decoder)
    assert offsets_s(tmp_path / "out") == [0.0, 5.0, *FOUR_MINUTES[: 2 * WINDOWS]]
    assert verify(tmp_path / "out", source, decoder=decoder).is_good


def test_going_on_after_the_configuration_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards that are converted already would have other times than the rest."""
    source = write_samples(tmp_path / "in", rate_hz=RATE_HZ)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("a20_parquet.conversion.merge_pass.commit_unit", stop)
        with pytest.raises(KeyboardInterrupt):
            a20_parquet.convert(source, tmp_path / "out")
    write_config(source, 48_000)
    with pytest.raises(UsageError, match=r"changed since: .* 48000 Hz"):
        a20_parquet.convert(source, tmp_path / "out")
    write_config(source, RATE_HZ)
    assert a20_parquet.convert(source, tmp_path / "out").is_resumed
    assert offsets_s(tmp_path / "out") == FOUR_MINUTES


def test_read_windows(tmp_path: Path) -> None:
    """The stream has the same times, and stops where the rate is unknown."""
    known = write_samples(tmp_path / "known", rate_hz=RATE_HZ)
    unknown = write_samples(tmp_path / "unknown")
    for source, given in ((known, None), (unknown, RATE_HZ)):
        table = a20_parquet.read_windows(source, sample_rate=given).read_all()
        assert table["recording_offset_in_file"].to_pylist() == FOUR_MINUTES
    with pytest.raises(RecordError, match="sample_rate"):
        a20_parquet.read_windows(unknown).read_all()
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="sample_rate"):
            a20_parquet.read_windows(known, sample_rate=wrong)


def notebook_offsets_s(folder: Path) -> list[int]:
    (metadata,) = (folder / "metadata").iterdir()
    return [window["recording_offset_in_file"] for window in json.loads(metadata.read_text())]


def test_notebooks_files(tmp_path: Path) -> None:
    """They have the same seconds; where these are unknown, nothing is written of the record."""
    known = write_samples(tmp_path / "known", rate_hz=RATE_HZ)
    unknown = write_samples(tmp_path / "unknown")
    a20_parquet.npy_json(known, tmp_path / "a")
    a20_parquet.npy_json(unknown, tmp_path / "b", sample_rate=RATE_HZ)
    a20_parquet.convert(known, tmp_path / "out", npy_json=tmp_path / "c")
    for name in "abc":
        assert notebook_offsets_s(tmp_path / name) == [int(each) for each in FOUR_MINUTES]
    with pytest.raises(RecordError, match="sample_rate"):
        a20_parquet.npy_json(unknown, tmp_path / "d")
    a20_parquet.convert(unknown, tmp_path / "other", npy_json=tmp_path / "e")
    assert notebook_offsets_s(tmp_path / "e") == []
    assert np.load(next((tmp_path / "e" / "embeddings").iterdir())).size == 0


def test_inspect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It shows samples as samples, and whether their rate is known."""
    known = write_samples(tmp_path / "known", (MINUTE,), rate_hz=RATE_HZ)
    unknown = write_samples(tmp_path / "unknown", (MINUTE,))
    (found,) = inspect(known)
    assert found.first is not None
    assert (found.first.timestamp_s, found.first.timestamp_offset) == (None, MINUTE)
    assert (found.first.sample_rate_hz, found.rejected) == (RATE_HZ, {})
    _, out, _ = run(monkeypatch, capsys, "inspect", known)
    assert "timestamp_offset  1,920,000 audio samples, at 32000 Hz 60 s" in out
    _, out, _ = run(monkeypatch, capsys, "inspect", unknown)
    unknown_rate = "their rate is unknown: no config.json has it, give --sample-rate"
    assert f"1,920,000 audio samples, {unknown_rate}" in out
    assert "1 no_sample_rate" in out


def test_plan(tmp_path: Path) -> None:
    """A forecast reads times as the conversion will."""
    source = write_samples(tmp_path / "in", (0, 24 * 60 * MINUTE))
    found: Any = a20_parquet.plan(source, sample_rate=RATE_HZ).forecast
    assert (str(found.first_date), str(found.last_date)) == ("2020-10-14", "2020-10-15")


@pytest.mark.parametrize("value", ["0", "0.5", "-3", "nan", "inf", "fast"])
def test_no_sample_rate(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
) -> None:
    """What is no frequency is refused before anything is read."""
    command = ("convert", tmp_path / "none", tmp_path / "out", "--sample-rate", value)
    code, _, err = run(monkeypatch, capsys, *command)
    assert (code, "--sample-rate" in err) == (2, True)
