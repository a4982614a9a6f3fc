"""Work on the windows that a query asks for, a few megabytes at a time, with progress."""

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
        work: what to do with a batch.
        name: of the pass, for the progress.
        progress: told of each batch that is done, in bytes of its files.
        workers: threads.
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

    def work_and_tell(batch: Batch) -> Result:
        result = work(batch)
        progress.advance(_size(batch))
        return result

    yield from map_in_order(workers, work_and_tell, batches, ahead=workers)


def _size(batch: Batch) -> int:
    return sum(part.bytes for part in batch)
