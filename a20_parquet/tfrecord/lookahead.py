"""A buffer of a shard's decompressed bytes."""

from collections.abc import Iterator

import numpy as np

from a20_parquet.tfrecord.compression import Content

_COPY_BYTES = 1 << 20
# After a record, its reader peeks at the next header.
_MORE_BYTES = 64


class PeekBuffer:
    """Reads ahead as far as ``peek`` asks; a view is valid until ``peek`` needs more bytes.

    Attributes:
        offset: offset of the first byte that is not taken, in the decompressed shard.
        at_end: whether all bytes of the shard have been read.
    """

    def __init__(self, content: Content, buffer_bytes: int) -> None:
        self.offset = 0
        self.at_end = False
        self._content = content
        self._buffer_bytes = buffer_bytes
        self._view = _allocate(buffer_bytes)
        self._at = 0
        self._end = 0

    @property
    def buffered(self) -> memoryview:
        """All bytes that are read and not taken yet."""
        return self._view[self._at : self._end]

    def peek(self, size: int) -> memoryview:
        """Return the next ``size`` bytes, fewer only at the shard's end.

        Raises:
            SourceError: the shard cannot be read.
        """
        while self._end - self._at < size and not self.at_end:
            self._read(size)
        return self._view[self._at : min(self._at + size, self._end)]

    def skip(self, size: int) -> None:
        """Take bytes that were peeked at."""
        self._at += size
        self.offset += size

    def take(self, size: int) -> Iterator[bytes]:
        """Take bytes, in copies of a bounded size."""
        while size:
            part = bytes(self.peek(min(size, _COPY_BYTES)))
            self.skip(len(part))
            size -= len(part)
            yield part

    def _read(self, size: int) -> None:
        rest = self.buffered
        room = max(self._buffer_bytes, size + _MORE_BYTES)
        # A larger buffer is kept for the next large record.
        if room > len(self._view):
            self._view = _allocate(room)
        self._view[: len(rest)] = rest
        read = self._content.readinto(self._view[len(rest) : room])
        self._at, self._end = 0, len(rest) + read
        self.at_end = self._end < room


def _allocate(size: int) -> memoryview:
    # Pages that are never written take no memory, so a damaged length costs none.
    return np.empty(size, np.uint8).data
