"""Units of work on threads."""

import threading
from collections.abc import Iterator

import pytest

from a20_parquet.execution.protocols import StoppedError
from a20_parquet.execution.threads import Pool, ThreadPool


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("units", [0, 1, 20])
def test_results(count: int, units: int) -> None:
    """Each unit's result comes once."""
    results = ThreadPool(count).map(lambda unit: unit * unit, range(units))
    assert sorted(results) == [unit * unit for unit in range(units)]


def test_one_worker_works_in_the_calling_thread() -> None:
    """A single worker needs no thread and does one unit after another, when it is asked to."""
    done = []

    def work(unit: int) -> threading.Thread:
        done.append(unit)
        return threading.current_thread()

    results = ThreadPool(1).map(work, range(3))
    assert done == []
    assert next(results) is threading.current_thread()
    assert done == [0]
    assert set(results) == {threading.current_thread()}
    assert done == [0, 1, 2]


def test_several_workers_work_at_once() -> None:
    """As many units as there are workers run side by side, in other threads."""
    meeting = threading.Barrier(3)

    def work(_: int) -> threading.Thread:
        meeting.wait(timeout=60)
        return threading.current_thread()

    threads = set(ThreadPool(3).map(work, range(3)))
    assert len(threads) == 3
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_failure_surfaces(count: int) -> None:
    """A unit's exception reaches the caller as it is."""

    def work(unit: int) -> int:
        if unit == 3:
            raise KeyError(unit)
        return unit

    with pytest.raises(KeyError, match="3"):
        list(ThreadPool(count).map(work, range(10)))


def test_the_first_failure_stops_others() -> None:
    """Units that run are told to stop, those that wait never start, and all threads end."""
    workers = ThreadPool(2)
    running = threading.Event()
    started = []
    stopped = []

    def work(unit: int) -> None:
        started.append(unit)
        if unit == 0:
            running.wait(timeout=60)
            raise ZeroDivisionError
        running.set()
        while True:
            try:
                workers.check()
            except StoppedError:
                stopped.append(unit)
                raise

    before = set(threading.enumerate())
    with pytest.raises(ZeroDivisionError):
        list(workers.map(work, range(50)))
    assert not set(threading.enumerate()) - before
    # The failed unit's thread may have taken one more before the others were called off.
    assert set(stopped) == set(started) - {0}
    assert len(started) <= 3


def test_who_stops_reading_stops_the_work() -> None:
    """Closing the results stops the units that are still running."""
    workers = ThreadPool(2)

    def work(unit: int) -> int:
        while unit:
            workers.check()
        return unit

    results = workers.map(work, range(2))
    assert isinstance(results, Iterator)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    with pytest.raises(StoppedError):
        workers.check()


def test_check_lets_work_go_on() -> None:
    """Without a failure nothing is stopped."""
    workers = ThreadPool(2)
    assert list(workers.map(lambda _: workers.check(), range(3))) == [None] * 3
    workers.check()


def test_pool_lends_again() -> None:
    """A resource that was given back is lent again; two at once are two."""
    made: list[list[int]] = []

    def make() -> list[int]:
        made.append([len(made)])
        return made[-1]

    pool = Pool(make)
    assert made == []
    with pool.borrow() as first, pool.borrow() as second:
        assert first is not second
    with pool.borrow() as third:
        assert any(third is resource for resource in (first, second))
    assert len(made) == 2


def test_pool_does_not_lend_what_a_failure_left() -> None:
    """A resource whose user failed is not lent again."""
    pool: Pool[object] = Pool(object)
    with pytest.raises(ZeroDivisionError), pool.borrow() as first:
        raise ZeroDivisionError
    with pool.borrow() as second:
        assert second is not first


def test_pool_that_can_not_make() -> None:
    """A failure to make a resource reaches the borrower, and the pool can be used again."""
    answers = iter([MemoryError(), None])

    def make() -> str:
        answer = next(answers)
        if answer is not None:
            raise answer
        return "made"

    pool = Pool(make)
    with pytest.raises(MemoryError), pool.borrow():
        pass
    with pool.borrow() as resource:
        assert resource == "made"
