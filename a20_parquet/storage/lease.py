"""A lock on a folder of a store, which its owner renews while it lives.

A store cannot tell that a process has died. So the owner puts its lock again every few seconds, and
a lock that has not changed for several times as long is stale. Clocks of two machines are never
compared.

S3 and Google Cloud Storage replace a lock only if it is the one that was read. If several processes
find the same stale lock, one of them gets it, and an owner that was suspended learns at its next
renewal whether another process got it. Other stores have no conditional requests: the last process
to take over a stale lock within a second gets it, and an owner that was suspended gives up, whether
or not another process came. A request that was under way when a process was suspended may still
reach the store after the process resumes.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Lock, Thread

from a20_parquet.errors import DatasetError
from a20_parquet.storage.conditional import ConditionalFile
from a20_parquet.storage.lock_content import LockContent
from a20_parquet.storage.path import StorePath

_LOGGER = logging.getLogger(__name__)

Clock = Callable[[], float]

_SETTLE_S = 1.0
_MOST_TRIES = 3


class HeldError(Exception):
    """Another process holds the lock; the message names it."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """How often a lock is renewed, and when it expires."""

    renew_s: float = 15.0
    """Seconds from one renewal to the next."""
    expire_s: float = 90.0
    """Seconds without a renewal after which other processes take the lock over."""

    @property
    def valid_s(self) -> float:
        """Seconds without a renewal after which the owner itself stops relying on the lock.

        Requests that it has begun by then should end before others take the lock over.
        """
        return self.expire_s - self.renew_s


def _elapsed_s() -> float:
    """Seconds, also while the machine sleeps: on Linux ``time.monotonic`` does not count these."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@contextmanager
def leased(
    path: StorePath,
    notify: Callable[[str], None],
    timing: LeaseTiming | None = None,
    clock: Clock = _elapsed_s,
) -> Iterator["Lease"]:
    """Hold a lock while the body runs.

    Args:
        path: path of the lock.
        notify: called with a message if another process's lock must expire first.
        timing: timing of renewals.
        clock: returns seconds; tests pass another one.

    Raises:
        HeldError: another process holds the lock, and lives.
        OSError: the store cannot be written.
    """
    timing = timing or LeaseTiming()
    lease = _take(path, notify, timing, clock)
    ended = Event()

    def renew() -> None:
        while not ended.wait(timing.renew_s):
            # After a failure the next renewal may succeed; ``check`` raises once the lock is lost.
            try:
                lease.confirm()
            except (OSError, DatasetError) as error:
                _LOGGER.info("%s: the lock was not renewed: %s", path, error)
            else:
                _LOGGER.debug("%s: the lock was renewed", path)

    renewing = Thread(target=renew, name="a20-parquet lock", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        ended.set()
        renewing.join()
        # A lock that cannot be deleted expires.
        with suppress(OSError):
            lease.release()


class Lease:
    """A lock that this process holds; implements ``store.Guard``."""

    def __init__(self, file: ConditionalFile, timing: LeaseTiming, clock: Clock) -> None:
        """Draw the lock's content; it is not taken yet."""
        self._file = file
        self._timing = timing
        self._clock = clock
        self._mine = LockContent.draw()
        self._version = ""
        self._has_conditions = True
        self._valid_until_s = 0.0
        self._lost: str | None = None
        self._lock = Lock()
        self._turn = Lock()

    def take(self, version: str | None) -> None:
        """Replace the lock of the version that was read, None if there was none.

        Raises:
            HeldError: another process was faster.
            OSError: the store cannot be written.
        """
        began_s = self._clock()
        content = self._mine.encode()
        put = self._file.put(content, version)
        if put is None:
            put = self._find_mine()
        if not self._file.has_conditions(content):
            self._has_conditions = False
            if version is not None:
                time.sleep(min(_SETTLE_S, self._timing.renew_s))
            put = self._find_mine()
        self._version = put
        self._valid_until_s = began_s + self._timing.valid_s

    def check(self) -> None:
        """Ask the store if the last renewal is too old; see ``Guard.check``."""
        if self._is_valid():
            return
        # Threads that resume together must not mistake each other's renewals for another process's.
        with self._turn:
            if self._is_valid():
                return
            try:
                self.confirm()
            except OSError as error:
                raise self._lose(f"it could not be renewed in time: {error}") from error

    def confirm(self) -> None:
        """Renew the lock; see ``Guard.confirm``."""
        for _ in range(_MOST_TRIES):
            began_s = self._clock()
            with self._lock:
                if self._lost is not None:
                    raise self._lose(self._lost)
                self._mine = self._mine.model_copy(update={"beat": self._mine.beat + 1})
                content, version = self._mine.encode(), self._version
            if not self._has_conditions:
                self._see_mine()
                if began_s >= self._valid_until_s:
                    raise self._lose("it was not renewed in time")
            put = self._file.put(content, version)
            with self._lock:
                if put is not None:
                    self._version = put
                    until_s = began_s + self._timing.valid_s
                    self._valid_until_s = max(self._valid_until_s, until_s)
                    return
            # Another thread was faster, an answer was lost, or another process has the lock.
            self._version = self._see_mine()
        raise OSError(f"{self._file.path}: changed too often to be renewed")

    def release(self) -> None:
        """Delete the lock if this process still has it.

        Raises:
            OSError: the store cannot be asked, or the lock not deleted.
        """
        with suppress(HeldError):
            self._file.remove(self._find_mine())

    def _is_valid(self) -> bool:
        return self._lost is None and self._clock() < self._valid_until_s

    def _find_mine(self) -> str:
        """Return the version of this process's lock.

        Raises:
            HeldError: another process has the lock, or it is gone.
        """
        version, content = self._file.look()
        found = LockContent.parse(content)
        if version is None or found is None or found.owner != self._mine.owner:
            raise HeldError(str(found or "another process"))
        return version

    def _see_mine(self) -> str:
        try:
            return self._find_mine()
        except HeldError as error:
            raise self._lose(f"{error} has taken it") from error

    def _lose(self, why: str) -> DatasetError:
        self._lost = why
        return DatasetError(
            f"{self._file.path}: this process has lost its lock ({why}): it was stopped for a "
            "while, or cut off. It writes nothing more. Run the same command again when no other "
            "process converts there"
        )


def _take(
    path: StorePath, notify: Callable[[str], None], timing: LeaseTiming, clock: Clock
) -> Lease:
    file = ConditionalFile(path)
    version, content = file.look()
    found = LockContent.parse(content)
    if content is not None and not (found and found.has_died):
        by = found or "a process of another version"
        notify(f"{path} is held by {by}: waiting {timing.expire_s:.0f} s to see if it lives")
        if not _stays(file, content, timing, clock):
            version = None
    lease = Lease(file, timing, clock)
    lease.take(version)
    if content is not None:
        _LOGGER.info("%s: the lock was taken over from %s", path, found or "an unknown process")
    return lease


def _stays(file: ConditionalFile, seen: bytes, timing: LeaseTiming, clock: Clock) -> bool:
    """Wait until a lock expires; false if it is deleted meanwhile.

    Raises:
        HeldError: it is renewed.
    """
    end_s = clock() + timing.expire_s
    while clock() < end_s:
        time.sleep(min(1.0, timing.renew_s))
        _, content = file.look()
        if content is None:
            return False
        if content != seen:
            raise HeldError(str(LockContent.parse(content) or "another process"))
    return True
