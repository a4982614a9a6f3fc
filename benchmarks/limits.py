"""Measures the machine's limits, to compare stages with."""

from collections.abc import Callable
from functools import partial
from itertools import count, repeat
from pathlib import Path

import crc32c
import numpy as np

from a20_parquet.execution.threads import Pool
from benchmarks.work import Setting, Work

# Larger than caches, so that memory is measured and not these.
_BLOCK_BYTES = 256 << 20
_READ_BYTES = 1 << 20
_CACHED_BYTES = 8 << 20
_FILE_BYTES = 64 << 20


def memcpy(setting: Setting) -> Work:
    """Copies memory to memory that was used before."""
    source = np.ones((_BLOCK_BYTES // 4, 1), np.float32)
    pool = setting.buffers(_BLOCK_BYTES // 4, 1)

    def copy() -> None:
        with pool.borrow() as target:
            np.copyto(target, source)

    return _repeated(copy, setting, _BLOCK_BYTES)


def memcpy_fresh(setting: Setting) -> Work:
    """Copies memory to memory that the kernel has yet to give."""
    source = np.ones(_BLOCK_BYTES, np.uint8)
    return _repeated(lambda: source.copy().size, setting, _BLOCK_BYTES)


def read(setting: Setting) -> Work:
    """Reads the shards into one buffer a thread, again and again."""
    pool = Pool(lambda: bytearray(_READ_BYTES))

    def read_file(path: Path) -> None:
        with pool.borrow() as buffer, open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    shards = setting.listing.shards
    return Work(
        pieces=[partial(read_file, Path(shard.path)) for shard in shards],
        size=sum(shard.size for shard in shards),
    )


def checksum(setting: Setting) -> Work:
    """Computes CRC32C of memory that a core's cache may hold, as it does after reading."""
    buffer = bytearray(b"\1" * _CACHED_BYTES)
    return _repeated(lambda: crc32c.crc32c(buffer), setting, _CACHED_BYTES)


def write(setting: Setting) -> Work:
    """Writes new files of 64 MB."""
    block = bytearray(b"\1" * _READ_BYTES)
    numbers = count()

    def write_file() -> None:
        path = setting.scratch / f"file-{next(numbers)}"
        with open(path, "wb", buffering=0) as file:
            file.writelines(repeat(block, _FILE_BYTES // _READ_BYTES))

    return _repeated(write_file, setting, _FILE_BYTES)


def _repeated(piece: Callable[[], object], setting: Setting, size: int) -> Work:
    """As many pieces of ``size`` bytes as make up the shards, and one a thread at the least."""
    times = max(setting.threads, round(setting.listing.bytes / size))
    return Work(pieces=[piece] * times, size=times * size)


LIMITS = {
    "memcpy": memcpy,
    "memcpy_fresh": memcpy_fresh,
    "read": read,
    "crc32c": checksum,
    "write": write,
}
