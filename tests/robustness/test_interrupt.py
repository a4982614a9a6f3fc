"""Conversions that are interrupted (the short version), changed and unreadable sources."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.errors import SourceError, UsageError
from a20_parquet.progress import NoProgress
from tests.robustness.children import digest_tree
from tests.robustness.messy import DIMS, write_messy_shards

pytestmark = pytest.mark.slow


def test_interrupted_conversions_go_on() -> None:
    """Ctrl-C in either pass, and a second process: each ends as it must, and the bytes too."""
    command = [sys.executable, "-m", "tests.robustness.interrupt", "--runs=6", "--records=60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert "'first pass'" in done.stdout
    assert "every dataset is byte-identical" in done.stdout


class Meddler(NoProgress):
    """Does something as soon as the first bytes of the first pass are read."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        self._meddle: Callable[[], object] | None = meddle

    def advance(self, count_bytes: int) -> None:
        """Meddle, once."""
        if count_bytes and self._meddle is not None:
            self._meddle()
            self._meddle = None


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_messy_shards(tmp_path / "shards", 4, 40)


def convert(shards: Path, out: Path, meddle: Callable[[], object] = lambda: None) -> None:
    """Convert with several runs on disk, one shard after the other."""
    options: dict[str, Any] = {"memory": "7MB", "row_group_rows": 100, "workers": 1, "dims": DIMS}
    a20_parquet.convert(shards, out, progress=Meddler(meddle), **options)


def test_a_shard_that_vanishes(shards: Path, tmp_path: Path) -> None:
    """It is named, nothing looks complete, a resume without it is refused, with it goes on."""
    out, shard, away = tmp_path / "out", max(shards.iterdir()), tmp_path / "away"
    with pytest.raises(SourceError, match=shard.name):
        convert(shards, out, lambda: shard.rename(away))
    assert not (out / "manifest.json").exists()
    with pytest.raises(UsageError, match=f"missing: .*{shard.name}"):
        convert(shards, out)
    away.rename(shard)
    convert(shards, out)
    convert(shards, tmp_path / "fresh")
    assert digest_tree(out) == digest_tree(tmp_path / "fresh")


@pytest.mark.parametrize("change", [b"more", b""])
def test_a_shard_that_changes_while_it_is_read(shards: Path, tmp_path: Path, change: bytes) -> None:
    """One that grows or shrinks stops the conversion, and a resume names it."""
    out, shard = tmp_path / "out", max(shards.iterdir())
    content = shard.read_bytes()
    changed = content + change if change else content[:-100]
    with pytest.raises(SourceError, match=rf"{shard.name}.*changed while it was read"):
        convert(shards, out, lambda: shard.write_bytes(changed))
    assert not (out / "manifest.json").exists()
    with pytest.raises(UsageError, match=rf"changed since: .*{shard.name}"):
        convert(shards, out)


NOBODY = """
import contextlib, os, sys
from a20_parquet.cli import main as cli
shards, out, warm_up = sys.argv[1:]
user = os.geteuid()
if user == 0:
    # Nobody may be unable to read what is imported on the way.
    with contextlib.suppress(SystemExit):
        cli.cli.main(["convert", shards, warm_up, "--dims=256"], standalone_mode=False)
    os.seteuid(65534)
sys.argv[1:] = ["convert", shards, out, "--dims=256"]
try:
    cli.main()
finally:
    os.seteuid(user)
"""


@pytest.mark.parametrize("which", ["folder", "shard"])
def test_what_can_not_be_read(shards: Path, tmp_path: Path, which: str) -> None:
    """A folder or shard without the right to read it is named, with the reason, and exit code 1."""
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder.owner() == Path.home().owner():
            folder.chmod(0o755)
    (tmp_path / "out").mkdir()
    (tmp_path / "out").chmod(0o777)
    secret = shards if which == "folder" else max(shards.iterdir())
    secret.chmod(0)
    places = (shards, tmp_path / "out", tmp_path / "warm-up")
    command = [sys.executable, "-c", NOBODY, *map(str, places)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    secret.chmod(0o755)
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert str(secret) in last
    assert "Permission denied" in last
    assert list((tmp_path / "out").iterdir()) == []
