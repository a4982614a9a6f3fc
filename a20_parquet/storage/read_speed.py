"""Measures how fast local files are read in sequence and at random places, in about a second."""

import errno
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from a20_parquet.storage.concurrent import AT_ONCE, ContextThreads
from a20_parquet.storage.files import path_errors

_SEQUENCE_BYTES = 8 << 20
_MOST_SEQUENCES, _MOST_RECORDS = 8, 400
# Half of the time for each kind of read.
_SECONDS = 1.0
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}

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
    """Part of the bytes read that were in memory before; these count in no speed, unless all
    were."""


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
        found = done = _read_cached(file, buffer, offset)
        while count := os.preadv(file, [buffer[done:]], offset + done):
            done += count
        return done - found


def _read_cached(file: int, buffer: memoryview, offset: int) -> int:
    """Read the bytes from an offset on that are in memory; return their number."""
    try:
        return os.preadv(file, [buffer], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0
    except (AttributeError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
            raise
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, offset, len(buffer), os.POSIX_FADV_DONTNEED)
        return 0


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
    wanted = sequences.bytes + records.bytes
    return ReadSpeed(
        sequential=sequences.speed,
        random=records.speed,
        in_memory=1 - (sequences.uncached + records.uncached) / max(wanted, 1),
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


class _Timed:
    """Reads at places until time is over, and counts bytes and seconds; thread-safe."""

    def __init__(self, read: Read, clock: Callable[[], float], *, most: int) -> None:
        self.bytes = 0
        self.uncached = 0
        self._read = read
        self._clock = clock
        self._left = most
        self._seconds = 0.0
        self._lock = Lock()

    @property
    def speed(self) -> float:
        """Bytes per second of those that were not in memory, or of all if all were."""
        return (self.uncached or self.bytes) / max(self._seconds, 1e-9)

    def read_all(self, places: Iterator[tuple[str, int, int]], size: int, *, threads: int) -> None:
        """Read ``size`` bytes, or what a file has, at each of some places."""
        begun = self._clock()

        def work() -> None:
            while True:
                with self._lock:
                    if not self._left or self._clock() - begun > _SECONDS / 2:
                        return
                    self._left -= 1
                    path, offset, file_bytes = next(places)
                offset = max(0, min(offset, file_bytes - size))
                count = self._read(path, offset, min(size, file_bytes))
                with self._lock:
                    self.bytes += min(size, file_bytes)
                    self.uncached += count

        if threads == 1:
            work()
        else:
            with ContextThreads(threads, "a20-parquet measures reads") as pool:
                for future in [pool.submit(work) for _ in range(threads)]:
                    future.result()
        self._seconds += self._clock() - begun
