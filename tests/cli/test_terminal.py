"""Names from shards, datasets and folders never control a terminal, in any command."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from a20_parquet import convert, duckdb, scan, similar
from a20_parquet.errors import SourceError, UsageError
from a20_parquet.formatting import escape
from a20_parquet.progress_bars import BarProgress, LineProgress, NotebookProgress
from a20_parquet.shards.discover import find_shards
from tests.helpers.shards import (
    FILENAME,
    make_features,
    make_record,
    random_tensor,
    serialize,
    write_shard,
)

pytestmark = pytest.mark.slow

HOSTILE = "x\x1b[2J\n\x07\x9b\u202e\u2028\ry"
ESCAPED = r"x\x1b[2J\n\x07\x9b\u202e\u2028\ry"
_NO_TEXT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# Several commands in one process, which imports TensorFlow once.
_CHILD = """
import json, sys
from a20_parquet.cli.main import main
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["a20-parquet", *arguments]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    for stream in sys.stdout, sys.stderr:
        print(f"=== {code}", file=stream, flush=True)
"""


def run_commands(
    folder: Path, *commands: Sequence[str], **environment: str
) -> list[tuple[int, str, str]]:
    """Run commands in one process; of each the exit code, and the bytes of stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(commands)],
        capture_output=True,
        check=False,
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    # Strictly: no byte of a name that is not UTF-8 comes through.
    streams = [re.split(r"=== (\d+)\n", each.decode()) for each in (done.stdout, done.stderr)]
    out, err = streams
    assert len(out) == len(err) == 2 * len(commands) + 1
    return [(int(out[n + 1]), out[n], err[n]) for n in range(0, len(out) - 1, 2)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (HOSTILE, ESCAPED),
        ("\0\x7f\x80\x9f\t", r"\x00\x7f\x80\x9f\t"),
        ("\u202a\u2066\u2069\u2029", r"\u202a\u2066\u2069\u2029"),
        (os.fsdecode(b"a\xff\x9b"), r"a\xff\x9b"),
        ("\ud800", r"\ud800"),
        ("Bunya Mountains/é 日 \\x1b \u00a0", "Bunya Mountains/é 日 \\x1b \u00a0"),
    ],
)
def test_escape(text: str, shown: str) -> None:
    """Only what steers a terminal or cannot be shown is escaped."""
    assert escape(text) == shown


def test_no_command_prints_control_characters(tmp_path: Path) -> None:
    """Every command shows names of files, features and recordings escaped, on both streams."""
    filename = f"{HOSTILE}/{FILENAME}"
    features = make_features(random_tensor((2, 1, 8)), filename)
    features[HOSTILE] = features["timestamp_s"]
    folder = tmp_path / HOSTILE
    shard = write_shard(folder / f"{HOSTILE}-00000-of-00002", [serialize(features)])
    (folder / f"{HOSTILE}.txt").write_text("no shard")
    unnamed = [make_record(random_tensor((1, 1, 8)), HOSTILE), b"\xff"]
    write_shard(tmp_path / f"bad{HOSTILE}-00000-of-00001", unnamed)
    bad = str(tmp_path / f"bad{HOSTILE}-00000-of-00001")
    dataset, damaged = f"{HOSTILE}.dataset", f"{HOSTILE}.damaged"
    wire = "--decoder", "wire"
    results = run_commands(
        tmp_path,
        ("inspect", str(shard)),
        ("plan", str(folder), "--feature", f"no{HOSTILE}"),
        ("convert", str(folder), dataset, *wire, "--verbose"),
        ("convert", str(folder), bad, damaged, *wire, "--on-error", "fail"),
        ("npy-json", str(folder), bad, f"{HOSTILE}.npy", *wire),
        ("info", dataset),
        ("similar", dataset, "--to", f"{filename}@0"),
        ("similar", dataset, "--to", f"{filename}@99"),
        ("verify", dataset, "--source", bad, *wire),
        ("duckdb", dataset, f"{HOSTILE}.duckdb"),
        ("report", dataset, "--output", f"{HOSTILE}.html"),
        ("inspect", f"{HOSTILE}.txt"),
        ("info", f"{HOSTILE}.nothing"),
        (f"--{HOSTILE}",),
        ("convert", str(shard), dataset, f"--{HOSTILE}"),
        ("convert", str(shard), dataset, "--sites", f"{HOSTILE}.csv"),
    )
    for number, (_, out, err) in enumerate(results):
        for text in (out, err):
            assert not _NO_TEXT.search(text), (number, text)
        assert ESCAPED in out + err or "\\x1b[2J\\n" in out + err, (number, out, err)
    codes = [code for code, _, _ in results]
    assert codes == [0, 2, 0, 1, 1, 0, 0, 2, 1, 0, 0, 1, 1, 2, 2, 2]


@pytest.mark.parametrize("kind", [BarProgress, NotebookProgress, LineProgress])
def test_progress_says_no_control_characters(
    kind: type[BarProgress | NotebookProgress | LineProgress], capsys: pytest.CaptureFixture[str]
) -> None:
    """What is said in passing is escaped, however progress is shown."""
    kind(str).say(HOSTILE)
    assert "".join(capsys.readouterr()) == f"{ESCAPED}\n"


