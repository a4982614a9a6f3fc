"""Who may write to a folder of a store: a lock that its owner keeps renewing.

No store tells that a process has died. The owner puts its lock anew every few seconds; one that has
not changed for several times as long belongs to nobody any more. No clock is compared with another
machine's.

S3 and Google Cloud Storage put a lock only in the place of the very one that was seen, so that of
several processes that find the same stale lock a single one gets it, and an owner that slept learns
by its next renewal whether somebody else got it meanwhile. Of other stores nothing of the kind is
known: there the last of several that take over a stale lock within a second has it, and an owner
that slept gives up, whether or not somebody else came. What was on its way to the store when a
process fell asleep may still get there after it wakes.
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
    """Somebody else holds the lock; its text says who."""


@dataclass(frozen=True, slots=True)
class LeaseTiming:
    """How often locks are renewed, and when they count for nothing."""

    renew_s: float = 15.0
    """Seconds from one renewal to the next."""
    expire_s: float = 90.0
    """Seconds without a renewal after which others take an owner for dead."""

    @property
    def valid_s(self) -> float:
        """Seconds without a renewal after which an owner does not count on its lock any more.

        What it has begun to put then should be there before others come.
        """
        return self.expire_s - self.renew_s


def _elapsed_s() -> float:
    """Seconds that go on while the machine sleeps, which ``time.monotonic`` leaves out on Linux."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


@contextmanager
def leased(
    place: StorePath,
    tell: Callable[[str], None],
    pace: LeaseTiming | None = None,
    clock: Clock = _elapsed_s,
) -> Iterator["Lease"]:
    """Hold a lock while the body runs.

    Args:
        place: of the lock.
        tell: told why it takes long.
        pace: of renewals.
        clock: tells seconds; only tests have another one.

    Raises:
        HeldError: somebody else holds it, and lives.
        OSError: the store cannot be written.
    """
    pace = pace or LeaseTiming()
    lease = _take(place, tell, pace, clock)
    ended = Event()

    def renew() -> None:
        while not ended.wait(pace.renew_s):
            # What cannot be renewed now is renewed the next time; the guard tells when it is lost.
            try:
                lease.confirm()
            except (OSError, DatasetError) as error:
                _LOGGER.info("%s: the lock was not renewed: %s", place, error)
            else:
                _LOGGER.debug("%s: the lock was renewed", place)

    renewing = Thread(target=renew, name="a20-parquet lock", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        ended.set()
        renewing.join()
        # One that cannot be deleted belongs to a process that has ended, and counts for nothing.
        with suppress(OSError):
            lease.release()


class Lease:
    """A lock that this process holds; implements ``store.Guard``."""

    def __init__(self, file: ConditionalFile, pace: LeaseTiming, clock: Clock) -> None:
        """Draw what the lock says; it is not taken yet."""
        self._file = file
        self._pace = pace
        self._clock = clock
        self._mine = LockContent.draw()
        self._version = ""
        self._has_conditions = True
        self._valid_until_s = 0.0
        self._lost: str | None = None
        self._lock = Lock()
        self._turn = Lock()

    def take(self, version: str | None) -> None:
        """Put the lock in the place of the one that was seen.

        Args:
            version: of what was seen; None if there was nothing.

        Raises:
            HeldError: somebody else was quicker.
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
                time.sleep(min(_SETTLE_S, self._pace.renew_s))
            put = self._find_mine()
        self._version = put
        self._valid_until_s = began_s + self._pace.valid_s

    def check(self) -> None:
        """Ask the store where the lock was not renewed for too long; see ``Guard.check``."""
        if self._is_valid():
            return
        # Threads that wake together must not take each other's renewals for somebody else's.
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
                    until_s = began_s + self._pace.valid_s
                    self._valid_until_s = max(self._valid_until_s, until_s)
                    return
            # Another thread was quicker, or an answer was lost; or it is somebody else's.
            self._version = self._see_mine()
        raise OSError(f"{self._file.place}: changed too often to be renewed")

    def release(self) -> None:
        """Let others have it, if it still is this process's.

        Raises:
            OSError: the store cannot be asked, or the lock not deleted.
        """
        with suppress(HeldError):
            self._file.remove(self._find_mine())

    def _is_valid(self) -> bool:
        return self._lost is None and self._clock() < self._valid_until_s

    def _find_mine(self) -> str:
        """Return the version of the lock.

        Raises:
            HeldError: it is somebody else's, or gone.
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
            f"{self._file.place}: this process has lost its lock ({why}): it was stopped for a "
            "while, or cut off. It writes nothing more. The same command goes on when nobody else "
            "converts there"
        )


def _take(place: StorePath, tell: Callable[[str], None], pace: LeaseTiming, clock: Clock) -> Lease:
    file = ConditionalFile(place)
    version, content = file.look()
    found = LockContent.parse(content)
    if content is not None and not (found and found.has_died):
        by = found or "a process of another version"
        tell(f"{place} is held by {by}: waiting {pace.expire_s:.0f} s to see if it lives")
        if not _stays(file, content, pace, clock):
            version = None
    lease = Lease(file, pace, clock)
    lease.take(version)
    if content is not None:
        _LOGGER.info("%s: the lock was taken over from %s", place, found or "an unknown process")
    return lease


def _stays(file: ConditionalFile, seen: bytes, pace: LeaseTiming, clock: Clock) -> bool:
    """Wait as long as an owner that lives would need to renew its lock; false where it is gone.

    Raises:
        HeldError: it is renewed.
    """
    end_s = clock() + pace.expire_s
    while clock() < end_s:
        time.sleep(min(1.0, pace.renew_s))
        _, content = file.look()
        if content is None:
            return False
        if content != seen:
            raise HeldError(str(LockContent.parse(content) or "another process"))
    return True
