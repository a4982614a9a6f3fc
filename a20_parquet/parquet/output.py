"""Where a file's bytes go: counted, checksummed, and written many buffers at once."""

import errno
import io
import os
from typing import BinaryIO, TypeAlias

import crc32c

Buffer: TypeAlias = bytes | memoryview
"""Contiguous bytes; a memoryview's items are single bytes."""

# Enough for a write to be worth its call, and little enough to be in the cache still when the
# kernel reads again what the checksum has read.
_FLUSH_BYTES = 1 << 20
# The least that systems with writev offer today (IOV_MAX).
_MOST_BUFFERS = 1024


class Output:
    """Writes buffers to a file in the order they come.

    What has been put is held as it is, not copied, until ``flush``: until then the memory behind a
    memoryview must not change.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Takes the file as it is, at its position.

        Args:
            file: where to write to; it is never closed. Only a plain unbuffered file is written
                through its descriptor: others may do more than pass on bytes (gzip files have a
                descriptor too).
        """
        self.size = 0
        """Bytes put so far."""
        self.checksum = 0
        """CRC32C of all bytes put so far."""
        self._file = file
        raw = type(file) is io.FileIO and hasattr(os, "writev")
        self._descriptor = file.fileno() if raw else None
        self._pending: list[Buffer] = []
        self._pending_bytes = 0

    def put(self, buffer: Buffer) -> None:
        """Takes the next bytes, and writes when enough have come together."""
        size = len(buffer)
        self.size += size
        self.checksum = crc32c.crc32c(buffer, self.checksum)
        self._pending.append(buffer)
        self._pending_bytes += size
        if self._pending_bytes >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes all that has been put.

        Raises:
            OSError: the file does not take the bytes; how many it took is unknown.
        """
        pending = self._pending
        self._pending = []
        self._pending_bytes = 0
        if self._descriptor is None:
            for buffer in pending:
                self._write(memoryview(buffer))
        else:
            for first in range(0, len(pending), _MOST_BUFFERS):
                _write_vector(self._descriptor, pending[first : first + _MOST_BUFFERS])

    def _write(self, rest: memoryview) -> None:
        while rest:
            written = self._file.write(rest)
            # Some file objects return nothing: then all is written, but for raw files, where it
            # means that the call would have had to wait.
            if written is None and not isinstance(self._file, io.RawIOBase):
                return
            rest = rest[_progress(written) :]


def _write_vector(descriptor: int, buffers: list[Buffer]) -> None:
    """Writes the buffers, at most ``_MOST_BUFFERS``, however many calls that takes."""
    rest = sum(map(len, buffers))
    while rest:
        written = _progress(os.writev(descriptor, buffers))
        rest -= written
        if rest:
            buffers = _without(buffers, written)


def _progress(written: int | None) -> int:
    """What a call wrote, refused where it wrote nothing, as repeating it might never end."""
    if not written:
        raise BlockingIOError(errno.EAGAIN, "the file takes no bytes at present")
    return written


def _without(buffers: list[Buffer], written: int) -> list[Buffer]:
    """What is left of the buffers behind their first ``written`` bytes."""
    for index, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[index + 1 :]]
        written -= len(buffer)
    return []
