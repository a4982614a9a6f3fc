"""Reads embeddings without decoding the levels of their elements.

General readers work out two levels for each of the 1,280 floats of an embedding, which takes them
nine tenths of their time. Where the levels are those that ``EmbeddingColumn`` writes when nothing
is null, which one comparison tells, all that is left to do is to copy the floats.

Source: apache/parquet-format, ``parquet.thrift`` (``PageHeader``) and ``Encodings.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from a20_parquet.dataset.parquet.encoding import join_byte_streams
from a20_parquet.dataset.parquet.input import Input
from a20_parquet.dataset.parquet.levels import ListLevels
from a20_parquet.dataset.parquet.pages import Compression, PageHead, read_data_page_header
from a20_parquet.dataset.parquet.structures import Encoding

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
    position: int
    """In the file, behind the page's header."""
    head: PageHead | None
    """None where only the general reader can read the row group, as a single page."""


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
        self._codec = place.compression.compressor()
        pages = self._find(place.position, rows)
        self.pages = [Page(0, rows, 0, None)] if pages is None else pages
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
        if self._read_known(page, out):
            return
        if self._decoded is None:
            self._decoded = self._decode()
        np.copyto(out, self._decoded[page.first : page.first + page.rows])

    def _find(self, position: int, rows: int) -> list[Page] | None:
        found, first = [], 0
        # Behind a page's header there are more bytes than this: its levels, or at least a footer.
        buffer = memoryview(bytearray(LONGEST_HEADER))
        while first < rows:
            self._source.read_into([buffer], position)
            head = read_data_page_header(buffer)
            if head is None or not head.values or head.values % self._dims:
                return None
            position += head.header_size
            found.append(Page(first, head.values // self._dims, position, head))
            first += found[-1].rows
            position += head.stored_size
        return found if first == rows else None

    def _read_known(self, page: Page, out: Embeddings) -> bool:
        """Read a page whose levels are the expected ones; else say so."""
        if page.head is None:
            return False
        levels = _full_levels(page.rows, self._dims)
        if page.head.size != len(levels) + out.nbytes:
            return False
        if self._codec is None and page.head.encoding == Encoding.PLAIN:
            found = bytearray(len(levels))
            self._source.read_into([memoryview(found), out.data.cast("B")], page.position)
            return found == levels
        stored = bytearray(page.head.stored_size)
        self._source.read_into([memoryview(stored)], page.position)
        # Arrow's buffers are of signed bytes, which never equal others from 128 on.
        body = memoryview(
            stored if self._codec is None else self._codec.decompress(stored, page.head.size)
        ).cast("B")
        if body[: len(levels)] != levels:
            return False
        values = np.frombuffer(body[len(levels) :], np.uint8)
        if page.head.encoding == Encoding.PLAIN:
            np.copyto(out, values.view("<f4").reshape(out.shape))
        elif page.head.encoding == Encoding.BYTE_STREAM_SPLIT:
            join_byte_streams(values.reshape(4, -1), out.view(np.uint8).reshape(-1, 4))
        else:
            return False
        return True
