"""What conversions leave out by a list or a condition, against TensorFlow's reading of shards."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import a20_parquet
from a20_parquet.conversion.transaction.checkpoints import commit_unit
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.options import ReadingOptions
from a20_parquet.dataset.window_rules import make_exclusion, window_rules
from a20_parquet.errors import DatasetError, NoWindowsError, UsageError
from tests.helpers.command_line import run
from tests.helpers.conversions import (
    A2O_NAMES,
    as_bits,
    assert_same_windows,
    digests,
    read_with_tensorflow,
    use_tiny_memory,
)
from tests.helpers.shards import make_features, random_tensor, serialize, write_shard

SEPARATED = "not (nuisances[1] > -0.25 or nuisances[2] > case when channel = 0 then 1.5 else 0 end)"
"""The first step of a search: no speech, and not empty, with another threshold in raw audio."""


def nuisances(number: int, shape: tuple[int, int]) -> Any:
    """Logits of a record: speech and empty, for each window and channel."""
    return random_tensor((*shape, 2), 1000 + number)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of minutes, raw or separated into five channels, with logits of nuisances."""
    from a20_parquet.decoding.tensorflow import load_tensorflow

    tf = load_tensorflow()
    folder = tmp_path_factory.mktemp("shards")
    rng = np.random.default_rng(3)
    for shard in range(4):
        records = []
        for number in range(shard * 12, shard * 12 + 12):
            shape = (int(rng.integers(1, 13)), int(rng.choice([1, 5])))
            features = make_features(
                random_tensor((*shape, 8), number),
                A2O_NAMES[int(rng.integers(len(A2O_NAMES)))],
                60.0 * number,
            )
            logits = tf.io.serialize_tensor(nuisances(number, shape)).numpy()
            features["nuisances"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[logits]))
            records.append(serialize(features))
        write_shard(folder / f"s-{shard:05d}-of-00004", records)
    return folder


def manifest_of(dataset: Path) -> Manifest:
    return Manifest.model_validate_json((dataset / "manifest.json").read_bytes())


def read_all(shards: Path) -> Any:
    """All windows, as TensorFlow reads them."""
    return read_with_tensorflow(sorted(shards.glob("s-*")))


