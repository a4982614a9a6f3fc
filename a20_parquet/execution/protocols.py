"""Protocols of executors and of the context that a task gets for one attempt at one unit."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias, TypeVar

from a20_parquet.execution.fencing import FencingToken
from a20_parquet.progress import Progress
from a20_parquet.storage.files import NewFile
from a20_parquet.storage.path import AnyPath
from a20_parquet.tfrecord.shard import Shard

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class StoppedError(Exception):
    """Ends a unit of work: another one failed, the user interrupted, or another run has begun."""


class TaskContext(Protocol):
    """Context passed to a task for one attempt at one unit."""

    @property
    def tag(self) -> str:
        """Part of the names of this attempt's files; empty if there is one attempt at a time."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether all units are done by the process that began the conversion, each once."""
        ...

    def advance(self, count_bytes: int) -> None:
        """Report that ``count_bytes`` more bytes of the pass are done.

        Raises:
            StoppedError: the unit is no longer wanted.
        """
        ...

    def check(self) -> None:
        """Check that the unit is still wanted, before its results are published.

        Raises:
            StoppedError: the unit is no longer wanted.
        """
        ...

    def create(self, place: AnyPath) -> AbstractContextManager[NewFile]:
        """Lend a new file, which gets its name when the body ends.

        Raises:
            StoppedError: the unit is no longer wanted.
            OSError: the file cannot be written.
        """
        ...


Initializer: TypeAlias = Callable[[], Callable[[Unit, TaskContext], Result]]
"""Called once in each process: makes the objects that all units share there, and returns the
function that does one unit. Must be picklable for a cluster."""


class Executor(Protocol):
    """Does the units of passes."""

    @property
    def progress(self) -> Progress:
        """Receives the progress of the passes."""
        ...

    @property
    def threads(self) -> int:
        """Threads that share the memory budget of one process."""
        ...

    @property
    def slots(self) -> int:
        """Least number of units that keeps all threads of all processes busy."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether this process does all units, so that their results can stay in its memory."""
        ...

    @property
    def budget(self) -> int:
        """Bytes for the buffers of one process without ``--memory``."""
        ...

    @property
    def retries(self) -> int:
        """Requests to stores that other processes have repeated, in units that are done."""
        ...

    def check_access(self, token: FencingToken, shards: Iterable[Shard]) -> None:
        """Begin the token, and check that every process can access the folders and some shards.

        Raises:
            ClusterError: a worker cannot access a folder or a shard.
            OSError: the token cannot be written.
        """
        ...

    def map(
        self, initializer: Initializer[Unit, Result], units: Iterable[Unit], *, threads: int
    ) -> Iterator[Result]:
        """Yield the result of each unit, in any order; the first failure stops all.

        In each process at most ``threads`` threads do units at the same time.

        Raises:
            ClusterError: the scheduler or too many workers were lost.
        """
        ...
