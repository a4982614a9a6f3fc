"""Measures how fast a folder is written to, in about half a second."""

import os
import time
from collections.abc import Callable

from a20_parquet.storage.files import NewFile
from a20_parquet.storage.path import AnyPath, StorePath

_FILE_BYTES = 8 << 20
_MOST_FILES = 8
_SECONDS = 0.5


def measure_writes(
    folder: AnyPath,
    *,
    file_bytes: int = _FILE_BYTES,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Write some files, wait until they are on the disk, and delete them.

    Args:
        folder: exists, or is in a store.
        file_bytes: of each file.
        clock: seconds from any start.

    Returns:
        Bytes per second.

    Raises:
        OSError: a file cannot be written.
    """
    # Zeros would be written faster by some disks.
    content = os.urandom(1 << 16) * max(1, file_bytes >> 16)
    written = 0
    begun = clock()
    for number in range(_MOST_FILES):
        path = folder / f"a20-parquet-write-speed-{os.getpid()}-{number}"
        try:
            with NewFile(path) as new:
                new.file.write(content)
                new.file.flush()
                if not isinstance(path, StorePath):
                    os.fsync(new.file.fileno())
            written += len(content)
        finally:
            path.unlink(missing_ok=True)
        if clock() - begun > _SECONDS:
            break
    return written / max(clock() - begun, 1e-9)
