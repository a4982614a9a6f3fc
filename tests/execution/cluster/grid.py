"""Clusters that tests start, disturb and look at."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
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
            [sys.executable, "-m", "tests.execution.cluster.nursery"],
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


READING, WRITING = "reading shards", "writing Parquet"
_MARKERS = {READING: "sorted", WRITING: "units"}


class Recorder:
    """Adds up the progress of each pass, and does something at certain moments of it.

    Attributes:
        at: what is still to be done once so many units of a pass have their commit markers.
        said: all messages.
        totals: bytes of each pass.
        done: those that were told of.
    """

    def __init__(
        self,
        dataset: Path | None = None,
        at: dict[tuple[str, int], Callable[[], object]] | None = None,
    ) -> None:
        """Begin.

        Args:
            dataset: in which markers are looked for.
            at: see above.
        """
        self.at = at or {}
        self.said: list[str] = []
        self.totals: dict[str, int] = {}
        self.done: dict[str, int] = {}
        self._dataset = dataset
        self._now = ""

    def start(self, name: str, total_bytes: int) -> None:
        """Begin a pass."""
        self._now = name
        self.totals[name] = total_bytes
        self.done[name] = 0

    def advance(self, count_bytes: int) -> None:
        """Add to the pass that is under way."""
        self.done[self._now] += count_bytes
        for name, markers in list(self.at):
            if name == self._now and self._count_markers() >= markers:
                self.at.pop((name, markers))()

    def say(self, message: str) -> None:
        """Keep it."""
        self.said.append(message)

    def _count_markers(self) -> int:
        assert self._dataset is not None
        return len(list((self._dataset / "conversion" / _MARKERS[self._now]).glob("*.json")))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait as long as even a slow machine may need."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
