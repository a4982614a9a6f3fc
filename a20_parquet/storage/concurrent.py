"""Sends requests to a store concurrently, since each waits for the network."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Final, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Item = TypeVar("Item")
Answer = TypeVar("Answer")

AT_ONCE: Final = 16
"""Concurrent requests of one of several workers."""
MOST_AT_ONCE: Final = 32
"""Concurrent small requests before there are workers."""


class ContextThreads(ThreadPoolExecutor):
    """A thread pool whose tasks run in the submitter's context, so that retries are counted."""

    def submit(
        self,
        fn: Callable[Arguments, Answer],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Answer]:
        """Call a function in a thread."""
        context = copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))


def map_at_once(
    work: Callable[[Item], Answer],
    items: Iterable[Item],
    *,
    is_remote: bool,
    at_once: int = AT_ONCE,
) -> list[Answer]:
    """Call a function for each item, and return the results in the order of the items.

    The threads end with the call. After a failure no further call starts.

    Args:
        work: the function; thread-safe if ``is_remote``.
        items: at least one request each.
        is_remote: whether ``work`` waits for stores; otherwise all calls use the calling thread.
        at_once: number of concurrent calls.

    Raises:
        BaseException: the first that ``work`` raised, in the order of the items.
    """
    items = list(items)
    if not is_remote or len(items) <= 1:
        return list(map(work, items))
    with ContextThreads(min(at_once, len(items)), "a20-parquet requests") as pool:
        return list(pool.map(work, items))
