"""Running independent units of work on threads of this process."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from threading import Event
from typing import Generic, TypeVar

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Resource = TypeVar("Resource")


class StoppedError(Exception):
    """Ends a unit of work because another one failed or the user interrupted."""


class Workers:
    """A pool of threads; a single worker works in the calling thread."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._stop = Event()

    def check(self) -> None:
        """Raise ``StoppedError`` in a unit of work that has become pointless."""
        if self._stop.is_set():
            raise StoppedError

    def checked(self, advance: Callable[[int], None]) -> Callable[[int], None]:
        """Make units of work that tell their progress also ``check`` each time they do."""

        def check_and_advance(count: int) -> None:
            self.check()
            advance(count)

        return check_and_advance

    def map(self, work: Callable[[Unit], Result], units: Iterable[Unit]) -> Iterator[Result]:
        """Yield the result of each unit, in any order; the first failure stops all."""
        if self._count == 1:
            yield from map(work, units)
            return
        with ThreadPoolExecutor(self._count) as pool:
            futures = [pool.submit(work, unit) for unit in units]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise


class Pool(Generic[Resource]):
    """Resources that workers use one after another, made when they are first needed."""

    def __init__(self, make: Callable[[], Resource]) -> None:
        self._make = make
        self._free: SimpleQueue[Resource] = SimpleQueue()

    @contextmanager
    def borrow(self) -> Iterator[Resource]:
        """Lend a resource; one that a failure leaves in an unknown state is not lent again."""
        try:
            resource = self._free.get_nowait()
        except Empty:
            resource = self._make()
        yield resource
        self._free.put(resource)
