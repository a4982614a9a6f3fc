"""Units of work done by the workers of a Dask cluster, one that runs or one for this conversion."""

import logging
import pickle
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

from a20_parquet import __version__
from a20_parquet.amounts import format_count
from a20_parquet.dataset.session import Session
from a20_parquet.errors import ClusterError, UsageError
from a20_parquet.memory import default_budget
from a20_parquet.progress import Progress
from a20_parquet.source.shard import Shard
from a20_parquet.startup import hide_pandas
from a20_parquet.workers import StoppedError

try:
    import distributed
    from distributed.scheduler import KilledWorker
except ImportError as error:
    raise UsageError("--dask needs Dask: pip install 'a20-parquet[dask]'") from error

from a20_parquet.cluster_worker import (
    Bench,
    Outcome,
    Traits,
    do_unit,
    find_unseen,
    is_busy,
    traits,
    unseen_error,
)

if TYPE_CHECKING:
    from a20_parquet.executor import Task

Unit = TypeVar("Unit")
Result = TypeVar("Result")

LOCAL = re.compile(r"local:([1-9]\d{0,3})")
"""Names a cluster of so many processes on this machine."""

_CONNECT_S = 10
_FIRST_WORKER_S = 30
_NO_WORKER_S = 600
_STOP_S = 10
_WATCH_S = 1.0
_MOST_LOST = 5
_FETCHERS = 8
_GO_ON = "The same command goes on where it stopped."


@contextmanager
def connect_cluster(where: str, progress: Progress) -> Iterator["Cluster"]:
    """Connect to a cluster, or start one that ends with the body.

    Args:
        where: the address of a scheduler, or ``local:N`` for so many processes on this machine.
        progress: told of workers that come and go.

    Raises:
        ClusterError: no scheduler or no worker answers, or one has another version of this package.
    """
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        local = LOCAL.fullmatch(where)
        if local:
            least = int(local[1])
            client = stack.enter_context(_start_local(least))
        else:
            least = 1
            client = stack.enter_context(_connect(where))
        try:
            client.wait_for_workers(least, timeout=_FIRST_WORKER_S * least)
        except TimeoutError:
            raise ClusterError(
                f"--dask {where}: the scheduler has no worker after {_FIRST_WORKER_S} s. Start "
                "some: dask worker ADDRESS."
            ) from None
        cluster = Cluster(client, progress, shares_machine=local is not None)
        try:
            yield cluster
        finally:
            cluster.close()


def _start_local(count: int) -> Any:
    """Start so many worker processes; they die with this one."""
    cluster = distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
        # --memory bounds what they take.
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
    return _owned(cluster)


@contextmanager
def _owned(cluster: Any) -> Iterator[Any]:
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        client.run(hide_pandas)
        yield client


def _connect(address: str) -> Any:
    try:
        return distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterError(
            f"--dask {address}: no scheduler answers there: {_first_line(error)}. Name a running "
            "one, such as tcp://127.0.0.1:8786, or local:N."
        ) from error


