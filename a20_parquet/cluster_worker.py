"""What a worker process of a Dask cluster does: units of a pass, each in one attempt.

Whatever it imports is imported by the cluster's workers, so nothing here needs a client.
"""

import pickle
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Any

from distributed import get_worker

from a20_parquet._version import __version__
from a20_parquet.dataset.session import Session
from a20_parquet.errors import ClusterError, SourceError
from a20_parquet.source.content import open_content
from a20_parquet.storage.files import NewFile
from a20_parquet.storage.place import Place
from a20_parquet.storage.retries import counted_retries
from a20_parquet.workers import StoppedError

if TYPE_CHECKING:
    from a20_parquet.executor import Task
    from a20_parquet.source.shard import Shard

_TELL_S = 0.5
_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a unit of work."""

    result: Any
    advanced: int
    """Bytes of the pass that it told of in all."""
    retries: int
    """How many requests to stores it has repeated."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a worker process is like."""

    version: str
    """Of this package."""
    memory: int
    """Bytes it may use, as its cluster says; 0 where that says nothing."""


def traits(dask_worker: Any) -> Traits:
    """Say what this worker is like; the argument's name is what Dask fills in."""
    return Traits(__version__, int(dask_worker.memory_manager.memory_limit or 0))


def find_unseen(session: Session, shards: bytes) -> Outcome:
    """Look for what of a conversion this process cannot see.

    Args:
        session: of the conversion.
        shards: some of its sources, pickled: they may need what is not installed here.

    Returns:
        What it is, as a text, or None if it sees all.
    """
    with counted_retries() as retries:
        unseen = _find_unseen(session, shards)
    return Outcome(unseen, 0, retries.count)


def _find_unseen(session: Session, shards: bytes) -> str | None:
    unseen = session.unseen
    if unseen is not None:
        return f"{unseen} is not what it is where convert runs"
    some: tuple[Shard, ...] = pickle.loads(shards)  # noqa: S301 - the client's own
    try:
        for shard in some:
            with open_content(shard):
                pass
    except SourceError as error:
        return error.console_text
    return None


def is_busy(topic: str, dask_worker: Any) -> bool:
    """Whether this worker is still at a unit of a pass."""
    return any(str(key).startswith(topic) for key in dask_worker.state.tasks)


class Bench:
    """What a worker process keeps for all units of a pass; made anew in each process.

    A worker is sent it with the task pickled: what the task opens stays in the process and goes
    with it.
    """

    def __init__(self, task: bytes, session: Session, topic: str) -> None:
        """Take a task.

        Args:
            task: pickled, as the workers' event loop must not wait until it is read.
            session: of the conversion.
            topic: under which progress is told.
        """
        self._arguments = (task, session, topic)
        self._lock = Lock()
        self._opened: tuple[Callable[[Any, Any], Any], Semaphore] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave behind what was opened."""
        return type(self), self._arguments

    def do(self, number: int, unit: bytes) -> Outcome:
        """Do one unit.

        Args:
            number: of the unit.
            unit: pickled.

        Raises:
            StoppedError: nobody wants it any more.
            ClusterError: this worker does not see what it needs.
        """
        _, session, topic = self._arguments
        with counted_retries() as retries:
            work, turns = self._open()
            with turns:
                attempt = _Attempt(session, topic, number)
                result = work(pickle.loads(unit), attempt)  # noqa: S301 - the client's own
        return Outcome(result, attempt.advanced, retries.count)

    def _open(self) -> tuple[Callable[[Any, Any], Any], Semaphore]:
        with self._lock:
            if self._opened is None:
                pickled, session, _ = self._arguments
                _check_sight(session)
                task: Task[Any, Any] = pickle.loads(pickled)  # noqa: S301 - likewise
                self._opened = task.open(), Semaphore(task.threads)
            return self._opened


def do_unit(bench: Bench, number: int, unit: bytes) -> Outcome:
    """Do one unit of a pass, see ``Bench.do``."""
    return bench.do(number, unit)


def _check_sight(session: Session) -> None:
    """Make sure that a worker which came later sees the conversion's folders as well."""
    unseen = session.unseen
    if unseen is None:
        return
    if session.is_current:
        raise unseen_error(get_worker().address, f"{unseen} is not what it is where convert runs")
    if not session.conversion.exists():
        raise unseen_error(get_worker().address, f"{session.conversion} is not there")
    raise StoppedError


def unseen_error(worker: str, problem: str) -> ClusterError:
    """Say that a worker does not see what it needs."""
    return ClusterError(
        f"worker {worker}: {problem}. With --dask every worker must see the sources, the dataset "
        "and the --scratch folder at the same paths: name places that all machines share."
    )


class _Attempt:
    """One attempt at a unit; implements ``executor.Attempt``."""

    is_here = False

    def __init__(self, session: Session, topic: str, number: int) -> None:
        self.tag = f"-{secrets.token_hex(4)}"
        self.advanced = 0
        self._session = session
        self._topic = topic
        self._number = number
        self._worker = get_worker()
        self._key = self._worker.get_current_task()
        self._told_s = self._checked_s = time.monotonic()

    def advance(self, count_bytes: int) -> None:
        self._stop_if_cancelled()
        self.advanced += count_bytes
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_S:
            self._told_s = now_s
            self._worker.log_event(self._topic, [self._number, self.advanced])

    def check(self) -> None:
        self._stop_if_cancelled()
        self._checked_s = time.monotonic()
        if not self._session.is_current:
            raise StoppedError

    def create(self, place: Place) -> AbstractContextManager[NewFile]:
        return self._session.create(place, self._check_seldom)

    def _check_seldom(self) -> None:
        # A unit may have thousands of small files.
        if time.monotonic() - self._checked_s >= _CHECK_S:
            self.check()

    def _stop_if_cancelled(self) -> None:
        state = self._worker.state.tasks.get(self._key)
        if state is None or state.state == "cancelled":
            raise StoppedError
