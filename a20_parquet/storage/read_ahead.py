"""One object of a store, read from start to end: blocks are asked for before they are needed."""

import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from threading import get_ident
from typing import Self, TypeAlias

from a20_parquet.storage.concurrent import ContextThreads

BLOCK_BYTES = 8 << 20
"""A good size of a request where no memory budget tells one."""
READ_AHEAD = 4
"""How many blocks to ask for ahead: as many connections hide how long a store takes to answer."""

ReadRange: TypeAlias = Callable[[int, int], bytes]
"""Reads an object's bytes from one offset up to another, or to its end if that comes first."""


@dataclass(frozen=True, slots=True)
class Prefetch:
    """How an object is read."""

    block_bytes: int = BLOCK_BYTES
    """Of a request."""
    blocks: int = READ_AHEAD
    """How many are asked for ahead. With none each is asked for when it is needed, in the calling
    thread, and is twice as long as the one before: who looks further will look at more."""


class BlockStream:
    """An object's bytes in order; for one thread at a time.

    Besides the block that is being read, up to ``ahead.blocks`` are held or on their way. An object
    of a single block is one request, which its first reading makes.
    """

    def __init__(
        self, url: str, size: int, read_range: ReadRange, ahead: Prefetch | None = None
    ) -> None:
        """Prepare to read; nothing is asked for yet.

        Args:
            url: what messages call the object.
            size: where it ended when it was found, in bytes.
            read_range: reads a part of it; several threads call it at once.
            ahead: how to read it.
        """
        ahead = ahead or Prefetch()
        blocks = ahead.blocks if size > ahead.block_bytes else 0
        self._url = url
        self._size = size
        self._read_range = read_range
        self._bounds = _bounds(size, ahead.block_bytes, grow=not blocks)
        self._most_begun = max(blocks, 1)
        self._begun: deque[Callable[[], bytes]] = deque()
        self._own_threads: set[int] = set()
        self._pool = _pool(blocks, self._own_threads) if blocks else None
        self._block = memoryview(b"")
        self._block_start = 0
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def readinto(self, buffer: memoryview) -> int:
        """Copy the next bytes to the start of ``buffer``; None if the object ends.

        Fewer than it holds mean nothing but that a block ends.

        Raises:
            OSError: they cannot be read, or are not as many as were asked for.
        """
        if self._at == len(self._block) and not self._next_block():
            return 0
        count = min(len(buffer), len(self._block) - self._at)
        buffer[:count] = self._block[self._at : self._at + count]
        self._at += count
        return count

    def read(self, size: int) -> bytes:
        """Take the next ``size`` bytes; fewer only where the object ends.

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
        """Go to a byte of the block that is being read.

        Raises:
            OSError: it is in another one.
        """
        at = offset - self._block_start
        if not 0 <= at <= len(self._block):
            raise io.UnsupportedOperation(
                f"{self._url}: byte {offset} is outside of the block of {len(self._block)} bytes "
                f"at {self._block_start}; a stream is read from start to end"
            )
        self._at = at

    def close(self) -> None:
        """Drop what is held, and wait for requests on their way, as nothing can call them back."""
        self._bounds = iter(())
        self._begun.clear()
        self._block = memoryview(b"")
        self._at = 0
        if self._pool is not None:
            # What was left behind may be collected on any thread, and none can wait for itself.
            is_own = get_ident() in self._own_threads
            self._pool.shutdown(wait=not is_own, cancel_futures=True)

    def _next_block(self) -> bool:
        """Wait for the next block; false where there is none."""
        # The block that was read must not stay in memory while another one takes its place.
        self._block_start += len(self._block)
        self._block = memoryview(b"")
        self._at = 0
        self._begin()
        if not self._begun:
            return False
        # One that fails stays the next, so that nothing is ever left out.
        self._block = memoryview(self._begun[0]())
        self._begun.popleft()
        self._begin()
        return True

    def _begin(self) -> None:
        """Ask for blocks, as many as may be on their way."""
        while len(self._begun) < self._most_begun:
            bounds = next(self._bounds, None)
            if bounds is None:
                return
            if self._pool is None:
                self._begun.append(partial(self._fetch, *bounds))
            else:
                self._begun.append(self._pool.submit(self._fetch, *bounds).result)

    def _fetch(self, start: int, stop: int) -> bytes:
        # One byte more than the last block has shows that the object has grown.
        block = self._read_range(start, stop + (stop == self._size))
        if len(block) == stop - start:
            return block
        if len(block) == self._size <= BLOCK_BYTES:
            # HTTP servers may send all of a file whatever part of it was asked for.
            return block[start:stop]
        raise OSError(
            f"{self._url}: bytes {start} to {stop}: expected {stop - start} bytes, got "
            f"{len(block)}. It was cut on its way, it has changed since it was found, or the store "
            "sends no parts of files: start again, or copy it to a folder first."
        )


def _pool(threads: int, idents: set[int]) -> ContextThreads:
    """Threads that note who they are."""
    return ContextThreads(threads, "a20-read-ahead", lambda: idents.add(get_ident()))


def _bounds(size: int, block_bytes: int, *, grow: bool) -> Iterator[tuple[int, int]]:
    """Yield where each block starts and stops."""
    start = 0
    while start < size:
        stop = min(start + block_bytes, size)
        yield start, stop
        start = stop
        if grow:
            block_bytes = max(min(2 * block_bytes, BLOCK_BYTES), block_bytes)
