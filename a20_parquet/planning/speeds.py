"""Computes the seconds of a conversion from the speeds of its passes and of the disk."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from a20_parquet.planning.partitions import KeyForecast
from a20_parquet.planning.passes import Volume
from a20_parquet.storage.read_speed import ReadSpeed

# Linux slows writers down from the middle between a tenth and a fifth of the free memory on.
_AHEAD = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class PassSpeed:
    """How fast one worker does the two passes with files in memory."""

    sort: float
    """Bytes of shards per second."""
    merge: float
    """Bytes of embeddings per second, besides what each file takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpeed:
    """How fast the disk is that has all files, and how much of it is in memory."""

    read: ReadSpeed
    write: float
    """Bytes per second."""
    free_bytes: int
    """Memory that is free for files."""

    def reading_s(self, size: int, among: int, speed: float) -> float:
        """Return the seconds of reading what was written or read before.

        Args:
            size: bytes to read.
            among: bytes of all files that were read or written since then, these included.
            speed: bytes per second of the disk.
        """
        part = max(0.0, 1 - max(self.free_bytes, 0) / max(among, 1))
        return size * part / speed

    def writing_s(self, size: int) -> float:
        """Return the seconds until all but what the system writes later is on the disk."""
        return max(0.0, size - _AHEAD * max(self.free_bytes, 0)) / self.write


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """How fast this machine converts."""

    passes: Mapping[bool, PassSpeed]
    """By whether embeddings stay in the shards."""
    file_s: float = 0.0
    """Of each file besides its bytes. One worker at a time creates small files."""
    start_s: float = 0.0
    """Until the first record is decoded."""
    disk: DiskSpeed | None = None
    """None if it does not limit the speed."""
    is_given: bool = False
    """Whether the user gave them."""

    @classmethod
    def of_rate(cls, rate: float) -> "Speeds":
        """Return what a rate means, in bytes of shards per second and worker."""
        speed = PassSpeed(sort=rate, merge=math.inf)
        return cls(passes={True: speed, False: speed}, is_given=True)

    def seconds(  # noqa: PLR0913 - what time depends on, each a keyword
        self,
        volume: Volume,
        key: KeyForecast,
        *,
        scratch_bytes: int,
        located: bool,
        workers: int,
        own_disk: bool,
    ) -> tuple[float, float]:
        """Return the seconds of work for one worker, and those until all workers are done.

        Args:
            volume: the input.
            key: the files to write.
            scratch_bytes: of runs.
            located: whether embeddings stay in the shards.
            workers: number of workers.
            own_disk: whether they share one disk, and one lock for small files.
        """
        speed = self.passes[located]
        shard_bytes = sum(volume.shard_bytes)
        first_s = shard_bytes / speed.sort
        files_s = key.files * self.file_s
        second_s = volume.windows * volume.embedding_bytes / speed.merge + files_s
        work_s = self.start_s + first_s + second_s
        if not own_disk:
            return work_s, work_s / workers
        first_s /= workers
        second_s = max(second_s / workers, files_s)
        if self.disk is not None:
            disk = self.disk
            read_s = shard_bytes * (1 - disk.read.in_memory) / disk.read.sequential
            first_s = max(first_s, read_s + disk.writing_s(scratch_bytes))
            again = (
                disk.reading_s(volume.located_bytes, shard_bytes + key.bytes, disk.read.random)
                if located
                else disk.reading_s(scratch_bytes, scratch_bytes + key.bytes, disk.read.sequential)
            )
            # What the first pass wrote ahead of the disk leaves less for the second.
            written_s = disk.writing_s(scratch_bytes + key.bytes) - disk.writing_s(scratch_bytes)
            second_s = max(second_s, again + written_s)
        return work_s, self.start_s + first_s + second_s
