"""Conversions that are stopped: what they leave, and that they go on to the very same bytes."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import a20_parquet
from a20_parquet.conversion.transaction.checkpoints import commit_sorted, commit_unit
from a20_parquet.errors import DatasetError, UsageError
from tests.helpers.conversions import digests, use_tiny_memory, write_shuffled

pytestmark = pytest.mark.slow

KILLED = """
import sys, time, a20_parquet
from a20_parquet.conversion import write_files as merge
summarize = merge._summarize
def slow(*args):
    print('written', flush=True)
    time.sleep(60)
    return summarize(*args)
merge._summarize = slow
a20_parquet.convert(sys.argv[1], sys.argv[2])
"""
INTERRUPTED = """
import sys, time
from a20_parquet.cli import main as cli
from a20_parquet.execution import threads
def slow(*args):
    print('writing', flush=True)
    time.sleep(2)
    raise OSError('not reached in the main thread')
threads.create_file = slow
sys.argv[1:] = ['convert', *sys.argv[1:]]
cli.main()
"""


def test_killed_conversion_never_looks_complete(shuffled: Path, tmp_path: Path) -> None:
    """Killed while it writes, it leaves no manifest, and goes on when it is called again."""
    out = tmp_path / "out"
    arguments = [sys.executable, "-c", KILLED, str(shuffled), str(out)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        with pytest.raises(UsageError, match="another process"):
            a20_parquet.convert(shuffled, out)
        process.send_signal(signal.SIGKILL)
    assert list(out.glob("data/**/*.parquet"))
    assert not (out / "manifest.json").exists()
    with pytest.raises(DatasetError, match="has not finished"):
        a20_parquet.scan(out)
    assert a20_parquet.convert(shuffled, out).is_resumed
    a20_parquet.convert(shuffled, tmp_path / "fresh")
    assert digests(out) == digests(tmp_path / "fresh")


def test_interrupt_stops_and_says_how_to_go_on(shuffled: Path, tmp_path: Path) -> None:
    """Ctrl-C ends with exit code 130, and the same command goes on where it stopped."""
    out = tmp_path / "out"
    arguments = [sys.executable, "-c", INTERRUPTED, str(shuffled), str(out)]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"writing\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        message = process.stderr.read().decode()
    assert process.returncode == 130, message
    assert "interrupted" in message
    assert "The same command goes on where it stopped" in message
    assert not (out / "manifest.json").exists()
    assert a20_parquet.convert(shuffled, out).is_resumed
    a20_parquet.convert(shuffled, tmp_path / "fresh")
    assert digests(out) == digests(tmp_path / "fresh")


class Stop(Exception):  # noqa: N818 - no error of this package
    """Stands for whatever may stop a conversion."""


@pytest.fixture
def many_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sources of which each shard is a unit, and each data file of what becomes of them."""
    from a20_parquet.conversion import merge_pass

    use_tiny_memory(monkeypatch, workers=1)
    monkeypatch.setattr(merge_pass, "_UNIT_BYTES", 1)
    return write_shuffled(tmp_path / "in", shards=3)


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4, 6])
def test_finished_units_are_not_done_again(
    many_units: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    """Stopped after any marker of either pass, as many units are left as they are."""
    from a20_parquet.conversion import merge_pass, sort_unit

    made: list[object] = []

    def count(module: object, name: str, original: Callable[..., None], most: int) -> None:
        def commit(*args: object) -> None:
            if len(made) == most:
                raise Stop
            original(*args)
            made.append(args)

        monkeypatch.setattr(module, name, commit)

    def count_both(most: int) -> None:
        made.clear()
        count(sort_unit, "commit_sorted", commit_sorted, most)
        count(merge_pass, "commit_unit", commit_unit, most)

    out = tmp_path / "out"
    count_both(1000)
    a20_parquet.convert(many_units, tmp_path / "fresh", workers=1)
    all_units = len(made)
    assert all_units > 6
    count_both(stop_at)
    with pytest.raises(Stop):
        a20_parquet.convert(many_units, out, workers=1)
    count_both(1000)
    assert a20_parquet.convert(many_units, out, workers=1).is_resumed
    assert len(made) == all_units - stop_at
    assert digests(out) == digests(tmp_path / "fresh")
