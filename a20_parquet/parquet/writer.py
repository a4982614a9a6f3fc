"""Writes one Parquet file, row group by row group."""

import errno
import io
import os
from typing import BinaryIO, Self

import crc32c

from a20_parquet.parquet.encoder import EncodedGroup, GroupEncoder
from a20_parquet.parquet.file_end import PlacedGroup
from a20_parquet.parquet.format.footer import MAGIC
from a20_parquet.parquet.lists import ListChunk, ListPages
from a20_parquet.parquet.pages import Buffer

# Enough for a write to be worth its call, and little enough to be in the cache still when the
# kernel reads again what the checksum has read.
_FLUSH_BYTES = 1 << 20
# The least that systems with writev offer today (IOV_MAX).
_MOST_BUFFERS = 1024


class ParquetWriter:
    """One Parquet file; for one thread.

    As a context manager it writes the footer if the block ends without an exception; the file
    object stays open. Without ``close`` there is no footer, and every reader refuses the file.
    """

    def __init__(self, file: BinaryIO, encoder: GroupEncoder) -> None:
        """Write the magic.

        Args:
            file: at position 0. An unbuffered local file gets many buffers per call, any other
                object needs only ``write``.
            encoder: of the file's layout; the writers of several files may share it.

        Raises:
            OSError: the file does not take the bytes.
        """
        self.rows = 0
        """Rows written so far."""
        self._encoder = encoder
        self._output = _Output(file)
        self._groups: list[PlacedGroup] = []
        self._end: bytes | None = None
        self._open = True
        self._output.put(MAGIC)

    @property
    def size(self) -> int:
        """Bytes written so far; after ``close`` the file's size."""
        return self._output.size

    @property
    def checksum(self) -> int:
        """CRC32C of the bytes written so far."""
        return self._output.checksum

    def put(self, group: EncodedGroup) -> None:
        """Write one row group, from an encoder of the same layout.

        The memory of its lists must not change until ``close``. Lists that are read page by page
        are written before the next page is read.

        Raises:
            ValueError: the writer is closed or has failed before.
            DatasetError: there are nulls where the schema forbids them.
            OSError: the file does not take the bytes.
        """
        self._begin()
        output = self._output
        start, rows = output.size, group.last - group.first
        lists = [self._put_lists(each, group.first, group.last) for each in group.lists]
        output.put(b"".join([chunk.content for chunk in group.flat]))
        self._groups.append(PlacedGroup.at(start, rows, lists, group.flat))
        self._end = group.end if len(self._groups) == 1 else None
        self.rows += rows
        self._open = True

    def _put_lists(self, lists: ListPages, first: int, last: int) -> ListChunk:
        """Write the pages of a column of lists."""
        output, start = self._output, self._output.size
        pages = []
        for page in lists.pages(first, last, self._encoder.pages):
            output.put(page.head)
            output.put(page.body)
            if lists.reuses_memory:
                output.flush()
            pages.append(page.sizes)
        return lists.column.place(tuple(pages), start, last - first, lists.count_nulls(first, last))

    def close(self) -> None:
        """Write page index and footer, once; the file object stays open.

        Raises:
            ValueError: a write has failed before, so that the file cannot be completed.
            OSError: the file does not take the bytes.
        """
        self._begin()
        if self._end is None:
            self._end = next(self._encoder.layout.ends.encode([self._groups]))
        self._output.put(self._end)
        self._output.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()

    def _begin(self) -> None:
        # A failed write leaves a torn file, which must never get a footer.
        if not self._open:
            raise ValueError("the Parquet writer is closed, or a write has failed before")
        self._open = False


class _Output:
    """Counts, checksums and writes buffers; they are not copied and must not change until flush."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = 0
        self.checksum = 0
        """CRC32C."""
        self._file = file
        # Only a plain unbuffered file is written through its descriptor: others may do more than
        # pass on bytes (gzip files have a descriptor too).
        raw = type(file) is io.FileIO and hasattr(os, "writev")
        self._descriptor = file.fileno() if raw else None
        self._pending: list[Buffer] = []
        self._pending_bytes = 0

    def put(self, buffer: Buffer) -> None:
        size = len(buffer)
        self.size += size
        self.checksum = crc32c.crc32c(buffer, self.checksum)
        self._pending.append(buffer)
        self._pending_bytes += size
        if self._pending_bytes >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
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
            # None from a raw file means that the call would block; from other objects that all
            # is written.
            if written is None and not isinstance(self._file, io.RawIOBase):
                return
            rest = rest[_progress(written) :]


def _write_vector(descriptor: int, buffers: list[Buffer]) -> None:
    """Write at most ``_MOST_BUFFERS`` buffers, with as many calls as that takes."""
    rest = sum(map(len, buffers))
    while rest:
        written = _progress(os.writev(descriptor, buffers))
        rest -= written
        if rest:
            buffers = _without(buffers, written)


def _progress(written: int | None) -> int:
    # To repeat a call that wrote nothing might never end.
    if not written:
        raise BlockingIOError(errno.EAGAIN, "the file takes no bytes at present")
    return written


def _without(buffers: list[Buffer], written: int) -> list[Buffer]:
    """The buffers without their first ``written`` bytes."""
    for index, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[index + 1 :]]
        written -= len(buffer)
    return []
