"""Locks in stores: held while their owner lives, anybody's afterwards."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import fsspec
import psutil
import pytest

from a20_parquet.dataset.claim import locked
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.errors import UsageError
from a20_parquet.storage.lease import HeldError, Pace, leased
from a20_parquet.storage.place import StorePath, place_of

_PACE = Pace(renew_s=0.1, expire_s=0.6)


@pytest.fixture
def lock() -> Iterator[StorePath]:
    """The place of a lock that nobody holds."""
    place = place_of("memory://lease/dataset/conversion/lock")
    assert isinstance(place, StorePath)
    yield place
    with suppress(FileNotFoundError):
        fsspec.filesystem("memory").rm("/lease", recursive=True)


def left_by(lock: StorePath, **other: object) -> None:
    """Leave a lock there as another process would."""
    with leased(lock, print, _PACE):
        content = json.loads(lock.read_bytes())
    lock.filesystem.pipe_file(lock.path, json.dumps({**content, "owner": "x", **other}).encode())


def test_held_while_the_body_runs(lock: StorePath) -> None:
    """It is renewed meanwhile, and gone afterwards."""
    with leased(lock, print, _PACE):
        before = lock.read_bytes()
        time.sleep(0.5)
        assert lock.read_bytes() != before
    assert not lock.exists()


def test_a_living_owner_keeps_others_out(lock: StorePath) -> None:
    """The second waits to see that the first one lives, is told of it, and has changed nothing."""
    told: list[str] = []
    with leased(lock, print, _PACE):
        who = f"process {psutil.Process().pid}"
        with pytest.raises(HeldError, match=who), leased(lock, told.append, _PACE):
            pytest.fail("both have it")
        assert lock.exists()
    assert "waiting" in told[0]


def test_what_a_conversion_says(lock: StorePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who else converts there, and what to do."""
    monkeypatch.setattr("a20_parquet.storage.lease.Pace", lambda: _PACE)
    layout = DatasetLayout.at("memory://lease/dataset")
    refused = pytest.raises(UsageError, match="another process is converting")
    with leased(lock, print, _PACE), refused, locked(layout):
        pytest.fail("both have it")


def test_an_owner_that_died_here(lock: StorePath) -> None:
    """Its lock is taken over at once: nobody waits."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left_by(lock, process=dead.pid)
    told: list[str] = []
    with leased(lock, told.append, _PACE):
        assert json.loads(lock.read_bytes())["owner"] != "x"
    assert not told


def test_an_owner_elsewhere_that_is_silent(lock: StorePath) -> None:
    """Its lock is taken over when it has not been renewed for long enough."""
    left_by(lock, machine="elsewhere/1")
    told: list[str] = []
    with leased(lock, told.append, _PACE):
        assert json.loads(lock.read_bytes())["owner"] != "x"
    assert "on elsewhere" in told[0]


def test_what_is_no_lock(lock: StorePath) -> None:
    """Bytes that are none are replaced."""
    lock.filesystem.pipe_file(lock.path, b"{")
    with leased(lock, print, _PACE):
        assert json.loads(lock.read_bytes())["beat"] == 0
