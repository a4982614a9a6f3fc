"""The message classes of records."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from a20_parquet.source import messages


def test_threads_that_begin_at_once_share_the_classes() -> None:
    """A message of one class is no field of another's, though both have its name."""
    for _ in range(20):
        messages._make_messages.cache_clear()  # noqa: SLF001 - as in a new process
        barrier = Barrier(8)

        def load(_: int, barrier: Barrier = barrier) -> messages.Messages:
            barrier.wait()
            return messages.load_messages()

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(load, range(8)))
        assert len({id(each) for each in found}) == 1
