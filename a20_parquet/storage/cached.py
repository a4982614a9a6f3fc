"""Reads what is in the system's cache, without waiting for a disk."""

import errno
import os
from collections.abc import Sequence

_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}


def read_cached(file: int, buffers: Sequence[memoryview], offset: int) -> int | None:
    """Fill buffers with the bytes from an offset on, as far as they are in memory.

    Returns:
        Number of the bytes read; None if the system cannot tell what is in memory.

    Raises:
        OSError: the file cannot be read.
    """
    if not hasattr(os, "RWF_NOWAIT"):
        return None
    try:
        return os.preadv(file, buffers, offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return 0
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return None
