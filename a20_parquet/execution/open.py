"""Opens the executor of a conversion."""

from collections.abc import Iterator
from contextlib import contextmanager

from a20_parquet.execution.protocols import Executor
from a20_parquet.execution.threads import ThreadExecutor
from a20_parquet.progress import Progress


@contextmanager
def open_executor(dask: str | None, workers: int, progress: Progress) -> Iterator[Executor]:
    """Lend threads of this process, or the workers of a Dask cluster.

    Args:
        dask: the address of a scheduler, ``local:N`` for N processes on this machine, or None for
            threads.
        workers: number of threads.
        progress: receives the progress of passes, and messages about workers that join or leave.

    Raises:
        UsageError: Dask is not installed.
        ClusterError: no scheduler or worker answers.
    """
    if dask is None:
        yield ThreadExecutor(workers, progress)
        return
    from a20_parquet.execution.dask_cluster import connect_cluster

    with connect_cluster(dask, progress) as cluster:
        yield cluster
