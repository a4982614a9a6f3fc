"""Units of work done by the workers of a Dask cluster, one that runs or one for this conversion."""

import logging
import pickle
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from a20_parquet._version import __version__
from a20_parquet.amounts import format_count
from a20_parquet.dataset.session import Session
from a20_parquet.errors import ClusterError, UsageError
from a20_parquet.progress import Progress
from a20_parquet.resources import default_budget
from a20_parquet.source.shard import Shard
from a20_parquet.startup import hide_pandas

try:
    import distributed
except ImportError as error:
    raise UsageError("--dask needs Dask: pip install 'a20-parquet[dask]'") from error

from a20_parquet.cluster_pass import GO_ON, WATCH_S, ClusterPass, first_line, talking
from a20_parquet.cluster_worker import Outcome, Traits, find_unseen, traits, unseen_error

if TYPE_CHECKING:
    from a20_parquet.executor import Task

Unit = TypeVar("Unit")
Result = TypeVar("Result")

LOCAL = re.compile(r"local:([1-9]\d{0,3})")
"""Names a cluster of so many processes on this machine."""

_CONNECT_S = 10
_FIRST_WORKER_S = 30
_NO_WORKER_S = 600


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
            f"--dask {address}: no scheduler answers there: {first_line(error)}. Name a running "
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
        for worker, found in self._run(find_unseen, session, some).items():
            if not isinstance(found, Outcome):
                raise unseen_error(worker, str(found))
            self.retries += found.retries
            if found.result is not None:
                raise unseen_error(worker, found.result)

    def map(self, task: "Task[Unit, Result]", units: Iterable[Unit]) -> Iterator[Result]:
        """See ``Executor.map``."""
        if self._session is None:
            raise ValueError("the session has not begun")
        rest = ((number, pickle.dumps(unit)) for number, unit in enumerate(units))
        under_way = ClusterPass(self._client, pickle.dumps(task), self._session, self.progress)
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
                    f"worker {worker} has no a20-parquet {__version__} ({first_line(its)}). "
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
        if now_s - self._watched_s < WATCH_S:
            return False
        self._watched_s = now_s
        with talking():
            workers: dict[str, int] = dict(self._client.nthreads())
        if workers:
            self._seen_s = now_s
        elif now_s - self._seen_s > _NO_WORKER_S:
            raise ClusterError(
                f"no worker is left, and none has come for {_NO_WORKER_S} s. {GO_ON}"
            )
        before, self._workers = self._workers, workers
        left = format_count(len(workers), "worker")
        for worker in before.keys() - workers.keys():
            self.progress.say(f"worker {worker} is gone; others do its work again ({left} left)")
        for worker in workers.keys() - before.keys():
            self.progress.say(f"worker {worker} has joined ({left})")
        return before.keys() != workers.keys()


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
