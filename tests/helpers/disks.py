"""Simulated disks."""

import random
from collections.abc import Sequence
from threading import Lock

from a20_parquet.storage.read_speed import ReadSpeed, measure_reads


class Disk:
    """A disk with a clock of its own, which does one read after another."""

    def __init__(self, *, seek_s: float, bytes_a_second: float, in_memory: float = 0.0) -> None:
        self.seconds = 0.0
        self.places: list[tuple[str, int, int]] = []
        self._seek_s = seek_s
        self._speed = bytes_a_second
        self._in_memory = in_memory
        self._lock = Lock()
        self._draw = random.Random(1)  # noqa: S311 - no secret

    def clock(self) -> float:
        """Seconds since its start."""
        return self.seconds

    def read(self, path: str, offset: int, size: int) -> int:
        """Take time, unless the bytes are in memory."""
        with self._lock:
            self.places.append((path, offset, size))
            if self._draw.random() < self._in_memory:
                return 0
            self.seconds += self._seek_s + size / self._speed
            return size

    def measure(self, paths: Sequence[str], sizes: Sequence[int], record_bytes: int) -> ReadSpeed:
        """Measure how fast files on it are read."""
        return measure_reads(paths, sizes, record_bytes, read=self.read, clock=self.clock)
