"""Runs one pass on a Dask cluster, which repeats the units of lost workers."""

import logging
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Client, as_completed
from distributed.scheduler import KilledWorker

from a20_parquet.errors import ClusterError
from a20_parquet.execution.dask_worker import Outcome, WorkerState, run_unit
from a20_parquet.execution.protocols import StoppedError
from a20_parquet.progress import Progress

_LOGGER = logging.getLogger(__name__)

RESUME = "The same command goes on where it stopped."
"""Last sentence of messages about lost work."""

_WATCH_S = 1.0
_POLL_S = 0.02


def run_pass(
    client: Client,
    state: WorkerState,
    units: Iterable[Any],
    progress: Progress,
    count_threads: Callable[[], int],
) -> Iterator[Outcome]:
    """Yield the outcome of each unit, in any order.

    Dask chooses the worker of each unit, and repeats the units of a lost worker.

    Args:
        client: client of the scheduler.
        state: state of each worker during the pass.
        units: units of work; only as many are submitted as keep the workers busy.
        progress: receives the bytes that are done.
        count_threads: called every second; returns the threads of all workers.

    Raises:
        ClusterError: the scheduler was lost, or too many workers were lost with one unit.
        Exception: the error of a unit.
    """
    reports = _Reports(progress)
    numbered = enumerate(units)
    futures: dict[Any, int] = {}
    completed = as_completed(loop=client.loop, with_results=True, raise_errors=False)
    try:
        with cluster_errors():
            client.register_plugin(state)
            client.subscribe_topic(state.name, reports.receive)
        while True:
            # Two units per thread, so that no thread waits for the next one. Not all of them: the
            # scheduler would keep them in memory, 100 MB for some TB of shards.
            free = 2 * max(1, count_threads()) - len(futures)
            for number, unit in islice(numbered, max(free, 0)):
                arguments = (state.name, number, pickle.dumps(unit))
                key = f"{state.name}-{number}"
                with cluster_errors():
                    future = client.submit(run_unit, *arguments, key=key, pure=False)
                futures[future] = number
                completed.add(future)
            if not futures:
                return
            _wait(completed)
            reports.pass_on()
            for future, result in completed.next_batch(block=False):
                outcome = _unwrap(result)
                number = futures.pop(future)
                _LOGGER.debug("unit %s is done; %s under way", number, len(futures))
                reports.advance(number, outcome.advanced)
                yield outcome
    finally:
        with suppress(Exception):
            client.cancel(list(futures), force=True)
            client.unsubscribe_topic(state.name)
            client.unregister_worker_plugin(state.name)


def _wait(completed: as_completed) -> None:
    """Wait for the next result, but only so long that lost workers are noticed."""
    end_s = time.monotonic() + _WATCH_S
    while not completed.has_ready() and time.monotonic() < end_s:
        time.sleep(_POLL_S)


def _unwrap(result: Any) -> Outcome:
    """Return the outcome of a unit, or raise its error."""
    if isinstance(result, Outcome):
        return result
    if not isinstance(result, tuple):
        with cluster_errors():
            raise result
    error: BaseException = result[1]
    if isinstance(error, KilledWorker):
        raise ClusterError(
            f"{error.allowed_failures + 1} workers were lost one after the other with the same "
            f"piece of work, {error.last_worker.address} the last: their logs may say why. If "
            f"they ran out of memory, use a smaller --memory. {RESUME}"
        ) from error
    if isinstance(error, StoppedError):
        raise ClusterError(
            "another run of this conversion has begun, or its folder was deleted"
        ) from error
    raise error


class _Reports:
    """Adds up the bytes that attempts at units report, lost attempts included."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._reported: dict[int, int] = {}
        self._received: SimpleQueue[tuple[int, int]] = SimpleQueue()

    def receive(self, event: Any) -> None:
        """Store a report; called by a thread of Dask."""
        _, (number, advanced) = event
        self._received.put((number, advanced))

    def pass_on(self) -> None:
        """Pass on the received reports."""
        with suppress(Empty):
            while True:
                self.advance(*self._received.get_nowait())

    def advance(self, number: int, advanced: int) -> None:
        """Pass on the bytes of a unit that no earlier attempt has reported."""
        more = advanced - self._reported.get(number, 0)
        if more > 0:
            self._reported[number] = advanced
            self._progress.advance(more)


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Raise the body's connection errors as ``ClusterError``."""
    try:
        yield
    except (OSError, CancelledError) as error:
        raise ClusterError(
            f"the Dask scheduler is gone, or has cancelled the work: {first_line(error)}. {RESUME}"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message."""
    return (str(error) or type(error).__name__).partition("\n")[0]
