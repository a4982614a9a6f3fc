"""Reads embeddings without decoding the levels of their elements.

General readers work out two levels for each of the 1,280 floats of an embedding, which takes them
nine tenths of their time. Where the levels are those that ``ListColumn`` writes when nothing
is null, which one comparison tells, all that is left to do is to copy the floats.

Source: apache/parquet-format, ``parquet.thrift`` (``PageHeader``) and ``Encodings.md``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from a20_parquet.dataset.parquet.encoding import join_byte_streams
from a20_parquet.dataset.parquet.input import Input
from a20_parquet.dataset.parquet.levels import ListLevels
from a20_parquet.dataset.parquet.lists import rows_a_page
from a20_parquet.dataset.parquet.pages import (
    Compression,
    PageHead,
    data_page_header,
    read_data_page_header,
)
from a20_parquet.dataset.parquet.structures import Encoding
from a20_parquet.errors import DatasetError

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
    """Of its levels, or of its header where there is a ``prefix``; in bytes from the row group's
    first page."""
    prefix: bytes | None = None
    """What stands before an uncompressed page's floats if it is of the expected form."""
    head: PageHead | None = None
    """Of a compressed page."""


@lru_cache(maxsize=1 << 8)
def _expected_prefix(rows: int, dims: int) -> bytes:
    """Header and levels of an uncompressed page."""
    levels = _full_levels(rows, dims)
    size = len(levels) + 4 * rows * dims
    return data_page_header(size, size, rows * dims, Encoding.PLAIN) + levels


@lru_cache(maxsize=1 << 10)
def _expected_pages(rows: int, dims: int) -> tuple[Page, ...]:
    """The pages of a row group as ``ListColumn`` writes them uncompressed."""
    pages, position = [], 0
    for first in range(0, rows, rows_a_page(dims)):
        count = min(rows_a_page(dims), rows - first)
        prefix = _expected_prefix(count, dims)  # shared by all pages but the last
        pages.append(Page(first, count, position, prefix))
        position += len(prefix) + 4 * count * dims
    return tuple(pages)


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
        """Find the pages.

        Args:
            source: of the file's bytes.
            place: of the row group's embeddings.
            rows: of the row group.
            dims: floats an embedding.
            decode: reads the row group's embeddings with a general reader, as an array of shape
                ``(rows, dims)``; used where the pages are not of the expected form.

        Raises:
            DatasetError: the file ends too early.
            OSError: it can't be read.
        """
        self._source = source
        self._dims = dims
        self._decode = decode
        self._decoded: Embeddings | None = None
        self._start = place.position
        self._codec = place.compression.compressor()
        self.pages = _expected_pages(rows, dims) if self._codec is None else self._find(rows)
        """In row order, together all rows."""

    def read(self, page: Page, out: Embeddings) -> None:
        """Read one page.

        Args:
            page: one of ``pages``.
            out: gets its rows, shape ``(page.rows, dims)``.

        Raises:
            DatasetError: the file ends too early.
            OSError: it can't be read or decompressed.
        """
        if page.prefix is not None and self._read_expected(page, page.prefix, out):
            return
        if page.head is not None and self._read_compressed(page, page.head, out):
            return
        if self._decoded is None:
            self._decoded = self._decode()
        np.copyto(out, self._decoded[page.first : page.first + page.rows])

    def _find(self, rows: int) -> Sequence[Page]:
        """Follow the headers of compressed pages, whose sizes nothing else tells."""
        found: list[Page] = []
        first = position = 0
        # Behind a page's header there are more bytes than this: its levels, or at least a footer.
        buffer = memoryview(bytearray(LONGEST_HEADER))
        while first < rows:
            self._source.read_into([buffer], self._start + position)
            head = read_data_page_header(buffer)
            if head is None or not head.values or head.values % self._dims:
                break
            position += head.header_size
            found.append(Page(first, head.values // self._dims, position, head=head))
            first += found[-1].rows
            position += head.stored_size
        return found if first == rows else [Page(0, rows)]

    def _read_expected(self, page: Page, prefix: bytes, out: Embeddings) -> bool:
        """Read a page with one call, if it is of the expected form; else say so."""
        found = bytearray(len(prefix))
        try:
            self._source.read_into(
                [memoryview(found), out.data.cast("B")], self._start + page.position
            )
        except DatasetError:
            return False  # other pages may be smaller
        return found == prefix

    def _read_compressed(self, page: Page, head: PageHead, out: Embeddings) -> bool:
        """Read a page whose levels are the expected ones; else say so."""
        levels = _full_levels(page.rows, self._dims)
        if self._codec is None or head.size != len(levels) + out.nbytes:
            return False
        stored = bytearray(head.stored_size)
        self._source.read_into([memoryview(stored)], self._start + page.position)
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
