"""Locks in stores: held while their owner lives, anybody's afterwards."""

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import fsspec
import psutil
import pytest

from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.storage import lease as lease_module
from a20_parquet.storage import lock_content
from a20_parquet.storage.lease import HeldError, LeaseTiming, leased
from a20_parquet.storage.lock_content import LockContent
from a20_parquet.storage.path import StorePath, parse_path
from tests.helpers.clock import Clock

_PACE = LeaseTiming(renew_s=0.1, expire_s=0.6)


@pytest.fixture
def lock() -> Iterator[StorePath]:
    """The place of a lock that nobody holds."""
    place = parse_path("memory://lease/dataset/conversion/lock")
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
    monkeypatch.setattr("a20_parquet.storage.lease.LeaseTiming", lambda: _PACE)
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


def test_an_owner_elsewhere_that_is_silent(
    lock: StorePath, caplog: pytest.LogCaptureFixture
) -> None:
    """Its lock is taken over when it has not been renewed for long enough, as the log says."""
    caplog.set_level("INFO", "a20_parquet")
    left_by(lock, machine="elsewhere", pids="another boot/1", process=999_999_999)
    told: list[str] = []
    with leased(lock, told.append, _PACE):
        assert json.loads(lock.read_bytes())["owner"] != "x"
    assert "on elsewhere" in told[0]
    assert "the lock was taken over from process 999999999 on elsewhere" in caplog.text


def test_the_log_tells_of_renewals(lock: StorePath, caplog: pytest.LogCaptureFixture) -> None:
    """Those that were done, and those that failed, with the reason."""
    caplog.set_level("DEBUG", "a20_parquet")
    with leased(lock, print, _PACE):
        time.sleep(0.3)
        assert "the lock was renewed" in caplog.text
        assert "not renewed" not in caplog.text
        lock.filesystem.inner.rm_file(lock.path)
        time.sleep(0.3)
    assert "the lock was not renewed: " in caplog.text


@pytest.mark.parametrize("pids", [None, "another boot/4026531836"])
def test_a_container_of_the_same_name(
    lock: StorePath, monkeypatch: pytest.MonkeyPatch, pids: str | None
) -> None:
    """Its host's name and a process id that nothing has here do not prove that it has died."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left_by(lock, process=dead.pid, pids=pids)
    if pids is None:
        monkeypatch.setattr(lock_content, "find_pids", lambda: None)
    told: list[str] = []
    with leased(lock, told.append, _PACE):
        assert json.loads(lock.read_bytes())["owner"] != "x"
    assert "waiting" in told[0]


def test_where_nothing_tells_of_process_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox without ``boot_id`` or namespaces proves nothing, and two are never the same."""
    here = lock_content.find_pids()
    assert here == lock_content.find_pids()
    assert sys.platform != "linux" or here
    monkeypatch.setattr(lock_content, "_NAMESPACES", (tmp_path / "none",))
    assert lock_content.find_pids() is None
    monkeypatch.undo()
    monkeypatch.setattr(lock_content, "_BOOT_ID", tmp_path / "none")
    assert lock_content.find_pids() is None
    assert not LockContent.draw().has_died


def test_an_owner_that_slept(lock: StorePath) -> None:
    """Where nothing tells whether somebody else came, it gives up before it writes again."""
    clock = Clock()
    with leased(lock, print, LeaseTiming(renew_s=30, expire_s=90), clock) as lease:
        filesystem = lock.filesystem.guarded(lease)
        place = f"{lock.path}-neighbour"
        for clock.now_s in (1000.0, 1059.0):
            filesystem.pipe_file(place, b"1")
        clock.now_s = 1060.0
        for change in (
            lambda: filesystem.pipe_file(place, b"2"),
            lambda: filesystem.put_file(__file__, place),
            lambda: filesystem.cp_file(place, f"{place}-copy"),
            lambda: filesystem.rm_file(place),
            lambda: filesystem.rm_files([place]),
            lease.confirm,
        ):
            with pytest.raises(DatasetError, match=r"lost its lock.*not renewed in time"):
                change()
        assert filesystem.cat_file(place) == b"1"
        assert filesystem.ls(lock.parent.path, detail=False) == [lock.path, place]


def test_renewals_put_it_off(lock: StorePath) -> None:
    """Each counts from when it was begun."""
    clock = Clock()
    with leased(lock, print, LeaseTiming(renew_s=30, expire_s=90), clock) as lease:
        clock.now_s = 1050.0
        lease.confirm()
        clock.now_s = 1109.0
        lease.check()
        clock.now_s = 1110.0
        with pytest.raises(DatasetError, match="not renewed in time"):
            lease.check()


def test_an_owner_that_sees_another_one(lock: StorePath) -> None:
    """However little time has passed for it, it asks before it commits; what is there stays."""
    with leased(lock, print, LeaseTiming(renew_s=30, expire_s=90)) as lease:
        theirs = LockContent.draw().encode()
        lock.filesystem.pipe_file(lock.path, theirs)
        lease.check()
        with pytest.raises(DatasetError, match=r"lost its lock.*has taken it"):
            lease.confirm()
        with pytest.raises(DatasetError, match="lost its lock"):
            lease.check()
    assert lock.read_bytes() == theirs


def test_the_guard_stays_behind(lock: StorePath) -> None:
    """Another process has no lock, and goes by the session instead."""
    with leased(lock, print, _PACE) as lease:
        guarded = StorePath(lock.filesystem.guarded(lease), lock.path)
        assert guarded.filesystem.guard is lease
        assert (guarded.parent / "x").filesystem.guard is lease
        elsewhere = pickle.loads(pickle.dumps(guarded))  # noqa: S301 - its own
        assert elsewhere.filesystem.guard is None
        assert lock.filesystem.guard is None


def test_two_that_take_over_within_a_second(
    lock: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a store that refuses nothing the last one has it, and the first one sees that."""
    left_by(lock, machine="elsewhere", pids="another boot/1")
    theirs = LockContent.draw().encode()

    def come_later(_: float) -> None:
        if b'"owner":"x"' not in lock.read_bytes():
            lock.filesystem.pipe_file(lock.path, theirs)

    monkeypatch.setattr(time, "sleep", come_later)
    monkeypatch.setattr(lease_module, "_stays", lambda *_: True)
    with pytest.raises(HeldError, match="process"), leased(lock, print, _PACE):
        pytest.fail("it has it")
    assert lock.read_bytes() == theirs


@pytest.mark.parametrize("process", [None, 0, -1, 10**30, "x"])
def test_what_is_no_lock(lock: StorePath, process: object) -> None:
    """Bytes that are none, or of a lock that no process can have, are replaced."""
    mine = LockContent.draw().model_dump()
    content = b"{" if process is None else json.dumps({**mine, "process": process}).encode()
    lock.filesystem.pipe_file(lock.path, content)
    with leased(lock, print, _PACE):
        assert json.loads(lock.read_bytes())["beat"] == 0
