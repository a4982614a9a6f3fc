"""Reads embeddings without decoding the levels of their elements.

General readers work out two levels for each of the 1,280 floats of an embedding, which takes them
nine tenths of their time. Where the levels are those that ``ListColumn`` writes when nothing
is null, which one comparison tells, all that is left to do is to copy the floats.

Source: apache/parquet-format, ``parquet.thrift`` (``PageHeader``) and ``Encodings.md``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from a20_parquet.parquet.format.encodings import join_byte_streams
from a20_parquet.parquet.format.levels import ListLevels
from a20_parquet.parquet.format.schema import Encoding
from a20_parquet.parquet.input import Input
from a20_parquet.parquet.pages import (
    Compression,
    PageHead,
    crc32,
    read_data_page_header,
)

Embeddings: TypeAlias = npt.NDArray[np.float32]
"""Shape ``(rows, dims)``, C-contiguous."""

LONGEST_HEADER = 64
"""So many bytes are read to find a page's header, though it may be shorter."""


@lru_cache(maxsize=1 << 8)
def _full_levels(rows: int, dims: int) -> bytes:
    return ListLevels(dims, nullable=False).full(rows)


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Where the embeddings of a row group lie."""

    position: int
    """Of the first page in the file, in bytes."""
    compression: Compression


@dataclass(frozen=True, slots=True)
class Page:
    """Consecutive rows of a row group that are stored together."""

    first: int
    """The first row's number in its row group."""
    rows: int
    position: int = 0
    """Of its levels in the file, in bytes."""
    head: PageHead | None = None
    """None where it is not of the expected form."""


class EmbeddingPages:
    """The embeddings of one row group; for one thread."""

    def __init__(
        self,
        source: Input,
        place: ChunkPlace,
        *,
        rows: int,
        dims: int,
        decode: Callable[[], Embeddings],
    ) -> None:
        """Take the row group; nothing is read yet.

        Args:
            source: of the file's bytes.
            place: of the row group's embeddings.
            rows: of the row group.
            dims: floats an embedding.
            decode: reads the row group's embeddings with a general reader, as an array of shape
                ``(rows, dims)``; used where the pages are not of the expected form.
        """
        self._source = source
        self._rows = rows
        self._dims = dims
        self._decode = decode
        self._decoded: Embeddings | None = None
        self._start = place.position
        self._codec = place.compression.compressor()

    def pages(self) -> Iterator[Page]:
        """Follow the headers, whose lengths and sizes nothing else tells.

        Yields:
            The pages in row order, together all rows. From the first one on that is not of the
            expected form, the rest is one page.

        Raises:
            DatasetError: the file ends too early.
            OSError: it can't be read.
        """
        first, position = 0, self._start
        # Behind a page's header there are more bytes than this: its levels, or at least a footer.
        buffer = memoryview(bytearray(LONGEST_HEADER))
        while first < self._rows:
            self._source.read_into([buffer], position)
            head = read_data_page_header(buffer)
            rows, rest = (0, 1) if head is None else divmod(head.values, self._dims)
            if head is None or rest or not 0 < rows <= self._rows - first:
                yield Page(first, self._rows - first)
                return
            position += head.header_size
            yield Page(first, rows, position, head)
            first += rows
            position += head.stored_size

    def read(self, page: Page, out: Embeddings) -> None:
        """Read one page.

        Args:
            page: one of ``pages``.
            out: gets its rows, shape ``(page.rows, dims)``.

        Raises:
            DatasetError: the file ends too early.
            OSError: it can't be read or decompressed.
            ValueError: its checksum is not that of its bytes.
        """
        if page.head is not None and self._read(page, page.head, out):
            return
        if self._decoded is None:
            self._decoded = self._decode()
        np.copyto(out, self._decoded[page.first : page.first + page.rows])

    def _read(self, page: Page, head: PageHead, out: Embeddings) -> bool:
        """Read a page whose levels are the expected ones; else say so."""
        levels = _full_levels(page.rows, self._dims)
        if head.size != len(levels) + out.nbytes:
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
            np.copyto(out, values.view("<f4").reshape(out.shape))
        elif head.encoding == Encoding.BYTE_STREAM_SPLIT:
            join_byte_streams(values.reshape(4, -1), out.view(np.uint8).reshape(-1, 4))
        else:
            return False
        return True

    def _read_plain(self, page: Page, head: PageHead, levels: bytes, out: Embeddings) -> bool:
        """Read an uncompressed page with one call."""
        if head.stored_size != head.size or head.encoding != Encoding.PLAIN:
            return False
        found, values = memoryview(bytearray(len(levels))), out.data.cast("B")
        self._source.read_into([found, values], page.position)
        _check(page, head, crc32(values, crc32(found)))
        return found == levels


def _check(page: Page, head: PageHead, found: int) -> None:
    if head.crc not in {None, found}:
        raise ValueError(
            f"the page at byte {page.position} has the CRC32 {found:08x}, expected {head.crc:08x}"
        )
