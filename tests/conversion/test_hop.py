"""From one window's start to the next: as Perch says it, or assumed and said."""

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.summaries import Assumption
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.errors import UsageError
from a20_parquet.verification.verify import verify
from tests.helpers.command_line import run
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard

FIVE = Assumption(about="hop", text="5 s (--window-seconds)")
NESTED = {
    "embed_fn_config": {
        "model_key": "separate_embed_model",
        "model_config": {
            "sample_rate": 32_000,
            "taxonomy_model_tf_config": {"window_size_s": 5.0, "hop_size_s": 2.5},
        },
    }
}
NO_HOP = {"embed_fn_config": {"model_key": "birdnet", "model_config": {"window_size_s": 3.0}}}


def write_minutes(  # noqa: PLR0913 - what a shard may be like
    folder: Path,
    windows: int = 12,
    channels: int = 1,
    *,
    minutes: int = 2,
    config: Any = None,
    filename: str = FILENAME,
) -> Path:
    """A shard with successive minutes of one recording, and perhaps a config.json beside it."""
    records = [
        make_record(random_tensor((windows, channels, 16), number), filename, 60.0 * number)
        for number in range(minutes)
    ]
    write_shard(folder / "embeddings-00000-of-00001", records)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def offsets_s(dataset: Path) -> list[float]:
    """The distinct offsets, as polars reads the files."""
    frame = pl.read_parquet(dataset / "data")
    assert frame.select("filename", "recording_offset_in_file", "channel").is_unique().all()
    return sorted(set(frame["recording_offset_in_file"].to_list()))


def manifest(dataset: Path) -> Manifest:
    return Manifest.model_validate_json((dataset / "manifest.json").read_text())


@pytest.mark.parametrize("decoder", DecoderName)
def test_hop_of_the_model_within(tmp_path: Path, decoder: DecoderName) -> None:
    """A separating model's windows are those of its taxonomy model."""
    source = write_minutes(tmp_path / "in", 24, 4, config=NESTED)
    conversion = a20_parquet.convert(source, tmp_path / "out", decoder=decoder)
    assert offsets_s(tmp_path / "out") == [2.5 * i for i in range(48)]
    assert conversion.assumptions == ()
    assert verify(tmp_path / "out", source, decoder=decoder).is_good


def test_window_for_hop(tmp_path: Path) -> None:
    """Windows that do not overlap start as far apart as they are long."""
    source = write_minutes(tmp_path / "in", 20, config=NO_HOP)
    assert a20_parquet.convert(source, tmp_path / "out").assumptions == ()
    assert offsets_s(tmp_path / "out") == [3.0 * i for i in range(40)]


