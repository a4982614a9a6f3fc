"""Runs independent units of work on threads of this process."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Event
from typing import Generic, TypeVar

from a20_parquet.execution.fencing import FencingToken
from a20_parquet.execution.protocols import Initializer, StoppedError
from a20_parquet.progress import Progress
from a20_parquet.resources import default_budget
from a20_parquet.storage.concurrent import ContextThreads
from a20_parquet.storage.files import NewFile, create_file
from a20_parquet.storage.path import AnyPath
from a20_parquet.tfrecord.shard import Shard

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Resource = TypeVar("Resource")


class ThreadPool:
    """A pool of threads; a single one is the calling thread."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._stop = Event()

    def check(self) -> None:
        """Raise ``StoppedError`` in a unit of work that is no longer wanted."""
        if self._stop.is_set():
            raise StoppedError

    def checked(self, advance: Callable[[int], None]) -> Callable[[int], None]:
        """Return a function that calls ``check`` and then ``advance``."""

        def check_and_advance(count: int) -> None:
            self.check()
            advance(count)

        return check_and_advance

    def map(self, work: Callable[[Unit], Result], units: Iterable[Unit]) -> Iterator[Result]:
        """Yield the result of each unit, in any order; the first failure stops all."""
        if self._count == 1:
            yield from map(work, units)
            return
        with ContextThreads(self._count) as pool:
            futures = [pool.submit(work, unit) for unit in units]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise


def map_in_order(
    count: int, work: Callable[[Unit], Result], units: Iterable[Unit], *, ahead: int
) -> Iterator[Result]:
    """Yield the result of each unit in order, while threads do up to ``ahead`` further ones.

    A single thread is the calling thread.
    """
    if count == 1:
        yield from map(work, units)
        return
    rest = iter(units)
    pool = ContextThreads(count)
    try:
        begun = deque(pool.submit(work, unit) for unit in islice(rest, 1 + ahead))
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(work, unit) for unit in islice(rest, 1))
            yield result
    finally:
        # Garbage collection may end an abandoned generator on a thread of the pool, which cannot
        # wait for itself.
        pool.shutdown(wait=False, cancel_futures=True)


class Pool(Generic[Resource]):
    """Reusable resources that threads borrow, made on demand."""

    def __init__(self, make: Callable[[], Resource]) -> None:
        self._make = make
        self._free: SimpleQueue[Resource] = SimpleQueue()

    @contextmanager
    def borrow(self) -> Iterator[Resource]:
        """Lend a resource; after a failure it is not lent again."""
        try:
            resource = self._free.get_nowait()
        except Empty:
            resource = self._make()
        yield resource
        self._free.put(resource)


@dataclass(frozen=True, slots=True)
class ThreadExecutor:
    """Threads of this process; implements ``Executor``."""

    threads: int
    progress: Progress
    is_local = True
    slots = 1
    retries = 0

    @property
    def budget(self) -> int:
        """See ``Executor.budget``."""
        return default_budget()

    def check_access(self, token: FencingToken, shards: Iterable[Shard]) -> None:
        """Do nothing: threads need no token, and access the same files as this process."""

    def map(
        self, initializer: Initializer[Unit, Result], units: Iterable[Unit], *, threads: int
    ) -> Iterator[Result]:
        """See ``Executor.map``."""
        pool = ThreadPool(threads)
        context = _LocalContext(pool, pool.checked(self.progress.advance))
        function = initializer()
        yield from pool.map(lambda unit: function(unit, context), units)


@dataclass(frozen=True, slots=True)
class _LocalContext:
    """Context of the only attempt at each unit; implements ``TaskContext``."""

    pool: ThreadPool
    advance: Callable[[int], None]
    tag = ""
    is_local = True

    def check(self) -> None:
        self.pool.check()

    def create(self, place: AnyPath) -> AbstractContextManager[NewFile]:
        return create_file(place)
