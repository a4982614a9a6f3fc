"""Measures how fast local files are read in sequence and at random places, in about a second."""

import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import NamedTuple, TypeAlias

from a20_parquet.storage.cached import read_cached
from a20_parquet.storage.concurrent import AT_ONCE, ContextThreads
from a20_parquet.storage.files import path_errors

_SEQUENCE_BYTES = 8 << 20
_MOST_SEQUENCES, _MOST_RECORDS = 8, 400
# Half of the time for each kind of read.
_SECONDS = 1.0
# If fewer of all reads are of the disk, it hardly matters how fast it is.
_LEAST_FROM_DISK = 0.05

Read: TypeAlias = Callable[[str, int, int], int]
"""Reads bytes of a file, given its path, an offset and their number; returns how many of them were
not in memory before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSpeed:
    """How fast files are read."""

    sequential: float
    """Bytes per second of long ranges, one after the other."""
    random: float
    """Bytes per second of records at random places, several at a time."""
    in_memory: float
    """Part of the bytes read that were in memory before; these count in no speed, unless nearly
    all were."""


def read_uncached(path: str, offset: int, size: int) -> int:
    """Read bytes of a file; see ``Read``.

    Where the system cannot tell which bytes are in memory, it is asked to drop them first.

    Raises:
        OSError: the file cannot be read.
    """
    with path_errors(Path(path)), open(path, "rb", buffering=0) as opened:
        file, buffer = opened.fileno(), memoryview(bytearray(size))
        if hasattr(os, "posix_fadvise"):
            # Otherwise the system reads more than a record.
            os.posix_fadvise(file, offset, size, os.POSIX_FADV_RANDOM)
        cached = read_cached(file, [buffer], offset)
        if cached is None and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, offset, size, os.POSIX_FADV_DONTNEED)
        found = done = cached or 0
        while count := os.preadv(file, [buffer[done:]], offset + done):
            done += count
        return done - found


def measure_reads(
    paths: Sequence[str],
    sizes: Sequence[int],
    record_bytes: int,
    *,
    read: Read = read_uncached,
    clock: Callable[[], float] = time.perf_counter,
) -> ReadSpeed:
    """Read some ranges in sequence, and some records at random places, as long as a second lasts.

    Args:
        paths: local files.
        sizes: their bytes, some of them above zero.
        record_bytes: of a record.
        read: reads; tests give another one.
        clock: seconds from any start.

    Raises:
        OSError: a file cannot be read.
    """
    places = _places(paths, sizes)
    sequences = _Timed(read, clock, most=_MOST_SEQUENCES)
    sequences.read_all(places, _SEQUENCE_BYTES, threads=1)
    records = _Timed(read, clock, most=_MOST_RECORDS)
    records.read_all(places, record_bytes, threads=AT_ONCE)
    done = [*sequences.done, *records.done]
    uncached = sum(each.uncached for each in done)
    return ReadSpeed(
        sequential=sequences.speed,
        random=records.speed,
        in_memory=1 - uncached / max(sum(each.size for each in done), 1),
    )


def _places(paths: Sequence[str], sizes: Sequence[int]) -> Iterator[tuple[str, int, int]]:
    """Yield path, offset and size of the file of random bytes of all files together, without end.

    Others each time: those of an earlier measurement are in memory since then.
    """
    draw = random.Random()  # noqa: S311 - no secret
    ends = list(accumulate(sizes))
    while True:
        (index,) = draw.choices(range(len(sizes)), cum_weights=ends)
        yield paths[index], draw.randrange(sizes[index]), sizes[index]


class _Done(NamedTuple):
    """One read."""

    begun: float
    ended: float
    size: int
    uncached: int
    """Bytes that were not in memory."""


class _Timed:
    """Reads at places until time is over, and notes each read; thread-safe."""

    def __init__(self, read: Read, clock: Callable[[], float], *, most: int) -> None:
        self.done: list[_Done] = []
        self._read = read
        self._clock = clock
        self._left = most
        self._lock = Lock()

    @property
    def speed(self) -> float:
        """Bytes per second while the disk was read, or of all reads if nearly all were of memory.

        A read of which a part was in memory says little about either.
        """
        from_disk = [each for each in self.done if 2 * each.uncached > each.size]
        if len(from_disk) < _LEAST_FROM_DISK * len(self.done):
            return sum(each.size for each in self.done) / _busy_seconds(self.done)
        return sum(each.uncached for each in from_disk) / _busy_seconds(from_disk)

    def read_all(self, places: Iterator[tuple[str, int, int]], size: int, *, threads: int) -> None:
        """Read ``size`` bytes, or what a file has, at each of some places."""
        first = self._clock()

        def work() -> None:
            while True:
                with self._lock:
                    if not self._left or self._clock() - first > _SECONDS / 2:
                        return
                    self._left -= 1
                    path, offset, file_bytes = next(places)
                count = min(size, file_bytes)
                begun = self._clock()
                uncached = self._read(path, min(offset, file_bytes - count), count)
                # Lists are safe to append to from several threads.
                self.done.append(_Done(begun, self._clock(), count, uncached))

        if threads == 1:
            work()
            return
        with ContextThreads(threads, "a20-parquet measures reads") as pool:
            for future in [pool.submit(work) for _ in range(threads)]:
                future.result()


def _busy_seconds(reads: Sequence[_Done]) -> float:
    """Return the seconds in which at least one read was under way."""
    seconds, until = 0.0, -math.inf
    for each in sorted(reads):
        seconds += max(0.0, each.ended - max(each.begun, until))
        until = max(until, each.ended)
    return max(seconds, 1e-9)