def test_assumed_hop_is_said_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once before the first record, in the manifest and by info."""
    source, dataset = write_minutes(tmp_path / "in"), tmp_path / "out"
    code, _, err = run(monkeypatch, capsys, "convert", source, dataset)
    lines = err.splitlines()
    assert (code, lines.count("hop assumed: 5 s (--window-seconds)")) == (0, 1)
    assert lines[0] == "hop assumed: 5 s (--window-seconds)"
    assert manifest(dataset).conversions[0].assumptions == (FIVE,)
    assert a20_parquet.info(dataset).assumptions == (FIVE,)
    _, out, _ = run(monkeypatch, capsys, "info", dataset)
    assert "assumed     hop: 5 s (--window-seconds)" in out
    _, out, _ = run(monkeypatch, capsys, "info", dataset, "--json")
    assert json.loads(out)["assumptions"] == [FIVE.model_dump()]
    given = ("convert", source, tmp_path / "given", "--window-seconds", 5)
    _, _, err = run(monkeypatch, capsys, *given)
    assert "assumed" not in err
    assert a20_parquet.info(tmp_path / "given").assumptions == ()
    again = ("convert", source, tmp_path / "json", "--json")
    _, out, _ = run(monkeypatch, capsys, *again)
    assert json.loads(out)["assumptions"] == [FIVE.model_dump()]


def test_folders_that_differ(tmp_path: Path) -> None:
    """They are refused by name; each alone is converted with its own hop."""
    write_minutes(tmp_path / "in" / "a", 24, config=NESTED)
    write_minutes(tmp_path / "in" / "b", 20, config=NO_HOP)
    with pytest.raises(UsageError, match=r"2\.5 s in \S+/in/a; 3 s in \S+/in/b.*window_seconds"):
        a20_parquet.convert(tmp_path / "in", tmp_path / "out")
    for name, hop_s in (("a", 2.5), ("b", 3.0)):
        a20_parquet.convert(tmp_path / "in" / name, tmp_path / name)
        assert offsets_s(tmp_path / name)[1] == hop_s


def test_folder_without_configuration(tmp_path: Path) -> None:
    """It does not take the hop of the folder beside it."""
    write_minutes(tmp_path / "in" / "a", 24, config=NESTED)
    silent = write_minutes(tmp_path / "in" / "b")
    with pytest.raises(UsageError, match=r"no config\.json that gives it in \S+/in/b"):
        a20_parquet.convert(tmp_path / "in", tmp_path / "out")
    shutil.rmtree(tmp_path / "in" / "a")
    model = {"hop_size_s": 5.0}
    name = FILENAME.replace("Dry", "Wet")
    write_minutes(tmp_path / "in" / "c", config={"model_config": model}, filename=name)
    (assumption,) = a20_parquet.convert(tmp_path / "in", tmp_path / "out").assumptions
    assert assumption.text == f"5 s in {silent} (--window-seconds)"


def test_appending(tmp_path: Path) -> None:
    """New shards that nothing tells of are assumed to be like the dataset, and that is said."""
    source = write_minutes(tmp_path / "first", 20, config=NO_HOP)
    dataset = tmp_path / "out"
    a20_parquet.convert(source, dataset)
    name = FILENAME.replace("49500", "49501")
    second = write_minutes(tmp_path / "second", 20, filename=name)
    conversion = a20_parquet.convert([source, second], dataset)
    expected = Assumption(about="hop", text="3 s, as the dataset has it (--window-seconds)")
    model = Assumption(about="model", text="birdnet, as the dataset has it (--model)")
    assert conversion.assumptions == (expected, model)
    assert [each.assumptions for each in manifest(dataset).conversions] == [(), (expected, model)]
    assert a20_parquet.info(dataset).assumptions == (expected, model)
    assert a20_parquet.convert([source, second], dataset).assumptions == ()
    assert verify(dataset, [source, second]).is_good
    other = write_minutes(tmp_path / "third", 24, config=NESTED)
    with pytest.raises(UsageError, match=r"third says 2\.5 s, the dataset has 3 s: convert"):
        a20_parquet.convert(other, dataset)


def test_appending_another_hop(tmp_path: Path) -> None:
    """What a config.json says against the dataset is no option that the user gave."""
    dataset = tmp_path / "out"
    a20_parquet.convert(write_minutes(tmp_path / "first"), dataset)
    before = digests(dataset)
    other = write_minutes(tmp_path / "other", 20, config=NO_HOP)
    with pytest.raises(UsageError, match=r"other says 3 s, the dataset has 5 s: convert") as caught:
        a20_parquet.convert(other, dataset)
    assert "made with other options" not in str(caught.value)
    # As the remark on a hop that looks wrong advises it.
    with pytest.raises(UsageError, match=r"window_seconds is 3\.0, was 5\.0.*overwrite=True"):
        a20_parquet.convert(tmp_path / "first", dataset, window_seconds=3)
    assert digests(dataset) == before


def test_option_against_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The option counts, and that the file says otherwise is said once."""
    config = {"model_config": {"hop_size_s": 3, "sample_rate": 48_000}}
    source = write_minutes(tmp_path / "in", config=config)
    hop = f"config.json in {source} says 3 s; 5 s counts, as --window-seconds says"
    rate = f"config.json in {source} says 48000 Hz; 22050 Hz counts, as --sample-rate says"
    given = ("--window-seconds", 5, "--sample-rate", 22_050)
    _, _, err = run(monkeypatch, capsys, "convert", source, tmp_path / "out", *given)
    assert err.splitlines()[:2] == [rate, hop]
    assert (err.count(hop), err.count(rate)) == (1, 1)
    conversion = a20_parquet.convert(source, tmp_path / "same", window_seconds=3, sample_rate=48e3)
    assert conversion.warnings == ()
    conversion = a20_parquet.convert(source, tmp_path / "other", window_seconds=5)
    assert conversion.warnings == (hop,)
    _, _, err = run(monkeypatch, capsys, "npy-json", source, tmp_path / "n", *given[2:])
    assert (err.count(hop), err.count(rate)) == (0, 1)
    with pytest.warns(UserWarning, match="5 s counts, as window_seconds says"):
        a20_parquet.read_windows(source, window_seconds=5)