class Cluster:
    """The workers of a cluster; implements ``executor.Executor``.

    Attributes:
        progress: told how far it is, and of workers that come and go.
        retries: how many requests to stores were tried again for all units that are done.
    """

    is_here = False

    def __init__(self, client: Any, progress: Progress, *, shares_machine: bool) -> None:
        """Look at the workers that are there.

        Args:
            client: connected to the scheduler.
            progress: see above.
            shares_machine: whether all workers run on this machine.

        Raises:
            ClusterError: a worker lacks this package, or has another version of it.
        """
        self.retries = 0
        self._client = client
        self.progress = progress
        self._shares_machine = shares_machine
        self._session: Session | None = None
        self._workers: dict[str, int] = dict(client.nthreads())
        self._watched_s = self._seen_s = time.monotonic()
        self._traits = self._look()

    @property
    def threads(self) -> int:
        """See ``Executor.threads``."""
        return max(self._workers.values(), default=1)

    @property
    def slots(self) -> int:
        """See ``Executor.slots``."""
        return max(1, sum(self._workers.values()))

    @property
    def budget(self) -> int:
        """See ``Executor.budget``."""
        if self._shares_machine:
            return default_budget() // len(self._workers)
        limits = [each.memory for each in self._traits.values() if each.memory]
        return min([default_budget(), *(limit // 4 for limit in limits)])

    def admit(self, session: Session, shards: Iterable[Shard]) -> None:
        """See ``Executor.admit``."""
        self._session = session
        session.begin()
        some = pickle.dumps(tuple(shards))
        for worker, problem in self._run(find_unseen, session, some).items():
            if problem is not None:
                raise unseen_error(worker, str(problem))

    def map(self, task: "Task[Unit, Result]", units: Iterable[Unit]) -> Iterator[Result]:
        """See ``Executor.map``."""
        if self._session is None:
            raise ValueError("the session has not begun")
        rest = ((number, pickle.dumps(unit)) for number, unit in enumerate(units))
        under_way = _Pass(self._client, pickle.dumps(task), self._session, self.progress)
        try:
            while True:
                while (worker := under_way.find_free(self._workers)) is not None:
                    numbered = under_way.take_back() or next(rest, None)
                    if numbered is None:
                        break
                    under_way.send(worker, *numbered)
                if not under_way:
                    return
                outcome = under_way.wait()
                if outcome is not None:
                    self.retries += outcome.retries
                    yield outcome.result
                if self._watch():
                    under_way.give_up(self._workers)
        finally:
            under_way.end()

    def close(self) -> None:
        """Leave nothing behind."""
        if self._session is not None:
            self._session.end()

    def _look(self) -> dict[str, Traits]:
        found: dict[str, Traits] = self._run(traits)
        for worker, its in found.items():
            if not isinstance(its, Traits):
                raise ClusterError(
                    f"worker {worker} has no a20-parquet {__version__} ({_first_line(its)}). "
                    "Install the same version in every worker's environment."
                )
            if its.version != __version__:
                raise ClusterError(
                    f"worker {worker} has a20-parquet {its.version}, this is {__version__}. "
                    "Install the same version in every worker's environment."
                )
        return found

    def _run(self, function: Any, *arguments: Any) -> dict[str, Any]:
        """Run a function in every worker; exceptions are among the results."""
        results: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
        return results

    def _watch(self) -> bool:
        """Tell of workers that have come or gone; whether any has.

        Raises:
            ClusterError: none has been there for long.
        """
        now_s = time.monotonic()
        if now_s - self._watched_s < _WATCH_S:
            return False
        self._watched_s = now_s
        with _talking():
            workers: dict[str, int] = dict(self._client.nthreads())
        if workers:
            self._seen_s = now_s
        elif now_s - self._seen_s > _NO_WORKER_S:
            raise ClusterError(
                f"no worker is left, and none has come for {_NO_WORKER_S} s. {_GO_ON}"
            )
        before, self._workers = self._workers, workers
        left = format_count(len(workers), "worker")
        for worker in before.keys() - workers.keys():
            self.progress.say(f"worker {worker} is gone; others do its work again ({left} left)")
        for worker in workers.keys() - before.keys():
            self.progress.say(f"worker {worker} has joined ({left})")
        return before.keys() != workers.keys()


@dataclass(frozen=True, slots=True)
class _Sent:
    """A unit that was sent to a worker."""

    future: Any
    number: int
    unit: bytes
    worker: str


@dataclass(frozen=True, slots=True)
class _Answer:
    """What became of a unit that was sent."""

    key: str
    outcome: Outcome | BaseException
    is_of_cluster: bool
    """Whether an exception is the cluster's, not the unit's."""


class _Pass:
    """One pass under way: units that were sent to workers, and how far each of them is.

    Each worker is sent the task by itself, and each unit to one worker: Dask would have workers
    fetch the task from each other, also from one that has frozen, and send most units to those that
    have it.
    """

    def __init__(self, client: Any, task: bytes, session: Session, progress: Progress) -> None:
        self._client = client
        self._progress = progress
        self._topic = f"a20-parquet-{secrets.token_hex(8)}"
        self._task = task, session, self._topic
        self._benches: dict[str, Any] = {}
        self._sent: dict[str, _Sent] = {}
        self._back: list[tuple[int, bytes]] = []
        self._lost: Counter[int] = Counter()
        self._done: SimpleQueue[_Answer] = SimpleQueue()
        # One for each of as many workers as may freeze before their work is noticed to be done.
        self._fetchers = ThreadPoolExecutor(_FETCHERS, "a20-parquet results")
        self._keys = (f"{self._topic}-{number}" for number in count())
        self._told: dict[int, int] = {}
        self._lock = Lock()
        with _talking():
            client.subscribe_topic(self._topic, self._hear)

    def __len__(self) -> int:
        """Count the units that are not done."""
        return len(self._sent) + len(self._back)

    def find_free(self, workers: Mapping[str, int]) -> str | None:
        """Find the worker that needs a further unit most; none where all have enough.

        Args:
            workers: for each address its threads.
        """
        load = Counter(sent.worker for sent in self._sent.values())
        # A second one for each thread, so that none waits for the next.
        free = [worker for worker, threads in workers.items() if load[worker] < 2 * threads]
        return min(free, key=lambda worker: load[worker] / workers[worker], default=None)

    def send(self, worker: str, number: int, unit: bytes) -> None:
        """Send a unit to a worker."""
        with _talking():
            if worker not in self._benches:
                self._benches[worker] = self._submit(worker, Bench, *self._task)
            future = self._submit(worker, do_unit, self._benches[worker], number, unit)
        self._sent[future.key] = _Sent(future, number, unit, worker)
        future.add_done_callback(lambda future: self._fetchers.submit(self._fetch, future))

    def take_back(self) -> tuple[int, bytes] | None:
        """A unit that has to be sent again, if there is one."""
        return self._back.pop(0) if self._back else None

    def wait(self) -> Outcome | None:
        """Wait for what becomes of a unit; none where that takes a while, or it was lost.

        Raises:
            ClusterError: it was lost too often, or all is.
            Exception: whatever it failed with.
        """
        try:
            answer = self._done.get(timeout=_WATCH_S)
        except Empty:
            return None
        sent = self._sent.pop(answer.key, None)
        if sent is None:
            return None
        if isinstance(answer.outcome, Outcome):
            self._advance(sent.number, answer.outcome.advanced)
            return answer.outcome
        if answer.is_of_cluster:
            with _talking():
                raise answer.outcome
        # A worker that is on its way out stops by itself.
        if not isinstance(answer.outcome, (KilledWorker, StoppedError)):
            raise answer.outcome
        self._lose(sent)
        return None

    def give_up(self, workers: Mapping[str, int]) -> None:
        """Take back the units of workers that are gone.

        Args:
            workers: those that are there.

        Raises:
            ClusterError: a unit was lost too often.
        """
        gone = [sent for sent in self._sent.values() if sent.worker not in workers]
        for sent in gone:
            del self._sent[sent.future.key]
        for worker in self._benches.keys() - workers.keys():
            del self._benches[worker]
        with _talking():
            self._client.cancel([sent.future for sent in gone])
        for sent in gone:
            self._lose(sent)

    def _lose(self, sent: _Sent) -> None:
        self._lost[sent.number] += 1
        if self._lost[sent.number] == _MOST_LOST:
            raise ClusterError(
                f"{_MOST_LOST} workers were lost one after the other with the same piece of work, "
                f"{sent.worker} the last: their logs may say why. Was their memory too little, a "
                f"smaller --memory helps. {_GO_ON}"
            )
        self._back.append((sent.number, sent.unit))

    def _fetch(self, future: Any) -> None:
        """Fetch what became of a unit; takes until the worker is given up, if that has frozen."""
        failure = None
        try:
            failure = future.exception()
            outcome = future.result() if failure is None else failure
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            outcome = error
        self._done.put(_Answer(future.key, outcome, is_of_cluster=outcome is not failure))

    def _submit(self, worker: str, function: Any, *arguments: Any) -> Any:
        return self._client.submit(
            function, *arguments, key=next(self._keys), pure=False, workers=[worker]
        )

    def end(self) -> None:
        """Call off what is under way, and wait until workers have stopped."""
        futures = [sent.future for sent in self._sent.values()]
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        with suppress(Exception):
            self._client.unsubscribe_topic(self._topic)
            self._client.cancel([*futures, *self._benches.values()], force=True)
            deadline_s = time.monotonic() + _STOP_S
            while futures and time.monotonic() < deadline_s:
                busy = self._client.run(is_busy, self._topic, on_error="ignore")
                if not any(busy.values()):
                    break
                time.sleep(0.1)

    def _hear(self, event: Any) -> None:
        _, (number, advanced) = event
        self._advance(number, advanced)

    def _advance(self, number: int, advanced: int) -> None:
        """Tell of bytes of a unit that were not told of yet, also by an attempt that was lost."""
        with self._lock:
            more = advanced - self._told.get(number, 0)
            if more > 0:
                self._told[number] = advanced
                self._progress.advance(more)


@contextmanager
def _talking() -> Iterator[None]:
    """Say of a failure to talk to the cluster that it is that.

    Raises:
        ClusterError: the body has failed to.
    """
    try:
        yield
    except (OSError, CancelledError) as error:
        raise ClusterError(
            f"the Dask scheduler is gone, or has given the work up: {_first_line(error)}. {_GO_ON}"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).partition("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from logging what comes as an error of this package."""
    loggers = [
        logger
        for name, logger in logging.root.manager.loggerDict.items()
        if name.partition(".")[0] == "distributed" and isinstance(logger, logging.Logger)
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
