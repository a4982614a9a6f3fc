"""Parts of data files, and the embeddings of those of their rows that are wanted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, Rows
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.parquet import EmbeddingPages, Embeddings, Page

Mask = npt.NDArray[np.bool_]
"""One item a row."""

# Large enough that several small files are handed on together, small enough for a core's cache.
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePart:
    """Those row groups of a data file that begin in a range of its rows."""

    path: str
    """Relative to the dataset."""
    size: int
    """Of the whole file, in bytes."""
    rows: int
    """Of the whole file."""
    before: int
    """How many windows of the dataset lie in the files before this one."""
    keys: tuple[Any, ...]
    """Values of the Hive keys."""
    first: int
    """First row of the range in the file."""
    end: int
    """Behind its last row."""
    limit: int
    """Behind the last row of the file that is wanted."""

    @property
    def bytes(self) -> int:
        """About how many bytes of the file it takes."""
        return self.size * (self.end - self.first) // self.rows


class Piece:
    """A part of a file, which is opened when something is first read of it; for one thread."""

    def __init__(self, catalog: Catalog, part: FilePart) -> None:
        """Take the part.

        Args:
            catalog: of its dataset.
            part: of the file.
        """
        self.part = part
        self.is_local = catalog.is_local
        self.is_whole = (part.first, part.end) == (0, part.rows)
        """Whether it is all of its file."""
        self._catalog = catalog
        self._file: DataFile | None = None

    @property
    def file(self) -> DataFile:
        """Its file, opened."""
        if self._file is None:
            part = self.part
            self._file = DataFile(self._catalog, part.path, rows=part.rows, size=part.size)
        return self._file

    def close(self) -> None:
        """Close its file until something more is read of it: a batch may have hundreds."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def groups(self) -> list[int]:
        """Numbers of its row groups."""
        rows = self.file.rows
        if self.is_whole:
            return list(range(len(rows)))
        first, end = self.part.first, self.part.end
        starts = accumulate(rows[:-1], initial=0)
        return [number for number, start in enumerate(starts) if first <= start < end]

    @property
    def start(self) -> int:
        """How many rows of its file lie before it."""
        return 0 if self.is_whole else sum(self.file.rows[: next(iter(self.groups), 0)])

    def wanted(self) -> Mask:
        """Which of its rows are wanted, as far as the limit decides."""
        if self.is_whole:
            return np.ones(self.part.rows, np.bool_)
        start = self.start
        count = sum(self.file.rows[group] for group in self.groups)
        return np.arange(start, start + count) < self.part.limit

    def pages(self) -> Iterator[tuple[int, EmbeddingPages, Page]]:
        """Find its pages of embeddings.

        Yields:
            The number of a page's first row in the piece, and the page.

        Raises:
            DatasetError: the file can't be read.
        """
        start = 0
        for group in self.groups:
            for pages, page in self.file.pages(group):
                yield start + page.first, pages, page
            start += self.file.rows[group]


def read_metadata(pieces: Sequence[Piece], columns: Sequence[str]) -> Any:
    """Read columns of all rows of some pieces, but for the embedding.

    Args:
        pieces: in order, at least one.
        columns: names, at least one.

    Returns:
        A ``pyarrow.Table``.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    tables = []
    for piece in pieces:
        tables.append(piece.file.metadata(piece.groups, columns, validate=False))
        # A batch may have hundreds of files.
        if piece.is_local:
            piece.close()
    table = pa.concat_tables(tables)
    try:
        # Checked together, the tables of small files take a third of the time.
        table.validate(full=True)
    except pa.ArrowException:
        for piece, of_piece in zip(pieces, tables, strict=True):
            piece.file.check_values(of_piece)
        raise
    return table


def read_embeddings(pieces: Sequence[Piece], kept: Sequence[Mask], dims: int) -> Embeddings:
    """Read the embeddings of the rows that are kept, and close the pieces.

    Args:
        pieces: in order.
        kept: for each piece, which of its rows.
        dims: floats an embedding.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    out = np.empty((sum(np.count_nonzero(rows) for rows in kept), dims), np.float32)
    filled = 0
    for piece, rows in zip(pieces, kept, strict=True):
        for first, pages, page in piece.pages():
            of_page = rows[first : first + page.rows]
            count = int(np.count_nonzero(of_page))
            if count == page.rows:
                piece.file.read_page(pages, page, out[filled : filled + count])
            elif count:
                whole = np.empty((page.rows, dims), np.float32)
                piece.file.read_page(pages, page, whole)
                np.compress(of_page, whole, axis=0, out=out[filled : filled + count])
            filled += count
        piece.close()
    return out


def read_blocks(
    pieces: Sequence[Piece], kept: Sequence[Mask], scratch: EmbeddingBuffer, dims: int
) -> Iterator[tuple[Rows, Embeddings]]:
    """Read the embeddings of the rows that are kept, block after block, and close the pieces.

    Args:
        pieces: in order.
        kept: for each piece, which of its rows.
        scratch: lends the memory.
        dims: floats an embedding.

    Yields:
        Numbers of windows in the dataset, ascending, and their embeddings, which last until the
        next block.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    most = max(1, _BLOCK_BYTES // (4 * dims))
    numbers: list[Rows] = []
    filled = 0
    for piece, rows in zip(pieces, kept, strict=True):
        before = piece.part.before + piece.start
        for first, pages, page in piece.pages():
            wanted = np.flatnonzero(rows[first : first + page.rows])
            if not len(wanted):
                continue
            if filled and filled + page.rows > most:
                yield np.concatenate(numbers), scratch.rows(filled, dims)
                numbers, filled = [], 0
            block = scratch.rows(filled + page.rows, dims)[filled:]
            piece.file.read_page(pages, page, block)
            if len(wanted) < page.rows:
                block[: len(wanted)] = block[wanted]
            numbers.append(before + first + wanted)
            filled += len(wanted)
        piece.close()
    if filled:
        yield np.concatenate(numbers), scratch.rows(filled, dims)
