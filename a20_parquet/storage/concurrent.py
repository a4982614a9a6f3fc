"""Many requests to stores at the same time: each takes as long, however little it asks for."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Final, ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Item = TypeVar("Item")
Answer = TypeVar("Answer")

AT_ONCE: Final = 16
"""How many requests one of several workers makes at a time."""
MOST_AT_ONCE: Final = 32
"""How many small requests are made where there are no workers yet."""


class ContextThreads(ThreadPoolExecutor):
    """Threads that work in the context of whoever gives them work: it counts as theirs."""

    def submit(
        self,
        fn: Callable[Arguments, Answer],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Answer]:
        """Have a thread call a function."""
        context = copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))


def map_at_once(
    work: Callable[[Item], Answer],
    items: Iterable[Item],
    *,
    is_remote: bool,
    at_once: int = AT_ONCE,
) -> list[Answer]:
    """Do something with each of some items, and list the results in their order.

    The threads end with the call. After a failure nothing further is begun.

    Args:
        work: what to do; where it waits for stores, safe to be called by several threads.
        items: at least one request each.
        is_remote: whether that waits for stores: all is done in the calling thread otherwise.
        at_once: with how many items at a time.

    Raises:
        BaseException: the first that ``work`` raised, in the order of the items.
    """
    items = list(items)
    if not is_remote or len(items) <= 1:
        return list(map(work, items))
    with ContextThreads(min(at_once, len(items)), "a20-parquet requests") as pool:
        return list(pool.map(work, items))
