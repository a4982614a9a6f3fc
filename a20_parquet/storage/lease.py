"""Who may write to a folder of a store: a lock that its owner keeps renewing.

No store tells that a process has died. The owner writes its lock anew every few seconds; one that
has not changed for several times as long belongs to nobody any more. No clock is compared with
another machine's.
"""

import platform
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from a20_parquet.storage.place import StorePath


class HeldError(Exception):
    """Somebody else holds the lock; its text says who."""


class _Lock(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    """Drawn at random by whoever took it."""
    machine: str
    process: int
    beat: int
    """How often it was renewed."""

    @classmethod
    def read(cls, place: StorePath) -> Self | None:
        """Read a lock; none where there is none that can be read."""
        try:
            return cls.model_validate_json(place.read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write(self, place: StorePath, *, mode: str = "overwrite") -> None:
        content = self.model_dump_json().encode()
        place.filesystem.pipe_file(place.path, content, mode=mode)

    @property
    def has_died(self) -> bool:
        """Whether its owner was a process of this machine that is gone."""
        return self.machine == _this_machine() and not psutil.pid_exists(self.process)

    def __str__(self) -> str:
        return f"process {self.process} on {self.machine.partition('/')[0]}"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often locks are renewed, and when they count for nothing."""

    renew_s: float = 15.0
    """Seconds from one renewal to the next."""
    expire_s: float = 90.0
    """Seconds without a renewal after which an owner is taken for dead."""


@contextmanager
def leased(
    place: StorePath, tell: Callable[[str], None], pace: Pace | None = None
) -> Iterator[None]:
    """Hold a lock while the body runs.

    Args:
        place: of the lock.
        tell: told why it takes long.
        pace: of renewals.

    Raises:
        HeldError: somebody else holds it, and lives.
        OSError: the store can't be written.
    """
    pace = pace or Pace()
    mine = _Lock(
        owner=secrets.token_hex(8), machine=_this_machine(), process=psutil.Process().pid, beat=0
    )
    _take(place, mine, tell, pace)
    ended = Event()
    renewing = Thread(
        target=_renew, args=(place, mine, pace, ended), name="a20-parquet lock", daemon=True
    )
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        # One that can't be deleted belongs to a process that has ended, and counts for nothing.
        with suppress(OSError):
            found = _Lock.read(place)
            if found is not None and found.owner == mine.owner:
                place.unlink(missing_ok=True)


def _take(place: StorePath, mine: _Lock, tell: Callable[[str], None], pace: Pace) -> None:
    found = _Lock.read(place)
    if found is None:
        # Where the store can refuse to replace a file, only one of two that come at once gets it.
        try:
            mine.write(place, mode="create")
        except FileExistsError:
            if _Lock.read(place) is None:  # what lies there is no lock
                mine.write(place)
    else:
        if not found.has_died:
            tell(f"{place} is held by {found}: waiting {pace.expire_s:.0f} s to see if it lives")
            _watch(place, found, pace)
        mine.write(place)
    if (holder := _Lock.read(place)) is None or holder.owner != mine.owner:
        raise HeldError(str(holder or "another process"))


def _watch(place: StorePath, found: _Lock, pace: Pace) -> None:
    """Wait as long as an owner that lives would need to renew its lock."""
    end = time.monotonic() + pace.expire_s
    while time.monotonic() < end:
        time.sleep(min(1.0, pace.renew_s))
        now = _Lock.read(place)
        if now is None:
            return
        if now != found:
            raise HeldError(str(now))


def _renew(place: StorePath, mine: _Lock, pace: Pace, ended: Event) -> None:
    beat = 0
    while not ended.wait(pace.renew_s):
        beat += 1
        # What can't be renewed now is renewed the next time.
        with suppress(OSError):
            mine.model_copy(update={"beat": beat}).write(place)


def _this_machine() -> str:
    return f"{platform.node()}/{int(psutil.boot_time())}"
