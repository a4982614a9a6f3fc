"""Reads one object in a store from start to end, requesting blocks before they are needed."""

import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import get_ident
from typing import Self, TypeAlias

from a20_parquet.storage.concurrent import ContextThreads

BLOCK_BYTES = 8 << 20
"""Size of a request without a memory budget."""
READ_AHEAD = 4
"""Blocks to request ahead: enough connections to hide a store's latency."""

ReadRange: TypeAlias = Callable[[int, int], bytes]
"""Reads an object's bytes ``start`` to before ``stop``, or to its end if that comes first."""


@dataclass(frozen=True, slots=True)
class Prefetch:
    """How an object is read."""

    block_bytes: int = BLOCK_BYTES
    """Size of a request."""
    blocks: int = READ_AHEAD
    """Blocks to request ahead. If 0, the calling thread requests each block when it is needed, and
    each is twice as long as the one before: a reader that continues will probably read more."""


class BlockStream:
    """An object's bytes in order; for one thread at a time.

    Besides the block that is being read, up to ``ahead.blocks`` blocks are in memory or requested.
    An object of a single block is one request, made by the first read.
    """

    def __init__(
        self, url: str, size: int, read_range: ReadRange, ahead: Prefetch | None = None
    ) -> None:
        """Send no request yet.

        The object had ``size`` bytes when it was found; ``read_range`` must be thread-safe.
        """
        ahead = ahead or Prefetch()
        blocks = ahead.blocks if size > ahead.block_bytes else 0
        self._url = url
        self._size = size
        self._read_range = read_range
        self._bounds = _bounds(size, ahead.block_bytes, grow=not blocks)
        self._most_begun = max(blocks, 1)
        self._begun: deque[Callable[[], bytes]] = deque()
        own_threads: set[int] = set()
        self._own_threads = own_threads
        self._pool = (
            ContextThreads(blocks, "a20-read-ahead", lambda: own_threads.add(get_ident()))
            if blocks
            else None
        )
        self._block = memoryview(b"")
        self._block_start = 0
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def readinto(self, buffer: memoryview) -> int:
        """Copy the next bytes to the start of ``buffer``; return their number, 0 at the end.

        A number smaller than the buffer only means that a block ends.

        Raises:
            OSError: they cannot be read, or the store returned another number of bytes.
        """
        if self._at == len(self._block) and not self._next_block():
            return 0
        count = min(len(buffer), len(self._block) - self._at)
        buffer[:count] = self._block[self._at : self._at + count]
        self._at += count
        return count

    def read(self, size: int) -> bytes:
        """Read the next ``size`` bytes; fewer only at the object's end.

        Raises:
            OSError: see ``readinto``.
        """
        left = self._size - self._block_start - self._at
        view = memoryview(bytearray(min(size, left)))
        filled = 0
        while filled < len(view):
            filled += self.readinto(view[filled:])
        return bytes(view)

    def seek(self, offset: int) -> None:
        """Move to a byte of the block that is being read.

        Raises:
            OSError: the byte is in another block.
        """
        at = offset - self._block_start
        if not 0 <= at <= len(self._block):
            raise io.UnsupportedOperation(
                f"{self._url}: byte {offset} is outside of the block of {len(self._block)} bytes "
                f"at {self._block_start}; a stream is read from start to end"
            )
        self._at = at

    def close(self) -> None:
        """Release all memory, and wait for pending requests, which cannot be cancelled."""
        self._bounds = iter(())
        self._begun.clear()
        self._block = memoryview(b"")
        self._at = 0
        if self._pool is not None:
            # Garbage collection may run this on a thread of the pool, which cannot wait for itself.
            is_own = get_ident() in self._own_threads
            self._pool.shutdown(wait=not is_own, cancel_futures=True)

    def _next_block(self) -> bool:
        """Wait for the next block; false if there is none."""
        # Release the old block before another one is received.
        self._block_start += len(self._block)
        self._block = memoryview(b"")
        self._at = 0
        self._begin()
        if not self._begun:
            return False
        # A block that fails stays first in line, so that none is skipped.
        self._block = memoryview(self._begun[0]())
        self._begun.popleft()
        self._begin()
        return True

    def _begin(self) -> None:
        """Request blocks up to the limit."""
        while len(self._begun) < self._most_begun:
            bounds = next(self._bounds, None)
            if bounds is None:
                return
            if self._pool is None:
                self._begun.append(partial(self._fetch, *bounds))
            else:
                self._begun.append(self._pool.submit(self._fetch, *bounds).result)

    def _fetch(self, start: int, stop: int) -> bytes:
        # One byte more than the last block shows whether the object has grown.
        block = self._read_range(start, stop + (stop == self._size))
        if len(block) == stop - start:
            return block
        if len(block) == self._size <= BLOCK_BYTES:
            # HTTP servers may ignore the range and send the whole file.
            return block[start:stop]
        raise OSError(
            f"{self._url}: bytes {start} to {stop}: expected {stop - start} bytes, got "
            f"{len(block)}. The transfer was cut, the object has changed since it was found, or "
            "the store sends no parts of files: start again, or copy it to a folder first."
        )


def _bounds(size: int, block_bytes: int, *, grow: bool) -> Iterator[tuple[int, int]]:
    """Yield the offsets ``(start, stop)`` of each block."""
    start = 0
    while start < size:
        stop = min(start + block_bytes, size)
        yield start, stop
        start = stop
        if grow:
            block_bytes = max(min(2 * block_bytes, BLOCK_BYTES), block_bytes)
