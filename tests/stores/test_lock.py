"""Locks in the stores that put conditionally: one at a time has them, whoever slept meanwhile."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.conversion.transaction.lock import check_lock, confirm_lock, locked
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.storage import conditional
from a20_parquet.storage import lease as lease_module
from a20_parquet.storage.files import write_whole
from a20_parquet.storage.lease import HeldError, LeaseTiming, leased
from a20_parquet.storage.lock_content import LockContent
from a20_parquet.storage.path import StorePath, parse_path
from tests.helpers.clock import Clock
from tests.stores.conversions import OPTIONS, comparable
from tests.stores.deeds import Hold, LoseAnswer
from tests.stores.killable import LOST, converting
from tests.stores.servers import Store

pytestmark = [pytest.mark.store, pytest.mark.usefixtures("impatient")]

_QUICK = LeaseTiming(renew_s=0.1, expire_s=0.3)
_NEVER = LeaseTiming(renew_s=3600, expire_s=7200)
"""Renewed by hand only: an owner whose thread is frozen."""
_UPLOAD, _LOCK = "PUT|POST", r"conversion/lock\b"


@pytest.fixture
def lock(store: Store, bucket: str) -> StorePath:
    """The place of a lock that nobody holds."""
    place = parse_path(f"{store.scheme}://{bucket}/out/conversion/lock")
    assert isinstance(place, StorePath)
    return place


def leave_stale(lock: StorePath) -> bytes:
    """Leave a lock of a process elsewhere that has died."""
    content = LockContent.draw().model_copy(update={"pids": "another boot/1"}).encode()
    lock.filesystem.pipe_file(lock.path, content)
    return content


class Contender(threading.Thread):
    """Takes a lock, and holds it until it is let go."""

    def __init__(self, lock: StorePath) -> None:
        super().__init__(daemon=True)
        self._lock = lock
        self.has_entered, self.is_done = threading.Event(), threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        """Take it."""
        try:
            with leased(self._lock, lambda _: None, _QUICK):
                self.has_entered.set()
                self.is_done.wait(60)
        except HeldError as error:
            self.failure = error


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("is_stale", [True, False])
def test_two_that_see_the_same(
    store: Store, lock: StorePath, first: int, *, is_stale: bool
) -> None:
    """Both are about to put theirs; whichever does so first has it, the other is refused."""
    if is_stale:
        leave_stale(lock)
    holds = [Hold(), Hold()]
    for hold in holds:
        store.proxy.inject(hold, _UPLOAD, _LOCK)
    contenders = [Contender(lock), Contender(lock)]
    for contender, hold in zip(contenders, holds, strict=True):
        contender.start()
        assert hold.reached.wait(30)
    holds[first].let_go.set()
    assert contenders[first].has_entered.wait(30)
    holds[1 - first].let_go.set()
    contenders[1 - first].join(30)
    assert isinstance(contenders[1 - first].failure, HeldError)
    assert not contenders[1 - first].has_entered.is_set()
    contenders[first].is_done.set()
    contenders[first].join(30)
    assert contenders[first].failure is None
    assert not lock.exists()


@pytest.mark.parametrize("is_stale", [True, False])
def test_an_answer_that_is_lost(
    store: Store, lock: StorePath, monkeypatch: pytest.MonkeyPatch, *, is_stale: bool
) -> None:
    """Who is refused because the store has done the first try already has the lock."""
    if is_stale:
        leave_stale(lock)
    store.proxy.inject(LoseAnswer(), _UPLOAD, _LOCK)
    monkeypatch.setattr(lease_module, "_stays", lambda *_: True)
    with leased(lock, print, _NEVER) as lease:
        store.proxy.inject(LoseAnswer(), _UPLOAD, _LOCK)
        lease.confirm()
        lease.confirm()
    assert not lock.exists()


@contextmanager
def held_by_a_sleeper(lock: StorePath, clock: Clock) -> Iterator[DatasetLayout]:
    """A dataset's layout, guarded by a lock that is not renewed."""
    root = lock.parent.parent
    with leased(lock, print, _NEVER, clock) as lease:
        yield DatasetLayout(StorePath(root.filesystem.guarded(lease), root.path))


@pytest.mark.parametrize("is_over", [False, True])
@pytest.mark.parametrize("slept_s", [0, 7200])
def test_an_owner_that_slept(lock: StorePath, slept_s: float, *, is_over: bool) -> None:
    """Another one came meanwhile, and is there or gone: nothing is written, nor unlocked."""
    clock = Clock()
    with held_by_a_sleeper(lock, clock) as layout, leased_by_another(lock, is_over=is_over):
        before = lock.read_bytes() if lock.exists() else None
        clock.now_s += slept_s
        with pytest.raises(DatasetError, match="lost its lock") as caught:
            confirm_lock(layout)
        assert "\n" not in str(caught.value)
        for _ in range(2):
            with pytest.raises(DatasetError, match="lost its lock"):
                check_lock(layout)
            with pytest.raises(DatasetError, match="lost its lock"):
                write_whole(layout.manifest, b"mine")
        assert not layout.manifest.exists()
    assert before is None or not lock.exists()


