"""Slices of data files: reads the metadata and embeddings of their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, Rows
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.dataset.joined_files import Turn, WholeFile, read_joined
from a20_parquet.dataset.small_files import is_small, read_small
from a20_parquet.parquet import EmbeddingPages, Embeddings, Page

# A batch may have hundreds of files.
_MOST_OPEN: Final = 8

Mask = npt.NDArray[np.bool_]
"""One item per row."""


@dataclass(slots=True, kw_only=True)
class FileSlice:
    """The row groups of a data file that begin in a range of its rows; for one thread.

    The file is opened when something is first read.
    """

    catalog: Catalog
    path: str
    """Relative to the dataset."""
    size: int
    """Bytes of the whole file."""
    rows: int
    """Rows of the whole file."""
    before: int
    """Windows of the dataset before this file."""
    keys: tuple[Any, ...]
    """Values of the columns that the list of files tells."""
    first: int
    """First row of the range in the file."""
    end: int
    """One past the range's last row."""
    limit: int
    """Only rows of the file before this one are wanted."""
    _file: DataFile | None = field(default=None, init=False, repr=False)

    @property
    def bytes(self) -> int:
        """Estimated bytes of the file in this slice."""
        return self.size * (self.end - self.first) // self.rows

    @property
    def is_whole(self) -> bool:
        """Whether the slice is the whole file."""
        return (self.first, self.end) == (0, self.rows)

    @property
    def is_small(self) -> bool:
        """Whether ``read_small`` may read the slice."""
        return self.is_whole and is_small(self.catalog, self.rows)

    def read_small(self, out: Embeddings) -> bool:
        """Read all embeddings with one read; False if that was not possible."""
        return read_small(self.catalog, self.path, self.size, out)

    @property
    def file(self) -> DataFile:
        """The opened file."""
        if self._file is None:
            self._file = DataFile(self.catalog, self.path, rows=self.rows, size=self.size)
        return self._file

    def close(self) -> None:
        """Close the file; the next read opens it again. A batch may have hundreds of files."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def groups(self) -> list[int]:
        """Numbers of the slice's row groups in the file."""
        rows = self.file.rows
        if self.is_whole:
            return list(range(len(rows)))
        starts = accumulate(rows[:-1], initial=0)
        return [number for number, start in enumerate(starts) if self.first <= start < self.end]

    @property
    def start(self) -> int:
        """Rows of the file before this slice."""
        return 0 if self.is_whole else sum(self.file.rows[: next(iter(self.groups), 0)])

    def wanted(self) -> Mask:
        """Return a mask of the slice's rows before ``limit``."""
        if self.is_whole:
            return np.ones(self.rows, np.bool_)
        start = self.start
        count = sum(self.file.rows[group] for group in self.groups)
        return np.arange(start, start + count) < self.limit

    def pages(self, kept: Mask) -> Iterator[tuple[int, EmbeddingPages, Page]]:
        """Find the slice's pages of embeddings that have kept rows, and maybe others.

        Args:
            kept: a mask of the slice's rows.

        Yields:
            The number of a page's first row in this slice, its row group's reader, and the page.

        Raises:
            DatasetError: the file cannot be read.
        """
        start = 0
        for group in self.groups:
            end = start + self.file.rows[group]
            rows = np.flatnonzero(kept[start:end])
            if len(rows):
                for pages, page in self.file.pages(group, (int(rows[0]), int(rows[-1]))):
                    yield start + page.first, pages, page
            start = end


def count_rows(kept: Sequence[Mask]) -> int:
    """Count the rows in masks."""
    return sum(int(np.count_nonzero(rows)) for rows in kept)