def test_json_is_ascii(tmp_path: Path) -> None:
    """What is printed for machines has the names as they are, in ASCII."""
    features = make_features(random_tensor((2, 1, 8)))
    features[HOSTILE] = features["timestamp_s"]
    shard = write_shard(tmp_path / HOSTILE, [serialize(features)])
    [(code, out, err)] = run_commands(tmp_path, ("inspect", str(shard), "--json"))
    assert (code, err) == (0, "")
    assert out.isascii()
    [found] = json.loads(out)
    assert found["url"] == str(shard)
    assert HOSTILE in {feature["name"] for feature in found["features"]}


def test_paths_that_are_no_utf_8(tmp_path: Path) -> None:
    """Shards may have any path, kept with escapes; all else that is named must be Unicode."""
    source = os.fsdecode(os.fsencode(tmp_path) + b"/in\x9b")
    plain = write_shard(tmp_path / "a-00000-of-00001", [make_record(random_tensor((2, 1, 8)))])
    os.mkdir(source)  # noqa: PTH102 - the name as the system has it
    shutil.copy(plain, os.path.join(source, os.fsdecode(b"b\xff-00000-of-00001")))  # noqa: PTH118
    slashed = shutil.copy(plain, tmp_path / "back\\slash-00000-of-00001")
    bad, wire = os.fsdecode(b"bad\xff"), ("--decoder", "wire")
    results = run_commands(
        tmp_path,
        ("convert", source, "dataset", *wire),
        ("convert", source, "dataset", *wire),
        ("verify", "dataset", "--source", source, *wire),
        ("npy-json", source, "notebook", *wire),
        ("inspect", source),
        ("inspect", source, "--json"),
        ("convert", str(slashed), "slashed", *wire),
        ("convert", str(plain), bad, *wire),
        ("convert", str(plain), "out", *wire, "--npy-json", bad),
        ("convert", str(plain), "out", *wire, "--site", bad),
        ("duckdb", "dataset", bad),
        ("similar", "dataset", "--to", f"{bad}@0"),
        ("info", bad),
        ("convert", f"{source}/nothing", "out", *wire),
    )
    codes = [code for code, _, _ in results]
    assert codes == [0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 1], results
    assert "nothing left to do" in results[1][1]
    for _, out, err in results[7:]:
        assert out == ""
        assert err.count("\n") == 1
        assert "not UTF-8" in err or "does not exist" in err
        assert r"bad\xff" in err or r"in\x9b" in err
    [found] = json.loads((tmp_path / "dataset" / "manifest.json").read_text())["shards"]
    assert found["label"] == r"b\xff-00000-of-00001"
    assert found["url"] == rf"{tmp_path}/in\x9b/b\xff-00000-of-00001"
    [found] = json.loads((tmp_path / "slashed" / "manifest.json").read_text())["shards"]
    assert found["label"] == r"back\slash-00000-of-00001"
    assert not (tmp_path / "out").exists()


def test_paths_that_are_no_utf_8_in_python(tmp_path: Path) -> None:
    """The functions raise the same error."""
    shard = write_shard(tmp_path / "a-00000-of-00001", [make_record(random_tensor((2, 1, 8)))])
    dataset, bad = tmp_path / "dataset", os.fsdecode(b"bad\xff")
    convert(shard, dataset, decoder="wire")
    for call in (
        lambda: convert(shard, tmp_path / bad, decoder="wire"),
        lambda: convert(shard, tmp_path / "out", decoder="wire", unknown_site=bad),
        lambda: convert(shard, tmp_path / "out", decoder="wire", scratch=tmp_path / bad),
        lambda: similar(dataset, f"{bad}@0"),
        lambda: similar(dataset, f"{FILENAME}@0", sites=[bad]),
        lambda: duckdb(dataset, tmp_path / bad),
        lambda: scan(tmp_path / bad),
    ):
        with pytest.raises(UsageError, match="not UTF-8"):
            call()


def test_two_files_of_one_name(tmp_path: Path) -> None:
    """A file that is called as another one is shown is never taken for it."""
    for name in (b"b\xff-00000-of-00001", rb"b\xff-00000-of-00001"):
        write_shard(tmp_path / "in" / "x", [b"payload"]).rename(tmp_path / "in" / os.fsdecode(name))
    with pytest.raises(SourceError, match="two files are"):
        find_shards(tmp_path / "in")


def test_an_ascii_terminal(tmp_path: Path) -> None:
    """What ASCII lacks is shown escaped, and nothing fails."""
    shard = write_shard(
        tmp_path / "a-00000-of-00001",
        [make_record(random_tensor((2, 1, 8)), "20201014T010000+1030_Café_49500.flac")],
    )
    accented, wire = tmp_path / "é-00000-of-00001", ("--decoder", "wire")
    shutil.copy(shard, accented)
    found = run_commands(
        tmp_path,
        ("inspect", str(shard)),
        ("convert", os.fsencode(accented).decode("ascii", "surrogateescape"), "dataset", *wire),
        ("info", "dataset"),
        ("similar", "dataset", "--to", "20201014T010000+1030_Café_49500.flac@0"),
        ("plan", str(shard)),
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
        PYTHONIOENCODING="ascii",
    )
    assert all(text.isascii() for _, *texts in found for text in texts)
    assert [code for code, _, _ in found] == [0, 0, 0, 0, 0], found
    [kept] = json.loads((tmp_path / "dataset" / "manifest.json").read_text())["shards"]
    assert kept["label"] == "é-00000-of-00001"