def test_whether_a_configuration_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that tells the hop is not passed over; of another it is said why."""
    write_minutes(tmp_path / "used", 20, config=NO_HOP)
    write_minutes(tmp_path / "none", config={"model_config": {"sample_rate": 48_000}})
    write_minutes(tmp_path / "broken").joinpath("config.json").write_text('{"model')
    expected = {
        "used": [],
        "none": ["passed over: config.json: gives no hop"],
        "broken": ["passed over: config.json: not valid JSON, so that it gives no hop"],
    }
    for name, lines in expected.items():
        _, _, err = run(monkeypatch, capsys, "convert", tmp_path / name, tmp_path / "out" / name)
        assert [line for line in err.splitlines() if line.startswith("passed over")] == lines
        assert ("hop assumed" in err) == bool(lines)


def test_quarantine_has_the_datasets_hop(tmp_path: Path) -> None:
    """It is known there, so that nothing is assumed."""
    dataset = tmp_path / "out"
    source = write_minutes(tmp_path / "in" / "a", 20, config=NO_HOP)
    bad = [make_record(random_tensor((20, 1, 16), 7), "100sec.wav")]
    write_shard(source / "z-00000-of-00001", bad)
    a20_parquet.convert(source, dataset)
    conversion = a20_parquet.convert(dataset / "quarantine", dataset, unknown_site="yard")
    assert (conversion.assumptions, conversion.quarantine) == ((), {})
    frame = pl.read_parquet(dataset / "data" / "site=yard")
    assert sorted(frame["recording_offset_in_file"]) == [3.0 * i for i in range(20)]
    assert verify(dataset, source).is_good


@pytest.mark.parametrize("decoder", DecoderName)
def test_wrong_hop_is_said_and_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    decoder: DecoderName,
) -> None:
    """Where windows reach into the next record: in the summary, the manifest and by info."""
    source, dataset = write_minutes(tmp_path / "in", 20, minutes=3), tmp_path / "out"
    said = "the windows of 2 of 2 sampled records reach into the next record of their recording"
    fits = "3 s would fit (--window-seconds 3)"
    code, _, err = run(monkeypatch, capsys, "convert", source, dataset, "--decoder", decoder)
    (line,) = [line for line in err.splitlines() if said in line]
    assert code == 0
    assert line.endswith(fits)
    assert manifest(dataset).conversions[0].hop_remark == line
    assert a20_parquet.info(dataset).hop_remarks == (line,)
    _, out, _ = run(monkeypatch, capsys, "info", dataset)
    assert line in out
    conversion = a20_parquet.convert(source, tmp_path / "mended", window_seconds=3)
    assert (conversion.hop_remark, conversion.assumptions) == (None, ())
    assert a20_parquet.info(tmp_path / "mended").hop_remarks == ()


def test_wrong_hop_is_found_over_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of a recording lie in many shards; units and decoders make no difference."""
    for shard in range(4):
        records = [
            make_record(random_tensor((20, 1, 16), minute), FILENAME, 60.0 * minute)
            for minute in range(shard, 20, 4)
        ]
        write_shard(tmp_path / "in" / f"a-{shard:05d}-of-00004", records)
    conversion = a20_parquet.convert(tmp_path / "in", tmp_path / "large")
    assert conversion.hop_remark is not None
    assert "19 of 19" in conversion.hop_remark
    use_tiny_memory(monkeypatch)
    for decoder in DecoderName:
        a20_parquet.convert(tmp_path / "in", tmp_path / decoder, decoder=decoder)
        assert digests(tmp_path / decoder) == digests(tmp_path / "large")


def test_read_windows(tmp_path: Path) -> None:
    """The stream has the same hop, and warns of what it assumes."""
    source = write_minutes(tmp_path / "in", 20, config=NO_HOP)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = a20_parquet.read_windows(source).read_all()
    assert table["recording_offset_in_file"].to_pylist() == [3.0 * i for i in range(40)]
    other = write_minutes(tmp_path / "other")
    with pytest.warns(UserWarning, match=r"^hop assumed: 5 s \(window_seconds\)$") as caught:
        a20_parquet.read_windows(other)
    assert caught[0].filename == __file__


def test_notebooks_files_know_one_hop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the windows have another, that is said."""
    source = write_minutes(tmp_path / "in", 20, config=NO_HOP)
    said = "windows to start 5 s apart, and these start 3 s apart"
    for command in (
        ("npy-json", source, tmp_path / "a"),
        ("convert", source, tmp_path / "out", "--npy-json", tmp_path / "b"),
    ):
        code, _, err = run(monkeypatch, capsys, *command)
        assert (code, err.count(said)) == (0, 1)
    known = write_minutes(tmp_path / "known", config={"model_config": {"hop_size_s": 5}})
    _, _, err = run(monkeypatch, capsys, "npy-json", known, tmp_path / "c")
    assert "apart" not in err