def is_clean(key: tuple[str, float, int], windows: Any) -> bool:
    """Whether the condition is true for a window, by its logits in NumPy."""
    _, offset_s, channel = key
    number = int(offset_s // 60)
    here = [k for k in windows if int(k[1] // 60) == number]
    shape = (
        1 + round(max(k[1] for k in here) - 60 * number) // 5,
        1 + max(k[2] for k in here),
    )
    speech, empty = nuisances(number, shape)[round(offset_s - 60 * number) // 5, channel]
    return not (speech > -0.25 or empty > (1.5 if channel == 0 else 0.0))


def convert_all_ways(
    shards: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any
) -> Path:
    """Both decoders, located and copied, in memory and with tiny buffers: the same bytes."""
    a20_parquet.convert(shards, folder / "out", decoder="wire", **options)
    expected = digests(folder / "out")
    a20_parquet.convert(shards, folder / "copied", embeddings="copied", **options)
    assert digests(folder / "copied") == expected
    with monkeypatch.context() as patch:
        use_tiny_memory(patch)
        a20_parquet.convert(shards, folder / "tiny", decoder="wire", **options)
        assert digests(folder / "tiny") == expected
    return folder / "out"


@pytest.mark.slow
def test_nuisances_are_left_out(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A condition on a list and the channel keeps the windows that NumPy keeps."""
    dataset = convert_all_ways(shards, tmp_path, monkeypatch, feature="nuisances", where=SEPARATED)
    windows = read_all(shards)
    expected = {key: bits for key, bits in windows.items() if is_clean(key, windows)}
    assert 0 < len(expected) < len(windows)
    assert_same_windows(as_bits(pl.read_parquet(dataset / "data")), expected)
    (conversion,) = Manifest.model_validate_json(
        (dataset / "manifest.json").read_bytes()
    ).conversions
    assert conversion.excluded is not None
    assert conversion.left_out == conversion.excluded.where == len(windows) - len(expected)
    assert conversion.reading.where == SEPARATED
    for decoder in ("wire", "tensorflow"):
        assert a20_parquet.verify(dataset, source=[shards], decoder=decoder).is_good
    exported = a20_parquet.export(dataset, tmp_path / "same", where=SEPARATED)
    assert exported.windows == exported.total_windows
    a20_parquet.convert(shards, tmp_path / "all", feature="nuisances", decoder="wire")
    exported = a20_parquet.export(tmp_path / "all", tmp_path / "part", where=SEPARATED)
    assert_same_windows(as_bits(pl.read_parquet(tmp_path / "part" / "data")), expected)


def in_record(key: tuple[str, float, int]) -> bool:
    """Whether a row of the list of records names a window."""
    return int(key[1] // 60) % 3 == 0


def in_span(key: tuple[str, float, int]) -> bool:
    """Whether a row of the list of spans does."""
    start_s = 60 * int(key[1] // 60) + 7
    return key[1] < start_s + 9 and key[1] + 5 > start_s


@pytest.mark.slow
@pytest.mark.parametrize(
    ("is_named", "columns", "row"),
    [
        (in_record, "filename,timestamp_s", "{name},{at}"),
        (in_span, "start_s,filename,end_s", "{from_s},{name},{until_s}"),
    ],
)
def test_lists_are_left_out(  # noqa: PLR0913, PLR0917 - one form of a list
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_named: Callable[[tuple[str, float, int]], bool],
    columns: str,
    row: str,
) -> None:
    """Records, or windows that overlap with times; rows that name nothing are counted."""
    windows = read_all(shards)
    starts = {(name, 60 * int(offset_s // 60)) for name, offset_s, _ in windows}
    listed = [each for each in sorted(starts) if is_named is in_span or in_record((*each, 0))]
    rows = [row.format(name=name, at=at, from_s=at + 7, until_s=at + 16) for name, at in listed]
    unused = [row.format(name="none.flac", at=0, from_s=7, until_s=16)] * 2
    file = tmp_path / "bad.csv"
    file.write_text("\n".join([columns, *rows, rows[0], *unused, ""]))
    dataset = convert_all_ways(shards, tmp_path, monkeypatch, exclude=file)
    expected = {key: bits for key, bits in windows.items() if not is_named(key)}
    assert 0 < len(expected) < len(windows)
    assert_same_windows(as_bits(pl.read_parquet(dataset / "data")), expected)
    (conversion,) = Manifest.model_validate_json(
        (dataset / "manifest.json").read_bytes()
    ).conversions
    assert conversion.excluded is not None
    # A span may begin after a short record has ended.
    named = {(key[0], 60 * int(key[1] // 60)) for key in windows if is_named(key)}
    assert conversion.excluded.unused_rows == len(unused) + sum(
        each not in named for each in listed + listed[:1]
    )
    assert conversion.excluded.listed == len(windows) - len(expected)
    verification = a20_parquet.verify(dataset, source=[shards], exclude=file, decoder="wire")
    assert verification.is_good
    with pytest.raises(UsageError, match=r"leaves out what bad\.csv .* lists: give exclude"):
        a20_parquet.verify(dataset, source=[shards])
    a20_parquet.convert(shards, tmp_path / "all", decoder="wire")
    if is_named is in_span:
        part = tmp_path / "part"
        assert a20_parquet.export(tmp_path / "all", part, exclude=file).windows == len(expected)


def test_both_and_a_selection_count_each_window_once(shards: Path, tmp_path: Path) -> None:
    """What is of another site is not counted as listed, and what is listed not as false."""
    windows = read_all(shards)
    file = tmp_path / "bad.csv"
    starts = sorted({60 * int(at // 60) for n, at, _ in windows})
    file.write_text(
        "filename,timestamp_s\n" + "".join(f"{n},{at}\n" for n in A2O_NAMES for at in starts[:20])
    )
    made = a20_parquet.convert(
        shards,
        tmp_path / "out",
        decoder="wire",
        site=285,
        exclude=str(file),
        where="channel = 0 and recording_offset_in_file >= 1800",
    )
    of_site = [key for key in windows if key[0] in A2O_NAMES[:2]]
    listed = [key for key in of_site if 60 * int(key[1] // 60) in starts[:20]]
    rest = [key for key in of_site if key not in listed]
    taken = [key for key in rest if key[2] == 0 and key[1] >= 1800]
    assert made.excluded is not None
    assert (made.new_windows, made.excluded.listed, made.excluded.where) == (
        len(taken),
        len(listed),
        len(rest) - len(taken),
    )
    assert made.left_out == len(windows) - len(taken)


def test_other_lists_and_conditions_are_refused(shards: Path, tmp_path: Path) -> None:
    """The same ones again do nothing; new shards may have others, which is said."""
    file = tmp_path / "bad.csv"
    file.write_text(f"filename,timestamp_s\n{A2O_NAMES[0]},0\n")
    first, *rest = sorted(shards.iterdir())
    options: dict[str, Any] = {"decoder": "wire", "exclude": file, "where": "channel = 0"}
    out = tmp_path / "out"
    a20_parquet.convert(first, out, **options)
    file.rename(tmp_path / "renamed.csv")
    options["exclude"] = tmp_path / "renamed.csv"
    assert a20_parquet.convert(first, out, **options).new_shards == 0
    with pytest.raises(UsageError, match=r"where is not given, was channel = 0"):
        a20_parquet.convert(first, out, **options | {"where": None})
    (tmp_path / "renamed.csv").write_text(f"filename,timestamp_s\n{A2O_NAMES[0]},60\n")
    with pytest.raises(UsageError, match=r"exclude is renamed\.csv \(.*, was bad\.csv \("):
        a20_parquet.convert(first, out, **options)
    made = a20_parquet.convert([first, *rest], out, **options)
    assert "exclude is renamed.csv" in made.other_options[0]
    with pytest.raises(UsageError, match=r"leaves out what bad\.csv"):
        a20_parquet.verify(out, source=[shards], exclude=tmp_path / "renamed.csv")
    file.write_text(f"filename,timestamp_s\n{A2O_NAMES[0]},0\n")
    both = [file, tmp_path / "renamed.csv"]
    assert a20_parquet.verify(out, source=[shards], exclude=both, decoder="wire").is_good
    file.write_text("filename,timestamp_s\n")
    with pytest.raises(UsageError, match=r"was converted without bad\.csv \(0 rows"):
        a20_parquet.verify(out, source=[shards], exclude=both)


def test_a_changed_list_does_not_resume(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The unfinished conversion names the file that was changed."""
    file = tmp_path / "bad.csv"
    file.write_text(f"filename,timestamp_s\n{A2O_NAMES[0]},0\n")

    def fail(*arguments: Any) -> None:
        commit_unit(*arguments)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("a20_parquet.conversion.merge_pass.commit_unit", fail)
        with pytest.raises(DatasetError, match="No space left"):
            a20_parquet.convert(shards, tmp_path / "out", decoder="wire", exclude=file)
    content = file.read_text()
    file.write_text(content + f"{A2O_NAMES[0]},60\n")
    with pytest.raises(UsageError, match=r"exclude is bad\.csv \(2 rows.*, was bad\.csv \(1 row,"):
        a20_parquet.convert(shards, tmp_path / "out", decoder="wire", exclude=file)
    file.write_text(content)
    assert a20_parquet.convert(shards, tmp_path / "out", decoder="wire", exclude=file).is_resumed
    a20_parquet.convert(shards, tmp_path / "fresh", decoder="wire", exclude=file)
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ("nuisances[1] > 0", "there is no column nuisances"),
        ("embedding[1] > 0", "there is no column embedding"),
        ("channel", "expected a condition"),
        ("channel > 99", "is false or null for"),
        ("subsite_name = 'none' and null", "is false or null for"),
    ],
)
def test_wrong_conditions_write_nothing(
    shards: Path, tmp_path: Path, where: str, problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        a20_parquet.convert(shards, tmp_path / "out", decoder="wire", where=where)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_list_of_everything_is_an_error(shards: Path, tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    file.write_text("filename,start_s,end_s\n" + "".join(f"{n},0,1e6\n" for n in A2O_NAMES))
    with pytest.raises(NoWindowsError, match=r"exclude all\.csv \(5 rows.* names .* windows"):
        a20_parquet.convert(shards, tmp_path / "out", decoder="wire", exclude=file)


def test_an_empty_list_is_said(shards: Path, tmp_path: Path) -> None:
    file = tmp_path / "none.csv"
    file.write_text("filename,timestamp_s\n")
    made = a20_parquet.convert(shards, tmp_path / "out", decoder="wire", exclude=file)
    assert "exclude: none.csv has no rows" in " ".join(made.warnings).replace("--", "")
    assert made.left_out == 0


def test_workers_elsewhere_get_it(shards: Path, tmp_path: Path) -> None:
    """It can be sent to another process."""
    a20_parquet.convert(shards, tmp_path / "out", decoder="wire", where="channel = 0")
    manifest = manifest_of(tmp_path / "out")
    exclusion = make_exclusion(manifest.options, ReadingOptions(where="channel = 0"), None)
    rules = window_rules(manifest.options, ReadingOptions(), None, exclusion)
    assert pickle.loads(pickle.dumps(rules)).selects  # noqa: S301 - our own


def test_command_line(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The summary counts both, ``info`` and ``verify`` repeat them, ``plan`` knows them."""
    file = tmp_path / "bad.csv"
    file.write_text(f"filename,start_s,end_s\n{A2O_NAMES[0]},0,1e6\nnone.wav,0,1\n")
    options = ["--exclude", file, "--where", "channel = 0"]
    out = tmp_path / "out"
    code, _, said = run(monkeypatch, capsys, "convert", shards, out, "--decoder", "wire", *options)
    assert code == 0
    assert "windows that bad.csv names" in said
    assert "bad.csv: 1 of 2 rows named no window that was read" in said
    assert "windows for which --where is not true" in said
    _, shown, _ = run(monkeypatch, capsys, "info", out)
    assert "--exclude bad.csv (2 rows, SHA-256" in shown
    assert "--where 'channel = 0'" in shown
    code, shown, _ = run(
        monkeypatch,
        capsys,
        "verify",
        out,
        "--source",
        shards,
        "--exclude",
        file,
        "--decoder",
        "wire",
    )
    assert (code, "all good" in shown) == (0, True)
    for name in ("info", "verify"):
        _, shown, _ = run(monkeypatch, capsys, name, out, "--json")
        assert json.loads(shown)
    code, shown, _ = run(monkeypatch, capsys, "plan", shards, *options, "--json")
    planned = json.loads(shown)
    _, shown, _ = run(monkeypatch, capsys, "plan", shards, "--json")
    assert code == 0
    assert planned != json.loads(shown)
