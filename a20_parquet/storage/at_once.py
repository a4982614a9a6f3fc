"""Many requests to stores at the same time: each takes as long, however little it asks for."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")

AT_ONCE: Final = 16
"""How many requests one of several workers makes at a time."""
MOST_AT_ONCE: Final = 32
"""How many small requests are made where there are no workers yet."""


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
    with ThreadPoolExecutor(min(at_once, len(items)), "a20-parquet requests") as pool:
        return list(pool.map(work, items))
