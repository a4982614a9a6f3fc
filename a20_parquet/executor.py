"""Where units of work are done: on threads of this process, or by a cluster's workers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from a20_parquet.dataset.session import Session
from a20_parquet.options import ConvertOptions
from a20_parquet.progress import Progress
from a20_parquet.resources import default_budget
from a20_parquet.source.shard import Shard
from a20_parquet.storage.files import NewFile, create_file
from a20_parquet.storage.place import Place
from a20_parquet.workers import Workers

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Unit_contra = TypeVar("Unit_contra", contravariant=True)
Result_co = TypeVar("Result_co", covariant=True)


class Attempt(Protocol):
    """One attempt at a unit of work, as what does the unit sees it."""

    @property
    def tag(self) -> str:
        """Part of the names of files that other attempts at the same unit must not touch.

        Empty where there is one attempt at a time.
        """
        ...

    @property
    def is_here(self) -> bool:
        """Whether all units are done in the process that began the conversion, each once."""
        ...

    def advance(self, count_bytes: int) -> None:
        """Say that so many further bytes of the pass are done.

        Raises:
            StoppedError: nobody wants the unit any more.
        """
        ...

    def check(self) -> None:
        """Make sure that what the unit has made is still wanted, before it is published.

        Raises:
            StoppedError: nobody wants it any more.
        """
        ...

    def create(self, place: Place) -> AbstractContextManager[NewFile]:
        """Lend a new file, which is whole under its name when the body ends.

        Raises:
            StoppedError: nobody wants it any more.
            OSError: it can't be written.
        """
        ...


class Task(Protocol[Unit_contra, Result_co]):
    """What a pass does with each of its units; picklable where a cluster does them."""

    @property
    def threads(self) -> int:
        """How many threads of one process may do units at once."""
        ...

    def open(self) -> Callable[[Unit_contra, Attempt], Result_co]:
        """Make in this process what all units share, and return what does one of them."""
        ...


class Executor(Protocol):
    """Does the units of passes."""

    @property
    def progress(self) -> Progress:
        """Told how far it is."""
        ...

    @property
    def threads(self) -> int:
        """How many threads share the memory budget of one process."""
        ...

    @property
    def slots(self) -> int:
        """How many units should be there at least, for all threads of all processes."""
        ...

    @property
    def is_here(self) -> bool:
        """Whether this process does all units, so that what they make can stay in its memory."""
        ...

    @property
    def budget(self) -> int:
        """Bytes for the buffers of one process, where the user names no other number."""
        ...

    @property
    def retries(self) -> int:
        """How many requests to stores other processes have repeated for units that are done."""
        ...

    def admit(self, session: Session, shards: Iterable[Shard]) -> None:
        """Let units be done from now on, once all who do them see what they need.

        Args:
            session: of the conversion.
            shards: some of its sources.

        Raises:
            ClusterError: a worker does not see them.
            OSError: the session can't be written down.
        """
        ...

    def map(self, task: Task[Unit, Result], units: Iterable[Unit]) -> Iterator[Result]:
        """Yield the result of each unit, in any order; the first failure stops all.

        Raises:
            ClusterError: workers or scheduler were lost for good.
        """
        ...


@contextmanager
def open_executor(options: ConvertOptions, progress: Progress) -> Iterator[Executor]:
    """Choose what does the units of a conversion.

    Args:
        options: of the conversion.
        progress: told how far it is, and of workers that come and go.

    Raises:
        UsageError: Dask is not installed.
        ClusterError: no scheduler or no worker answers.
    """
    if options.dask is None:
        yield Threads(options.workers, progress)
        return
    from a20_parquet.cluster import connect_cluster

    with connect_cluster(options.dask, progress) as cluster:
        yield cluster


@dataclass(frozen=True, slots=True)
class Threads:
    """Threads of this process; implements ``Executor``."""

    threads: int
    progress: Progress
    is_here = True
    slots = 1
    retries = 0

    @property
    def budget(self) -> int:
        """See ``Executor.budget``."""
        return default_budget()

    def admit(self, session: Session, shards: Iterable[Shard]) -> None:
        """Threads see what this process sees."""

    def map(self, task: Task[Unit, Result], units: Iterable[Unit]) -> Iterator[Result]:
        """See ``Executor.map``."""
        workers = Workers(task.threads)
        attempt = _AttemptHere(workers, workers.checked(self.progress.advance))
        work = task.open()
        yield from workers.map(lambda unit: work(unit, attempt), units)


@dataclass(frozen=True, slots=True)
class _AttemptHere:
    """The only attempt that there is; implements ``Attempt``."""

    workers: Workers
    advance: Callable[[int], None]
    tag = ""
    is_here = True

    def check(self) -> None:
        self.workers.check()

    def create(self, place: Place) -> AbstractContextManager[NewFile]:
        return create_file(place)
