"""Repeated requests are counted where they belong: to one conversion, whatever else runs."""

from collections.abc import Callable, Iterator
from threading import Barrier, Thread

import pytest

from a20_parquet.execution.threads import ThreadPool, map_in_order
from a20_parquet.storage import retries
from a20_parquet.storage.concurrent import map_at_once
from a20_parquet.storage.read_ahead import BlockStream, Prefetch
from a20_parquet.storage.retries import call, counted_retries


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait before a request is tried again."""
    monkeypatch.setattr(retries, "_FIRST_WAIT_S", 1e-4)


def request(failures: int) -> None:
    """Make a request that fails so often first."""
    left = iter(range(failures))

    def fail() -> None:
        if next(left, None) is not None:
            raise ConnectionResetError

    call(fail)


def read(_: int) -> None:
    """Read an object of four blocks ahead, each of whose requests fails once first."""

    def read_range(start: int, stop: int) -> bytes:
        request(1)
        return bytes(min(stop, 40) - start)

    with BlockStream("x", 40, read_range, Prefetch(block_bytes=10, blocks=2)) as stream:
        assert len(stream.read(40)) == 40


def _workers(count: int) -> None:
    list(ThreadPool(3).map(lambda _: request(1), range(count)))


def _in_order(count: int) -> None:
    list(map_in_order(3, lambda _: request(1), range(count), ahead=2))


def _at_once(count: int) -> None:
    map_at_once(lambda _: request(1), range(count), is_remote=True)


def _nested(count: int) -> None:
    list(ThreadPool(2).map(_at_once, [count // 2, count - count // 2]))


def _read_ahead(count: int) -> None:
    list(ThreadPool(2).map(read, range(count // 4)))


WAYS: list[Callable[[int], None]] = [request, _workers, _in_order, _at_once, _nested]


@pytest.mark.parametrize("way", WAYS)
def test_whatever_thread_repeats_it(way: Callable[[int], None]) -> None:
    """The count is right for each way in which work is given to threads."""
    with counted_retries() as counter:
        way(6)
    assert counter.count == 6
    way(3)
    assert counter.count == 6


def test_blocks_read_ahead() -> None:
    """So do the threads of a stream count, which outlive none of its blocks."""
    with counted_retries() as counter:
        _read_ahead(8)
    assert counter.count == 8


def test_two_at_once() -> None:
    """Neither counts what the other one repeats meanwhile."""
    counts: dict[int, int] = {}
    barrier = Barrier(2)

    def work(number: int) -> None:
        with counted_retries() as counter:
            for way in WAYS:
                barrier.wait()
                way(2 * number)
        counts[number] = counter.count

    threads = [Thread(target=work, args=[number]) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {1: 2 * len(WAYS), 2: 4 * len(WAYS)}


def test_what_is_given_up_counts() -> None:
    """An error that lasts is told with its own type, and what was tried before is counted."""

    def fail() -> Iterator[None]:
        raise ConnectionResetError

    with counted_retries() as counter, pytest.raises(ConnectionResetError):
        call(fail)
    assert counter.count == retries._MOST_TRIES - 1  # noqa: SLF001