def read_metadata(slices: Sequence[FileSlice], columns: Sequence[str], turn: Turn) -> Any:
    """Read columns other than the embedding, for all rows.

    Args:
        slices: at least one, in the dataset's order.
        columns: at least one name.
        turn: shared by the threads of a query.

    Returns:
        A ``pyarrow.Table``.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    joined = _read_whole_files(slices, columns, turn)
    if joined is not None:
        return joined
    tables = []
    for part in slices:
        tables.append(part.file.metadata(part.groups, columns, validate=False))
        if part.catalog.is_local and len(slices) > _MOST_OPEN:
            part.close()
    table = pa.concat_tables(tables)
    try:
        # One check of all tables takes a third of the time of one per small file.
        table.validate(full=True)
    except pa.ArrowException:
        for part, of_part in zip(slices, tables, strict=True):
            part.file.check_values(of_part)
        raise
    return table


def _read_whole_files(slices: Sequence[FileSlice], columns: Sequence[str], turn: Turn) -> Any:
    """Read all slices with one call, if they are whole files as this program writes; else None."""
    catalog = slices[0].catalog
    if len(slices) == 1 or not catalog.is_local or not all(part.is_whole for part in slices):
        return None
    files = [WholeFile(part.path, part.rows, part.size) for part in slices]
    table = read_joined(catalog, files, columns, turn)
    try:
        if table is not None:
            table.validate(full=True)
    except pa.ArrowException:
        # Reading them one by one finds the damaged one.
        return None
    return table


def read_embeddings(slices: Sequence[FileSlice], kept: Sequence[Mask], out: Embeddings) -> None:
    """Read the embeddings of the kept rows, and close the files.

    Args:
        slices: in the dataset's order.
        kept: a mask of the rows of each slice.
        out: gets the kept rows, shape ``(rows, dims)``.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    dims = out.shape[1]
    filled = 0
    for part, rows in zip(slices, kept, strict=True):
        if not rows.any():
            continue
        if part.is_small and rows.all() and part.read_small(out[filled : filled + part.rows]):
            filled += part.rows
            continue
        for first, pages, page in part.pages(rows):
            of_page = rows[first : first + page.rows]
            count = int(np.count_nonzero(of_page))
            if count == page.rows:
                part.file.read_page(pages, page, out[filled : filled + count])
            elif count:
                whole = np.empty((page.rows, dims), np.float32)
                part.file.read_page(pages, page, whole)
                np.compress(of_page, whole, axis=0, out=out[filled : filled + count])
            filled += count
        part.close()


def read_blocks(
    slices: Sequence[FileSlice],
    kept: Sequence[Mask],
    scratch: EmbeddingBuffer,
    dims: int,
    *,
    block_bytes: int = 4 << 20,
) -> Iterator[tuple[Rows, Embeddings]]:
    """Read the embeddings of the kept rows block by block, and close the files.

    Args:
        slices: in the dataset's order.
        kept: a mask of the rows of each slice.
        scratch: memory for a block.
        dims: floats per embedding.
        block_bytes: bytes of embeddings per block, or one longer page. Smaller ones fit into a
            core's own cache, but threads then wait for each other in Python, which takes longer.

    Yields:
        Numbers of windows in the dataset, ascending, and their embeddings, which are overwritten by
        the next block.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    most = max(1, block_bytes // (4 * dims))
    scratch.rows(most, dims)  # growing page by page would copy
    numbers: list[Rows] = []
    filled = 0
    for part, rows in zip(slices, kept, strict=True):
        if part.is_small and rows.all():
            if filled and filled + part.rows > most:
                yield np.concatenate(numbers), scratch.rows(filled, dims)
                numbers, filled = [], 0
            if part.read_small(scratch.rows(filled + part.rows, dims)[filled:]):
                numbers.append(np.arange(part.before, part.before + part.rows))
                filled += part.rows
                continue
        before = part.before + part.start
        for first, pages, page in part.pages(rows):
            wanted = np.flatnonzero(rows[first : first + page.rows])
            if not len(wanted):
                continue
            if filled and filled + page.rows > most:
                yield np.concatenate(numbers), scratch.rows(filled, dims)
                numbers, filled = [], 0
            block = scratch.rows(filled + page.rows, dims)[filled:]
            part.file.read_page(pages, page, block)
            if len(wanted) < page.rows:
                block[: len(wanted)] = block[wanted]
            numbers.append(before + first + wanted)
            filled += len(wanted)
        part.close()
    if filled:
        yield np.concatenate(numbers), scratch.rows(filled, dims)
