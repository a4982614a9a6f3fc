"""What the package logs."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

import a20_parquet
from a20_parquet.cli import main as cli
from a20_parquet.storage.retries import call
from tests.helpers.progress import Heard
from tests.helpers.shards import make_record, random_tensor, write_shard


@pytest.mark.slow
def test_log_of_a_conversion(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Modules have loggers of their own below the package's, which is silent by itself."""
    with caplog.at_level("DEBUG", "a20_parquet"):
        a20_parquet.convert(shards, tmp_path / "out", decoder="wire")
    names = {record.name for record in caplog.records}
    assert {
        f"a20_parquet.conversion.{name}" for name in ("job", "sort_pass", "merge_pass")
    } <= names
    code = "import sys, a20_parquet\na20_parquet.convert(sys.argv[1], sys.argv[2], decoder='wire')"
    done = subprocess.run(
        [sys.executable, "-c", code, str(shards), str(tmp_path / "other")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_remarks_of_a_conversion_are_logged(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What the command line prints as remarks is logged, each once and with Python's names."""
    source = tmp_path / "in"
    records = [make_record(random_tensor((1, 1, 8))), make_record(random_tensor((1, 1, 8)), "x")]
    for n in range(2):
        write_shard(source / f"a-{n:05d}-of-00003", records)
    (source / "notes.txt").write_text("no shard")
    heard = Heard()
    for progress in (None, heard):
        caplog.clear()
        with caplog.at_level("INFO", "a20_parquet"):
            conversion = a20_parquet.convert(
                source, tmp_path / f"out{progress is None}", progress=progress, site="285"
            )
        found = [r for r in caplog.records if r.levelname == "WARNING"]
        messages = [record.getMessage() for record in found]
        assert {record.name for record in found} == {"a20_parquet.conversion.result"}
        assert len(set(caplog.messages)) == len(caplog.messages)
        for begins in (
            f"{source}/a-*-of-00003: 2 of 3 shards",
            "passed over: notes.txt",
            "hop assumed: 5 s (window_seconds)",
            f"copies: {conversion.copies[0][0]}",
            "duplicates: 1 window equal to others of the same recording and time: kept",
            f"what could not be converted is in {conversion.dataset}/quarantine",
            "bad_filename: mended by converting",
        ):
            assert sum(message.startswith(begins) for message in messages) == 1, begins
    with caplog.at_level("INFO", "a20_parquet"):
        caplog.clear()
        a20_parquet.convert(source, tmp_path / "outTrue", site="285")
        assert sum(message.startswith("passed over") for message in caplog.messages) == 1
        caplog.clear()
        arguments = ["convert", str(source), str(tmp_path / "console"), "--site", "285", "-v"]
        monkeypatch.setattr("sys.argv", ["a20-parquet", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
    assert capsys.readouterr().err.count("passed over: notes.txt") == 1
    assert "a20_parquet.conversion.result" not in {record.name for record in caplog.records}


def test_decoder_fallback_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Records of another form are left to protobuf, which is said when it is first needed."""
    records = [make_record(random_tensor((2, 1, 8)), timestamp_s=at) for at in (0, math.nan)]
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    with caplog.at_level("INFO", "a20_parquet"):
        a20_parquet.convert(shard, tmp_path / "out", decoder="wire")
    # By what looks at the first records, and by what converts all.
    assert sum("protobuf decodes these" in message for message in caplog.messages) == 2


def test_repeated_requests_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    """With what went wrong, and how long it waits."""
    failures = [ConnectionError("gone"), TimeoutError("late")]

    def ask() -> str:
        if failures:
            raise failures.pop(0)
        return "answer"

    with caplog.at_level("INFO", "a20_parquet"):
        assert call(ask) == "answer"
    first, second = caplog.messages
    assert first.startswith("request to a store, try 1 failed (ConnectionError: gone); again in ")
    assert second.startswith("request to a store, try 2 failed (TimeoutError: late); again in ")
