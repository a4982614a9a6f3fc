"""One data file, opened for reading: metadata columns and embeddings of any of its rows."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.parquet import (
    LONGEST_HEADER,
    MAGIC,
    ChunkPlace,
    EmbeddingPages,
    Embeddings,
    HeldInput,
    Input,
    LocalInput,
)
from a20_parquet.errors import DatasetError
from a20_parquet.table.schema import EMBEDDING

Mask = npt.NDArray[np.bool_]
"""One item a row."""
Rows = npt.NDArray[np.int64]
"""Numbers of rows, from 0."""

_MEND = "It is damaged or was changed: copy or convert the dataset again."


class DataFile:
    """A file that the catalog names; a context manager, for one thread."""

    def __init__(self, catalog: Catalog, path: str, *, rows: int, size: int) -> None:
        """Open the file.

        Args:
            catalog: of its dataset.
            path: relative to the dataset.
            rows: of the file, as the catalog has it.
            size: in bytes, likewise.

        Raises:
            DatasetError: it is missing, or is not as the dataset wrote it.
        """
        self._catalog = catalog
        self._path = catalog.path(path)
        self._url = catalog.url(path)
        self._rows = rows
        self._opened = ExitStack()
        self._local: LocalInput | None = None
        with self._reading(), ExitStack() as opened:
            if catalog.is_local:
                self._local = opened.enter_context(LocalInput(self._path))
                found = self._local.size
            else:
                found = catalog.filesystem.size(self._path)
            if found != size:
                raise DatasetError(
                    f"{self._url} has {found} bytes, expected {size} as in files.parquet. {_MEND}"
                )
            self._opened = opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing more can be read of it."""
        self._opened.close()

    @cached_property
    def rows(self) -> list[int]:
        """Of each row group.

        Raises:
            DatasetError: the file can't be read, or has more or fewer in all.
        """
        if self._rows <= self._catalog.manifest.options.row_group_rows:
            return [self._rows]
        footer = self._parquet.metadata
        rows = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        if sum(rows) != self._rows or min(rows) < 0:
            raise DatasetError(
                f"{self._url} has {sum(rows)} rows, expected {self._rows} as in files.parquet. "
                f"{_MEND}"
            )
        return rows

    def metadata(self, groups: Sequence[int], columns: Sequence[str]) -> Any:
        """Read columns but for the embedding.

        Args:
            groups: numbers of the row groups.
            columns: names, at least one.

        Returns:
            A ``pyarrow.Table`` of all the groups' rows, its columns in the order of ``columns``.

        Raises:
            DatasetError: the file can't be read.
        """
        with self._reading():
            table = self._parquet.read_row_groups(groups, columns=columns, use_threads=False)
        expected = sum(self.rows[group] for group in groups)
        if len(table) != expected:
            raise DatasetError(
                f"{self._url} has {len(table)} rows in row groups {list(groups)}, expected "
                f"{expected}. {_MEND}"
            )
        if missing := set(columns) - set(table.column_names):
            raise DatasetError(f"{self._url} has no column {', '.join(sorted(missing))}. {_MEND}")
        return table.select(columns)

    def embeddings(self, group: int, keep: Mask, out: Embeddings) -> None:
        """Read the embeddings of some rows of a row group.

        Args:
            group: the row group's number.
            keep: which of its rows.
            out: gets them, shape ``(rows kept, dims)``.

        Raises:
            DatasetError: the file can't be read.
        """
        filled = 0
        with self._reading():
            pages = self._pages(group)
            for page in pages.pages:
                kept = keep[page.first : page.first + page.rows]
                count = int(np.count_nonzero(kept))
                if count == page.rows:
                    pages.read(page, out[filled : filled + count])
                elif count:
                    whole = np.empty((page.rows, out.shape[1]), np.float32)
                    pages.read(page, whole)
                    np.compress(kept, whole, axis=0, out=out[filled : filled + count])
                filled += count

    def embedding_blocks(self, group: int, scratch: "Scratch") -> Iterator[tuple[int, Embeddings]]:
        """Read the embeddings of a row group block after block.

        Args:
            group: the row group's number.
            scratch: lends the memory.

        Yields:
            The number of a block's first row in the row group, and the block, which lasts until the
            next one.

        Raises:
            DatasetError: the file can't be read.
        """
        with self._reading():
            pages = self._pages(group)
        for page in pages.pages:
            block = scratch.rows(page.rows, self._catalog.dims)
            with self._reading():
                pages.read(page, block)
            yield page.first, block

    @cached_property
    def _parquet(self) -> Any:
        """The file as pyarrow reads it, footer and all: needed for most, not for embeddings."""
        if self._local is None:
            source = self._catalog.filesystem.open(self._path, "rb")
        else:
            source = pa.OSFile(self._path)
        self._opened.enter_context(source)
        with self._reading():
            return self._opened.enter_context(pq.ParquetFile(source))

    def _pages(self, group: int) -> EmbeddingPages:
        compression = self._catalog.manifest.options.compression
        if self._local is not None and len(self.rows) == 1:
            # The embeddings come first, and the manifest says the rest.
            place = ChunkPlace(len(MAGIC), compression)
            return self._find(group, self._local, place)
        chunk = self._parquet.metadata.row_group(group).column(0)
        place = ChunkPlace(chunk.data_page_offset, compression)
        return self._find(group, self._local or self._fetch(chunk), place)

    def _find(self, group: int, source: Input, place: ChunkPlace) -> EmbeddingPages:
        return EmbeddingPages(
            source,
            place,
            rows=self.rows[group],
            dims=self._catalog.dims,
            decode=lambda: self._decode(group),
        )

    def _fetch(self, chunk: Any) -> HeldInput:
        """Get a whole column chunk with one request."""
        start = chunk.data_page_offset
        end = start + chunk.total_compressed_size + LONGEST_HEADER
        content = self._catalog.filesystem.cat_file(self._path, start=start, end=end)
        return HeldInput(content, start, self._url)

    def _decode(self, group: int) -> Embeddings:
        """Read a row group's embeddings with pyarrow, whatever their pages are like."""
        table = self._parquet.read_row_group(group, columns=[EMBEDDING], use_threads=False)
        column = table[EMBEDDING].combine_chunks()
        floats: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
        shape = (self.rows[group], self._catalog.dims)
        if floats.shape != (shape[0] * shape[1],):
            raise DatasetError(
                f"{self._url}: row group {group} has {len(floats)} floats, expected "
                f"{shape[0]} embeddings of {shape[1]}. {_MEND}"
            )
        return floats.reshape(shape)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise DatasetError(
                f"{self._url} is missing, though files.parquet names it. Copy or convert the "
                "dataset again."
            ) from error
        # Names that are no text, and numbers that fit nowhere, come from damaged footers.
        except (OSError, pa.ArrowException, LookupError, ValueError, OverflowError) as error:
            raise DatasetError(f"{self._url}: can't be read: {error}. {_MEND}") from error


class Scratch:
    """Memory for one block of embeddings after the other; for one thread."""

    def __init__(self) -> None:
        self._memory: npt.NDArray[np.float32] = np.empty(0, np.float32)

    def rows(self, rows: int, dims: int) -> Embeddings:
        """Lend memory of shape ``(rows, dims)`` until the next call."""
        if len(self._memory) < rows * dims:
            self._memory = np.empty(rows * dims, np.float32)
        return self._memory[: rows * dims].reshape(rows, dims)
