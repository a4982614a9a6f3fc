"""Protocols: what does units of work, and what a unit is given for one attempt."""

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
        """Part of the names of files that other attempts at the same unit must not touch.

        Empty if there is one attempt at a time.
        """
        ...

    @property
    def is_local(self) -> bool:
        """Whether all units are done in the process that began the conversion, each once."""
        ...

    def advance(self, count_bytes: int) -> None:
        """Report that so many further bytes of the pass are done.

        Raises:
            StoppedError: the unit is no longer wanted.
        """
        ...

    def check(self) -> None:
        """Make sure that the unit is still wanted, before its results are published.

        Raises:
            StoppedError: the unit is no longer wanted.
        """
        ...

    def create(self, place: AnyPath) -> AbstractContextManager[NewFile]:
        """Lend a new file; it gets its name, whole, when the body ends.

        Raises:
            StoppedError: the unit is no longer wanted.
            OSError: the file cannot be written.
        """
        ...


Initializer: TypeAlias = Callable[[], Callable[[Unit, TaskContext], Result]]
"""Called once in each process: makes what all units share there, and returns the function that does
one unit. Picklable, if a cluster is to call it."""


class Executor(Protocol):
    """Does the units of passes."""

    @property
    def progress(self) -> Progress:
        """Where the passes report their progress."""
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
    def is_local(self) -> bool:
        """Whether this process does all units, so that their results can stay in its memory."""
        ...

    @property
    def budget(self) -> int:
        """Bytes for the buffers of one process, if the user sets no ``--memory``."""
        ...

    @property
    def retries(self) -> int:
        """How many requests to stores other processes have repeated, in units that are done."""
        ...

    def check_access(self, token: FencingToken, shards: Iterable[Shard]) -> None:
        """Begin the token, and make sure that every process can access what it needs.

        Args:
            token: of this run of the conversion.
            shards: some of its sources.

        Raises:
            ClusterError: a worker cannot access a folder or a shard.
            OSError: the token cannot be written.
        """
        ...

    def map(
        self, initializer: Initializer[Unit, Result], units: Iterable[Unit], *, threads: int
    ) -> Iterator[Result]:
        """Yield the result of each unit, in any order; the first failure stops all.

        Args:
            initializer: called once in each process, see ``Initializer``.
            units: of work.
            threads: how many of one process may do units at once.

        Raises:
            ClusterError: the scheduler or too many workers were lost.
        """
        ...
