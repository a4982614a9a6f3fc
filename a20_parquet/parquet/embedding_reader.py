"""Reads embeddings without decoding the levels of their elements.

General readers spend nine tenths of their time on two levels for each of the 1,280 floats of an
embedding. If a page's levels are equal to those that ``ListColumn`` writes without nulls, only the
floats have to be copied.

Source: apache/parquet-format, ``parquet.thrift`` (``PageHeader``) and ``Encodings.md``.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from isal.isal_zlib import crc32

from a20_parquet.errors import DatasetError
from a20_parquet.parquet.format.encodings import join_byte_streams
from a20_parquet.parquet.format.levels import ListLevels
from a20_parquet.parquet.format.schema import Encoding
from a20_parquet.parquet.pages import Compression, PageHead, read_data_page_header

Embeddings: TypeAlias = npt.NDArray[np.float32]
"""Shape ``(rows, dims)``, C-contiguous."""

LONGEST_HEADER = 64
"""Bytes that are read to parse a page header, which may be shorter."""


class LocalInput:
    """An open local file, read at any position; for one thread.

    Attributes:
        size: bytes of the file when it was opened.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file.

        Raises:
            OSError: it cannot be opened, or is not a regular file.
        """
        self._path = path
        # A Python file object takes longer to make than a small file's windows to read.
        # O_NONBLOCK: opening a named pipe must not wait for a writer.
        flags = getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self._descriptor = os.open(path, os.O_RDONLY | flags)
        found = os.fstat(self._descriptor)
        self.size = found.st_size
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise OSError("it is a folder, a named pipe, a socket or a device, and no file")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def read_into(self, buffers: Sequence[memoryview], position: int) -> None:
        """Fill buffers, one after the other, with the bytes from ``position`` on.

        Raises:
            DatasetError: the file ends too early.
            OSError: it cannot be read.
        """
        if hasattr(os, "preadv"):
            wanted = sum(map(len, buffers))
            if os.preadv(self._descriptor, buffers, position) == wanted:
                return
        # A read may stop early, and not every system scatters.
        os.lseek(self._descriptor, position, os.SEEK_SET)
        for buffer in buffers:
            self._fill(buffer)

    def read(self, start: int, end: int) -> bytes:
        """Read the bytes from ``start`` to before ``end``; see ``read_into`` on the errors."""
        if hasattr(os, "pread"):
            content = os.pread(self._descriptor, end - start, start)
            if len(content) == end - start:
                return content
        buffer = bytearray(end - start)
        self.read_into([memoryview(buffer)], start)
        return bytes(buffer)

    def _fill(self, rest: memoryview) -> None:
        while rest:
            content = os.read(self._descriptor, len(rest))
            if not content:
                raise _too_short(self._path, len(rest))
            rest[: len(content)] = content
            rest = rest[len(content) :]


class MemoryInput:
    """A part of a file that is in memory already."""

    def __init__(self, content: bytes, position: int, name: str) -> None:
        """Take the bytes of file ``name`` from ``position`` on."""
        self._content = memoryview(content)
        self._position = position
        self._name = name

    def read_into(self, buffers: Sequence[memoryview], position: int) -> None:
        """See ``LocalInput.read_into``."""
        start = position - self._position
        for buffer in buffers:
            part = self._content[start : start + len(buffer)]
            if len(part) < len(buffer):
                raise _too_short(self._name, len(buffer) - len(part))
            buffer[:] = part
            start += len(buffer)


def _too_short(name: str | Path, missing: int) -> DatasetError:
    return DatasetError(
        f"{name} ends {missing} bytes too early. It is damaged: copy or convert the dataset again."
    )


Input: TypeAlias = LocalInput | MemoryInput


@lru_cache(maxsize=1 << 8)
def full_levels(rows: int, dims: int) -> bytes:
    """Return the levels of a page of embeddings without nulls."""
    return ListLevels(dims, nullable=False).full(rows)


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive rows of a row group that are stored together."""

    first: int
    """Number of the first row in its row group."""
    rows: int
    position: int = 0
    """Offset of the page's levels in the file, in bytes."""
    head: PageHead | None = None
    """None if the page does not have the expected form."""