@contextmanager
def leased_by_another(lock: StorePath, *, is_over: bool) -> Iterator[None]:
    """Another owner holds it while the body runs, or has held it."""
    lock.filesystem.rm_file(lock.path)
    if is_over:
        with leased(lock, print, _QUICK):
            pass
        yield
        return
    with leased(lock, print, _NEVER):
        yield


def test_an_owner_that_slept_alone(lock: StorePath) -> None:
    """Nobody came: the store proves it, and the work goes on."""
    clock = Clock()
    with held_by_a_sleeper(lock, clock) as layout:
        clock.now_s += 10_000
        check_lock(layout)
        confirm_lock(layout)
    assert not lock.exists()


def test_threads_that_wake_together(lock: StorePath) -> None:
    """Each finds that the lock is still there, whichever of them renews it."""
    clock = Clock()
    with held_by_a_sleeper(lock, clock) as layout:
        for _ in range(3):
            clock.now_s += 10_000
            list(ThreadPool(12).map(lambda _: check_lock(layout), range(24)))


def test_an_owner_that_was_cut_off(store: Store, lock: StorePath) -> None:
    """It cannot renew in time, and so has lost the lock, as far as it can know."""
    clock = Clock()
    with held_by_a_sleeper(lock, clock) as layout:
        clock.now_s += 10_000
        store.proxy.inject(LoseAnswer(), target=_LOCK, times=None)
        with pytest.raises(DatasetError, match=r"lost its lock.*renewed in time"):
            check_lock(layout)
        store.proxy.clear()
        with pytest.raises(DatasetError, match="lost its lock"):
            check_lock(layout)


def test_a_store_that_ignores_conditions(
    store: Store, lock: StorePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is noticed; then an owner that slept gives up, as with any other store."""
    client = {"s3": "s3fs", "gs": "gcsfs"}[store.scheme]
    known = conditional._KNOWN[client]  # noqa: SLF001

    def put(inner: Any, path: str, content: bytes, _: str | None) -> str:
        inner.pipe_file(path, content)
        return str(inner.info(path)[known.version_key])

    monkeypatch.setitem(conditional._KNOWN, client, replace(known, put=put))  # noqa: SLF001
    clock = Clock()
    with held_by_a_sleeper(lock, clock) as layout:
        confirm_lock(layout)
        clock.now_s += 10_000
        with pytest.raises(DatasetError, match="not renewed in time"):
            check_lock(layout)
    leave_stale(lock)
    monkeypatch.setattr(lease_module, "_stays", lambda *_: True)
    monkeypatch.setattr(lease_module, "_SETTLE_S", 0.0)
    with leased(lock, print, _NEVER) as lease:
        lease.confirm()
        lock.filesystem.pipe_file(lock.path, LockContent.draw().encode())
        with pytest.raises(DatasetError, match="has taken it"):
            lease.confirm()


def test_what_another_conversion_is_told(lock: StorePath) -> None:
    """Who has it, and what to do."""
    layout = DatasetLayout(lock.parent.parent)
    refused = pytest.raises(UsageError, match=f"another process.*process {os.getpid()} on ")
    with locked(layout), refused, locked(layout):
        pytest.fail("both have it")


_WORKERS = 2
_MOMENTS = {
    "while runs are put": (_UPLOAD, r"/conversion/runs/", 1),
    "before a marker": (_UPLOAD, r"/conversion/units/", 1),
    "while data files are put": (_UPLOAD, r"/data/", 2),
    "before the manifest": (_UPLOAD, r"out/manifest\.json", 0),
}


@pytest.mark.parametrize("moment", _MOMENTS)
@pytest.mark.usefixtures("small_memory")
def test_a_conversion_that_is_stopped(
    store: Store, bucket: str, messy: Path, expected: dict[str, str], moment: str
) -> None:
    """Another one takes over and finishes; the first one wakes, and changes nothing any more."""
    source, out = store.put(messy, f"{bucket}/in"), f"{store.scheme}://{bucket}/out"
    method, target, skip = _MOMENTS[moment]
    hold = Hold()
    store.proxy.inject(hold, method, target, skip=skip)
    with converting(
        source, out, {store.protocol: store.configuration}, workers=_WORKERS, **OPTIONS
    ) as first:
        assert hold.reached.wait(60)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGSTOP)
        assert a20_parquet.convert(source, out, **OPTIONS).is_resumed
        found = store.digests(out)
        store.proxy.clear()
        os.kill(first.pid, signal.SIGCONT)
        first.join(60)
        assert first.exitcode == LOST
        # What it was putting when it was stopped may be sent again by its client, by itself.
        again = store.proxy.count(_UPLOAD, "/out/(?!conversion/lock)")
        assert again <= _WORKERS, [request.target for request in store.proxy.log]
    files = {name: digest for name, digest in store.digests(out).items() if name in found}
    assert files == found
    assert comparable(files_of(store, out)) == expected


def files_of(store: Store, out: str) -> dict[str, bytes]:
    """All of a dataset's files, without those of conversions."""
    found = store.read(out)
    return {name: found[name] for name in found if not name.startswith("conversion/")}
