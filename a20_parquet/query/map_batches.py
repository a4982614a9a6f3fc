"""Processes the windows of a query a few megabytes at a time, with progress."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeVar

from a20_parquet.execution.threads import map_in_order
from a20_parquet.formatting import format_count
from a20_parquet.progress import Progress
from a20_parquet.query.file_slices import FileSlice
from a20_parquet.query.window_query import WindowQuery

_LOGGER = logging.getLogger(__name__)
Batch: TypeAlias = Sequence[FileSlice]
Result = TypeVar("Result")


def map_batches(
    source: WindowQuery,
    work: Callable[[Batch], Result],
    *,
    name: str,
    progress: Progress,
    workers: int,
) -> Iterator[Result]:
    """Yield the result of each batch of a query, in order.

    Args:
        source: the query.
        work: computes the result of a batch.
        name: of the pass, for the progress.
        progress: advanced after each batch by its bytes.
        workers: number of threads.
    """
    batches = list(source.batches())
    _LOGGER.info(
        "%s: %s of %s with %s",
        name,
        format_count(len(batches), "part"),
        format_count(len({part.path for batch in batches for part in batch}), "file"),
        format_count(workers, "worker"),
    )
    progress.start(name, sum(map(_size, batches)))

    def work_and_advance(batch: Batch) -> Result:
        result = work(batch)
        progress.advance(_size(batch))
        return result

    yield from map_in_order(workers, work_and_advance, batches, ahead=workers)


def _size(batch: Batch) -> int:
    return sum(part.bytes for part in batch)