class EmbeddingPages:
    """The embeddings of one row group; for one thread."""

    def __init__(  # noqa: PLR0913 - what the file says of the row group, each a keyword
        self,
        source: Input,
        compression: Compression,
        *,
        rows: int,
        dims: int,
        item_bytes: int = 4,
        decode: Callable[[], Embeddings],
    ) -> None:
        """Take the row group; nothing is read yet.

        Args:
            source: the file's bytes.
            compression: of the embeddings.
            rows: of the row group.
            dims: floats per embedding.
            item_bytes: of a stored float, 4 or 2.
            decode: reads the row group's embeddings with a general reader, shape ``(rows, dims)``;
                called if pages do not have the expected form.
        """
        self._source = source
        self._rows = rows
        self._dims = dims
        self._kind = np.dtype(f"<f{item_bytes}")
        self._decode = decode
        self._decoded: Embeddings | None = None
        self._codec = compression.compressor()

    def pages(self, start: int, first: int = 0, end: int | None = None) -> Iterator[Page]:
        """Follow the page headers.

        Args:
            start: offset of the first page in the file, in bytes.
            first: number of that page's first row in the row group.
            end: one past the last row of the last page; None for all rows that follow.

        Yields:
            The pages in row order, together these rows. From the first page that does not have the
            expected form, the rest is one page.

        Raises:
            DatasetError: the file ends too early.
            OSError: it cannot be read.
        """
        end, position = self._rows if end is None else end, start
        # At least this many bytes follow a page's start: its levels, or the footer.
        buffer = memoryview(bytearray(LONGEST_HEADER))
        while first < end:
            self._source.read_into([buffer], position)
            head = read_data_page_header(buffer)
            rows, rest = (0, 1) if head is None else divmod(head.values, self._dims)
            if head is None or rest or not 0 < rows <= end - first:
                yield Page(first, end - first)
                return
            position += head.header_size
            yield Page(first, rows, position, head)
            first += rows
            position += head.stored_size

    def read(self, page: Page, out: Embeddings) -> None:
        """Read one page.

        Args:
            page: one of ``pages``.
            out: receives its rows, shape ``(page.rows, dims)``.

        Raises:
            DatasetError: the file ends too early.
            OSError: it cannot be read or decompressed.
            ValueError: the page's checksum does not match its bytes.
        """
        if page.head is not None and self._read(page, page.head, out):
            return
        if self._decoded is None:
            self._decoded = self._decode()
        np.copyto(out, self._decoded[page.first : page.first + page.rows])

    def _read(self, page: Page, head: PageHead, out: Embeddings) -> bool:
        """Read a page; False if its levels are not the expected ones."""
        levels = full_levels(page.rows, self._dims)
        if head.size != len(levels) + out.size * self._kind.itemsize:
            return False
        if self._codec is None:
            return self._read_plain(page, head, levels, out)
        stored = memoryview(bytearray(head.stored_size))
        self._source.read_into([stored], page.position)
        _check(page, head, crc32(stored))
        # Arrow's buffers are of signed bytes, which never equal others from 128 on.
        body = memoryview(self._codec.decompress(stored, head.size)).cast("B")
        if body[: len(levels)] != levels:
            return False
        values = np.frombuffer(body[len(levels) :], np.uint8)
        if head.encoding == Encoding.PLAIN:
            np.copyto(out, values.view(self._kind).reshape(out.shape))
        elif head.encoding == Encoding.BYTE_STREAM_SPLIT and self._kind.itemsize == out.itemsize:
            join_byte_streams(values.reshape(4, -1), out.view(np.uint8).reshape(-1, 4))
        else:
            return False
        return True

    def _read_plain(self, page: Page, head: PageHead, levels: bytes, out: Embeddings) -> bool:
        """Read an uncompressed page with one call."""
        if head.stored_size != head.size or head.encoding != Encoding.PLAIN:
            return False
        is_wide = self._kind.itemsize == out.itemsize
        stored = out if is_wide else np.empty(out.shape, self._kind)
        found, values = memoryview(bytearray(len(levels))), stored.data.cast("B")
        self._source.read_into([found, values], page.position)
        _check(page, head, crc32(values, crc32(found)))
        if found != levels:
            return False
        if not is_wide:
            np.copyto(out, stored)
        return True


def _check(page: Page, head: PageHead, found: int) -> None:
    if head.crc not in {None, found}:
        raise ValueError(
            f"the page at byte {page.position} has the CRC32 {found:08x}, expected {head.crc:08x}"
        )
