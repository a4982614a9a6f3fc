"""Connects to a Dask cluster, or starts a local one, and runs passes on its workers."""

import logging
import pickle
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from a20_parquet._version import __version__
from a20_parquet.errors import ClusterError, UsageError
from a20_parquet.execution.fencing import FencingToken
from a20_parquet.execution.protocols import Initializer, Result, Unit
from a20_parquet.formatting import format_count
from a20_parquet.progress import Progress
from a20_parquet.resources import default_budget
from a20_parquet.startup import hide_pandas
from a20_parquet.tfrecord.shard import Shard

try:
    import distributed
except ImportError as error:
    raise UsageError("--dask needs Dask: pip install 'a20-parquet[dask]'") from error

from a20_parquet.execution.dask_pass import RESUME, cluster_errors, first_line, run_pass
from a20_parquet.execution.dask_worker import (
    Outcome,
    WorkerInfo,
    WorkerState,
    access_error,
    find_inaccessible,
    worker_info,
)

LOCAL = re.compile(r"local:([1-9]\d{0,3})")
"""Value of ``--dask`` for a cluster of so many processes on this machine."""

_CONNECT_S = 10
_FIRST_WORKER_S = 30
_NO_WORKER_S = 600


@contextmanager
def connect_cluster(where: str, progress: Progress) -> Iterator["DaskExecutor"]:
    """Connect to a cluster, or start a local one that ends with the body; see ``open_executor``.

    Raises:
        ClusterError: no scheduler or worker answers, or one has another version of this package.
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
        cluster = DaskExecutor(client, progress, shares_machine=local is not None)
        try:
            yield cluster
        finally:
            cluster.close()


@contextmanager
def _start_local(count: int) -> Iterator[Any]:
    """Start worker processes, which die with this one; lend a client."""
    cluster = distributed.LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=True,
        # Any free port: the default one is taken by another cluster on the same machine.
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        host="127.0.0.1",
        # --memory bounds their memory.
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )
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


class DaskExecutor:
    """The workers of a cluster; implements ``Executor``.

    Attributes:
        progress: receives the progress of passes, and messages about workers that join or leave.
        retries: number of requests to stores that were repeated in units that are done.
    """

    is_local = False

    def __init__(self, client: Any, progress: Progress, *, shares_machine: bool) -> None:
        """Check the workers, which may all run on this machine.

        Raises:
            ClusterError: a worker lacks this package, or has another version of it.
        """
        self.retries = 0
        self._client = client
        self.progress = progress
        self._shares_machine = shares_machine
        self._token: FencingToken | None = None
        self._workers: dict[str, int] = dict(client.nthreads())
        self._seen_s = time.monotonic()
        self._infos = self._check_versions()

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
        limits = [info.memory for info in self._infos if info.memory]
        return min([default_budget(), *(limit // 4 for limit in limits)])

    def check_access(self, token: FencingToken, shards: Iterable[Shard]) -> None:
        """See ``Executor.check_access``."""
        self._token = token
        token.begin()
        some = pickle.dumps(tuple(shards))
        for worker, found in self._run(find_inaccessible, token, some).items():
            if not isinstance(found, Outcome):
                raise access_error(worker, str(found))
            self.retries += found.retries
            if found.result is not None:
                raise access_error(worker, found.result)

    def map(
        self, initializer: Initializer[Unit, Result], units: Iterable[Unit], *, threads: int
    ) -> Iterator[Result]:
        """See ``Executor.map``."""
        if self._token is None:
            raise ValueError("call check_access first")
        name = f"a20-parquet-{secrets.token_hex(8)}"
        state = WorkerState(pickle.dumps(initializer), threads, self._token, name)
        for outcome in run_pass(self._client, state, units, self.progress, self._count_threads):
            self.retries += outcome.retries
            yield outcome.result

    def close(self) -> None:
        """Remove the fencing token."""
        if self._token is not None:
            self._token.end()

    def _check_versions(self) -> list[WorkerInfo]:
        found: dict[str, WorkerInfo] = self._run(worker_info)
        for worker, info in found.items():
            if not isinstance(info, WorkerInfo):
                raise ClusterError(
                    f"worker {worker} has no a20-parquet {__version__} ({first_line(info)}). "
                    "Install the same version in every worker's environment."
                )
            if info.version != __version__:
                raise ClusterError(
                    f"worker {worker} has a20-parquet {info.version}, this is {__version__}. "
                    "Install the same version in every worker's environment."
                )
        return list(found.values())

    def _run(self, function: Any, *arguments: Any) -> dict[str, Any]:
        """Run a function in every worker; an exception is returned as the worker's result."""
        results: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
        return results

    def _count_threads(self) -> int:
        """Report workers that have joined or left, and count the threads of all workers.

        Raises:
            ClusterError: there was no worker for too long, or no scheduler answers.
        """
        now_s = time.monotonic()
        with cluster_errors():
            workers: dict[str, int] = dict(self._client.nthreads())
        if workers:
            self._seen_s = now_s
        elif now_s - self._seen_s > _NO_WORKER_S:
            raise ClusterError(
                f"no worker is left, and none has joined for {_NO_WORKER_S} s. {RESUME}"
            )
        before, self._workers = self._workers, workers
        left = format_count(len(workers), "worker")
        for worker in before.keys() - workers.keys():
            self.progress.say(f"worker {worker} is gone; others repeat its work ({left} left)")
        for worker in workers.keys() - before.keys():
            self.progress.say(f"worker {worker} has joined ({left})")
        return sum(workers.values())


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from logging failures that this package raises as errors."""
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
