"""Does units of a pass in a worker process of a Dask cluster.

The workers import all that this file imports, so it must not need a client.
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
_DIFFERS = "is not the same here as where convert runs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a function that a worker ran."""

    result: Any
    advanced: int
    """Bytes of the pass that it has reported in total."""
    retries: int
    """Number of requests to stores that it has repeated."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker process, as the client needs it."""

    version: str
    """Version of this package."""
    memory: int
    """Bytes that its cluster allows it; 0 for no limit."""


def worker_info(dask_worker: Worker) -> WorkerInfo:
    """Describe this worker; Dask fills in an argument of this name."""
    return WorkerInfo(__version__, int(dask_worker.memory_manager.memory_limit or 0))


def find_inaccessible(token: FencingToken, shards: bytes) -> Outcome:
    """Find the first file or folder of a conversion that this process cannot access.

    Some of its shards are pickled: they may need packages that are not installed here.

    Returns:
        A message as the result, None if all are accessible.
    """
    problem = None
    with counted_retries() as retries:
        missing = token.find_missing()
        if missing is not None:
            problem = f"{missing} {_DIFFERS}"
        else:
            some: tuple[Shard, ...] = pickle.loads(shards)  # noqa: S301 - the client's own
            try:
                for shard in some:
                    with open_content(shard):
                        pass
            except SourceError as error:
                problem = error.console_text
    return Outcome(problem, 0, retries.count)


class WorkerState(WorkerPlugin):
    """State of a worker process during a pass; Dask also sends it to workers that join later."""

    def __init__(self, initializer: bytes, threads: int, token: FencingToken, name: str) -> None:
        """Open nothing yet.

        Args:
            initializer: see ``Executor.map``; pickled, because unpickling would block the workers'
                event loop.
            threads: threads of a worker that may do units at the same time.
            token: token of this run of the conversion.
            name: name of the plugin, and topic of its progress.
        """
        self.name = name
        self._initializer = initializer
        self._threads = threads
        self._token = token

    def setup(self, worker: Worker) -> None:
        """Initialize the state in a worker."""
        self._worker = worker
        self._turns = Semaphore(self._threads)
        self._lock = Lock()
        self._function: Callable[[Any, TaskContext], Any] | None = None

    def run(self, number: int, unit: bytes) -> Outcome:
        """Do one unit, which is pickled.

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
        """Check that this worker can access the folders; it may have joined late."""
        token, address = self._token, self._worker.address
        missing = token.find_missing()
        if missing is None:
            return
        if token.is_current:
            raise access_error(address, f"{missing} {_DIFFERS}")
        if not token.conversion.exists():
            raise access_error(address, f"{token.conversion} does not exist")
        raise StoppedError


def run_unit(name: str, number: int, unit: bytes) -> Outcome:
    """Do one unit of the named pass, see ``WorkerState.run``."""
    state: Any = get_worker().plugins[name]
    outcome: Outcome = state.run(number, unit)
    return outcome


def access_error(worker: str, problem: str) -> ClusterError:
    """Return the error of a worker that cannot access a file or folder."""
    return ClusterError(
        f"worker {worker}: {problem}. With --dask every worker must see the sources, the dataset "
        "and the --scratch folder at the same paths: name paths that all machines share."
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
