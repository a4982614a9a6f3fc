"""Units of work on threads whose results are wanted in order."""

import gc
import itertools
import random
import threading
import time
from collections.abc import Generator, Iterator
from typing import cast

import pytest

from a20_parquet.execution.threads import map_in_order


def close(results: Iterator[object]) -> None:
    """Want no more."""
    cast("Generator[object]", results).close()


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("units", [0, 1, 2, 50])
@pytest.mark.parametrize("ahead", [0, 1, 8, 100])
def test_results_come_in_order(count: int, units: int, ahead: int) -> None:
    """However long a unit takes."""
    rng = random.Random(count)  # noqa: S311 - no secret

    def work(unit: int) -> int:
        time.sleep(rng.random() / 2000)
        return unit * unit

    results = map_in_order(count, work, range(units), ahead=ahead)
    assert list(results) == [unit * unit for unit in range(units)]


def test_one_worker_works_in_the_calling_thread() -> None:
    """One unit after the other, each when it is asked for, and none ahead."""
    done = []

    def work(unit: int) -> threading.Thread:
        done.append(unit)
        return threading.current_thread()

    results = map_in_order(1, work, itertools.count(), ahead=8)
    for number in range(3):
        assert next(results) is threading.current_thread()
        assert done == list(range(number + 1))


def test_several_workers_work_at_once() -> None:
    """As many units as there are workers run side by side, in other threads."""
    meeting = threading.Barrier(3)

    def work(_: int) -> threading.Thread:
        meeting.wait(timeout=60)
        return threading.current_thread()

    threads = set(map_in_order(3, work, range(3), ahead=2))
    assert len(threads) == 3
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_only_so_many_units_are_begun(ahead: int) -> None:
    """Whoever takes results slowly keeps the others waiting, also where units have no end."""
    taken = []

    def units() -> Iterator[int]:
        for unit in itertools.count():
            taken.append(unit)
            yield unit

    results = map_in_order(2, lambda unit: unit, units(), ahead=ahead)
    assert taken == []
    for number in range(10):
        assert next(results) == number
        assert len(taken) <= number + 2 + ahead
    close(results)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_failure_comes_in_its_turn(count: int) -> None:
    """A unit's exception reaches the caller as it is, behind the results before it."""

    def work(unit: int) -> int:
        if unit == 3:
            raise KeyError(unit)
        return unit

    results = map_in_order(count, work, range(10), ahead=4)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError, match="3"):
        next(results)
    assert list(results) == []


@pytest.mark.parametrize("count", [1, 2])
def test_units_that_can_not_be_listed(count: int) -> None:
    """An exception of the units themselves reaches the caller."""

    def units() -> Iterator[int]:
        yield 0
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map_in_order(count, lambda unit: unit, units(), ahead=3))


def test_who_wants_no_more_does_not_wait() -> None:
    """Closing the results returns at once; what runs ends, what waits never starts."""
    may_end, running = threading.Event(), threading.Event()
    started = []

    def work(unit: int) -> int:
        started.append(unit)
        if unit:
            running.set()
            may_end.wait(timeout=60)
        return unit

    before = set(threading.enumerate())
    results = map_in_order(2, work, range(50), ahead=10)
    assert next(results) == 0
    assert running.wait(timeout=60)
    close(results)
    may_end.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert len(started) <= 3


@pytest.mark.slow
def test_results_may_be_left_behind_on_a_thread_of_their_own() -> None:
    """The last reference may vanish in a unit of work, whose thread cannot wait for itself."""
    held: list[Iterator[object]] = []
    done = threading.Event()

    def work(unit: int) -> int:
        if unit == 1:
            while not held:
                time.sleep(0.001)
            held.clear()
            gc.collect()
            done.set()
        return unit

    results = map_in_order(2, work, range(9), ahead=4)
    assert next(results) == 0
    held.append(results)
    del results
    assert done.wait(timeout=60)
