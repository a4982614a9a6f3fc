"""One pass under way on a cluster: which worker has which unit, and what came of it."""

import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

from distributed.scheduler import KilledWorker

from a20_parquet.cluster_worker import Bench, Outcome, do_unit, is_busy
from a20_parquet.dataset.session import Session
from a20_parquet.errors import ClusterError
from a20_parquet.progress import Progress
from a20_parquet.workers import StoppedError

GO_ON = "The same command goes on where it stopped."
"""Ends each message about work that was lost."""

WATCH_S = 1.0
"""How long to wait at the most until the next look at the workers."""

_STOP_S = 10
_MOST_LOST = 5
_FETCHERS = 8


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


class ClusterPass:
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
        with talking():
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
        with talking():
            if worker not in self._benches:
                self._benches[worker] = self._submit(worker, Bench, *self._task)
            future = self._submit(worker, do_unit, self._benches[worker], number, unit)
        self._sent[future.key] = _Sent(future, number, unit, worker)
        future.add_done_callback(self._fetch_soon)

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
            answer = self._done.get(timeout=WATCH_S)
        except Empty:
            return None
        sent = self._sent.pop(answer.key, None)
        if sent is None:
            return None
        if isinstance(answer.outcome, Outcome):
            self._advance(sent.number, answer.outcome.advanced)
            return answer.outcome
        if answer.is_of_cluster:
            with talking():
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
        with talking():
            self._client.cancel([sent.future for sent in gone])
        for sent in gone:
            self._lose(sent)

    def _lose(self, sent: _Sent) -> None:
        self._lost[sent.number] += 1
        if self._lost[sent.number] == _MOST_LOST:
            raise ClusterError(
                f"{_MOST_LOST} workers were lost one after the other with the same piece of work, "
                f"{sent.worker} the last: their logs may say why. Was their memory too little, a "
                f"smaller --memory helps. {GO_ON}"
            )
        self._back.append((sent.number, sent.unit))

    def _fetch_soon(self, future: Any) -> None:
        # Nobody waits for it any more once the pass has ended.
        with suppress(RuntimeError):
            self._fetchers.submit(self._fetch, future)

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
def talking() -> Iterator[None]:
    """Say of a failure to talk to the cluster that it is that.

    Raises:
        ClusterError: the body has failed to.
    """
    try:
        yield
    except (OSError, CancelledError) as error:
        raise ClusterError(
            f"the Dask scheduler is gone, or has given the work up: {first_line(error)}. {GO_ON}"
        ) from error


def first_line(error: BaseException) -> str:
    """What an error says, without what follows in further lines."""
    return (str(error) or type(error).__name__).partition("\n")[0]
