"""Clusters that tests start, disturb and look at."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any, Self

from distributed import Client


@dataclass(frozen=True, slots=True)
class Member:
    """A scheduler or a worker."""

    pid: int
    address: str

    def kill(self) -> None:
        """End it as a lost machine would."""
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Stop it, let it go on, or end it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


class Nursery:
    """Makes schedulers and workers, see ``nursery``."""

    def __init__(self) -> None:
        """Start the process that they are forked from."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Wait until it can."""
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        """End all that it has made."""
        self._process.kill()
        self._process.communicate()

    def make(self, *role: str) -> Member:
        """Make one member of a cluster."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(" ".join(role) + "\n")
        self._process.stdin.flush()
        return Member(**json.loads(self._process.stdout.readline()))


class Grid:
    """A cluster on loopback; a context manager that ends it."""

    def __init__(self, nursery: Nursery, workers: int = 3, threads: int = 1) -> None:
        """Start it.

        Args:
            nursery: makes its members.
            workers: processes.
            threads: of each.
        """
        self._nursery = nursery
        self._threads = threads
        self.scheduler = nursery.make("scheduler")
        self.workers: list[Member] = []
        for _ in range(workers):
            self.add_worker()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in (*self.workers, self.scheduler):
            member.kill()

    @property
    def address(self) -> str:
        """Of its scheduler."""
        return self.scheduler.address

    def give_up(self, worker: Member) -> None:
        """Have the scheduler take a worker for lost, as soon as it can."""

        async def remove(dask_scheduler: Any) -> None:
            await dask_scheduler.remove_worker(worker.address, stimulus_id="test")

        def ask() -> None:
            with Client(self.address, set_as_default=False) as client:
                client.run_on_scheduler(remove)

        # Who asks for it may be called by Dask, which must not wait for itself.
        Thread(target=ask).start()

    def add_worker(self) -> None:
        """One more."""
        worker = self._nursery.make("worker", self.address, str(self._threads))
        self.workers.append(worker)


@dataclass
class Recorder:
    """Adds up the progress of each pass, and does something at certain moments of it."""

    at: dict[tuple[str, int], Callable[[], None]] = field(default_factory=dict)
    """What to do once so many units of a pass of this name have told of progress."""
    said: list[str] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    _calls: dict[str, int] = field(default_factory=dict)
    _now: str = ""

    def start(self, name: str, total_bytes: int) -> None:
        """Begin a pass."""
        self._now = name
        self.totals[name] = total_bytes
        self.done[name] = 0

    def advance(self, count_bytes: int) -> None:
        """Add to the pass that is under way."""
        self.done[self._now] += count_bytes
        calls = self._calls[self._now] = self._calls.get(self._now, 0) + 1
        if act := self.at.pop((self._now, calls), None):
            act()

    def say(self, message: str) -> None:
        """Keep it."""
        self.said.append(message)
