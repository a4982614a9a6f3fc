"""What a worker process of a Dask cluster does: units of a pass, each in one attempt.

The workers import whatever this file imports, so nothing here needs a client.
"""

import pickle
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Any

from distributed import Worker, WorkerPlugin, get_worker

from a20_parquet._version import __version__
from a20_parquet.errors import ClusterError, SourceError
from a20_parquet.execution.fencing import FencingToken
from a20_parquet.execution.protocols import Initializer, StoppedError, TaskContext
from a20_parquet.storage.files import NewFile
from a20_parquet.storage.path import AnyPath
from a20_parquet.storage.retries import counted_retries
from a20_parquet.tfrecord.compression import open_content

if TYPE_CHECKING:
    from a20_parquet.tfrecord.shard import Shard

_REPORT_S = 0.5
_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a function that a worker ran."""

    result: Any
    advanced: int
    """Bytes of the pass that it has reported in all."""
    retries: int
    """How many requests to stores it has repeated."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What the client must know of a worker process."""

    version: str
    """Of this package."""
    memory: int
    """Bytes it may use, as its cluster says; 0 if the cluster sets no limit."""


def worker_info(dask_worker: Worker) -> WorkerInfo:
    """Describe this worker; Dask fills in an argument of this name."""
    return WorkerInfo(__version__, int(dask_worker.memory_manager.memory_limit or 0))


def find_inaccessible(token: FencingToken, shards: bytes) -> Outcome:
    """Look for something of a conversion that this process cannot access.

    Args:
        token: of this run of the conversion.
        shards: some of its sources, pickled: they may need what is not installed here.

    Returns:
        What it is, as a text, or None.
    """
    with counted_retries() as retries:
        found = _find_inaccessible(token, shards)
    return Outcome(found, 0, retries.count)


def _find_inaccessible(token: FencingToken, shards: bytes) -> str | None:
    missing = token.find_missing()
    if missing is not None:
        return f"{missing} is not what it is where convert runs"
    some: tuple[Shard, ...] = pickle.loads(shards)  # noqa: S301 - the client's own
    try:
        for shard in some:
            with open_content(shard):
                pass
    except SourceError as error:
        return error.console_text
    return None


class WorkerState(WorkerPlugin):
    """What a worker process keeps for all units of a pass, until the plugin is removed.

    Dask gives it to workers that join later, too.
    """

    def __init__(self, initializer: bytes, threads: int, token: FencingToken, name: str) -> None:
        """Describe a pass; nothing is opened yet.

        Args:
            initializer: pickled, as the workers' event loop must not wait until it is read.
            threads: how many of a worker may do units at once.
            token: of this run of the conversion.
            name: the plugin's, and the topic of its progress.
        """
        self.name = name
        self._initializer = initializer
        self._threads = threads
        self._token = token

    def setup(self, worker: Worker) -> None:
        """Be attached to a worker."""
        self._worker = worker
        self._turns = Semaphore(self._threads)
        self._lock = Lock()
        self._function: Callable[[Any, TaskContext], Any] | None = None

    def run(self, number: int, unit: bytes) -> Outcome:
        """Do one unit.

        Args:
            number: of the unit.
            unit: pickled.

        Raises:
            StoppedError: the unit is no longer wanted.
            ClusterError: this worker cannot access what it needs.
        """
        with counted_retries() as retries, self._turns:
            function = self._open()
            context = _WorkerContext(self._worker, self._token, self.name, number)
            result = function(pickle.loads(unit), context)  # noqa: S301 - the client's own
        return Outcome(result, context.advanced, retries.count)

    def _open(self) -> Callable[[Any, TaskContext], Any]:
        with self._lock:
            if self._function is None:
                self._check_access()
                initializer: Initializer[Any, Any] = pickle.loads(self._initializer)  # noqa: S301 - likewise
                self._function = initializer()
            return self._function

    def _check_access(self) -> None:
        """Make sure that a worker which came later can access the conversion's folders as well."""
        token, address = self._token, self._worker.address
        missing = token.find_missing()
        if missing is None:
            return
        if token.is_current:
            raise access_error(address, f"{missing} is not what it is where convert runs")
        if not token.conversion.exists():
            raise access_error(address, f"{token.conversion} is not there")
        raise StoppedError


def run_unit(name: str, number: int, unit: bytes) -> Outcome:
    """Do one unit of the pass of that name, see ``WorkerState.run``."""
    state: Any = get_worker().plugins[name]
    outcome: Outcome = state.run(number, unit)
    return outcome


def access_error(worker: str, problem: str) -> ClusterError:
    """Make the error of a worker that cannot access what it needs."""
    return ClusterError(
        f"worker {worker}: {problem}. With --dask every worker must see the sources, the dataset "
        "and the --scratch folder at the same paths: name places that all machines share."
    )


class _WorkerContext:
    """One attempt at a unit; implements ``TaskContext``."""

    is_local = False

    def __init__(self, worker: Worker, token: FencingToken, topic: str, number: int) -> None:
        self.tag = f"-{secrets.token_hex(4)}"
        self.advanced = 0
        self._token = token
        self._topic = topic
        self._number = number
        self._worker = worker
        self._key = worker.get_current_task()
        self._reported_s = self._checked_s = time.monotonic()

    def advance(self, count_bytes: int) -> None:
        self._stop_if_cancelled()
        self.advanced += count_bytes
        now_s = time.monotonic()
        if now_s - self._reported_s >= _REPORT_S:
            self._reported_s = now_s
            self._worker.log_event(self._topic, [self._number, self.advanced])

    def check(self) -> None:
        self._stop_if_cancelled()
        self._checked_s = time.monotonic()
        if not self._token.is_current:
            raise StoppedError

    def create(self, place: AnyPath) -> AbstractContextManager[NewFile]:
        return self._token.create(place, self._check_seldom)

    def _check_seldom(self) -> None:
        # A unit may have thousands of small files.
        if time.monotonic() - self._checked_s >= _CHECK_S:
            self.check()

    def _stop_if_cancelled(self) -> None:
        state = self._worker.state.tasks.get(self._key)
        if state is None or state.state == "cancelled":
            raise StoppedError
