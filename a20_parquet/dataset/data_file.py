"""One data file, opened for reading: metadata columns and embeddings of any of its rows."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.chunk_check import check_chunks, stored_columns
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import (
    CREATED_BY,
    LONGEST_HEADER,
    MAGIC,
    ChunkPlace,
    EmbeddingPages,
    Embeddings,
    HeldInput,
    Input,
    LocalInput,
    Page,
)
from a20_parquet.windows.schema import EMBEDDING

Rows = npt.NDArray[np.int64]
"""Numbers of rows, from 0."""

# What other writers of the same values may call them.
_LARGE = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
_MEND = "It is damaged or was changed: copy or convert the dataset again."


class DataFile:
    """A file that the catalog names; a context manager, for one thread.

    Attributes:
        rows: of each row group.
    """

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
        self._size = size
        self._reading = _Reading(self._url)
        self._footer: ExitStack | None = None
        self._local: LocalInput | None = None
        with self._reading:
            if catalog.is_local:
                self._local = LocalInput(self._path)
                found = self._local.size
            else:
                found = catalog.filesystem.size(self._path)
        try:
            self._check_size(found, size)
            self.rows = self._rows_of_groups(rows)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing more can be read of it."""
        if self._local is not None:
            self._local.close()
            self._local = None
        if self._footer is not None:
            self._footer.close()

    def _check_size(self, found: int, expected: int) -> None:
        if found != expected:
            raise DatasetError(
                f"{self._url} has {found} bytes, expected {expected} as in files.parquet. {_MEND}"
            )

    def _rows_of_groups(self, rows: int) -> list[int]:
        if rows <= self._catalog.manifest.options.row_group_rows:
            return [rows]
        footer = self._parquet.metadata
        groups = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        if sum(groups) != rows or min(groups) < 0:
            raise DatasetError(
                f"{self._url} has {sum(groups)} rows, expected {rows} as in files.parquet. {_MEND}"
            )
        return groups

    @property
    def schema(self) -> Any:
        """The Arrow schema of its columns.

        Raises:
            DatasetError: the file can't be read.
        """
        with self._reading:
            return self._parquet.schema_arrow

    @property
    def stored_rows(self) -> int:
        """How many rows its own footer tells.

        Raises:
            DatasetError: the file can't be read.
        """
        with self._reading:
            return int(self._parquet.metadata.num_rows)

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
        expected = stored_columns(self._catalog.dims, self._catalog.features)
        with self._reading:
            indices = self._check_chunks(groups, columns)
            table = self._parquet.read_row_groups(groups, column_indices=indices, use_threads=False)
            # Texts that are none, and lists that end before they begin, crash others.
            table.validate(full=True)
        rows = sum(self.rows[group] for group in groups)
        if len(table) != rows:
            raise DatasetError(
                f"{self._url} has {len(table)} rows in row groups {list(groups)}, expected "
                f"{rows}. {_MEND}"
            )
        if missing := set(columns).difference(table.column_names):
            raise DatasetError(f"{self._url} has no column {', '.join(sorted(missing))}. {_MEND}")
        is_ours = self._parquet.metadata.created_by == CREATED_BY.decode()
        for field in table.schema:
            wanted, found = expected[field.name].field, field.type
            is_same = found == wanted.type or _LARGE.get(found) == wanted.type
            # Where a damaged footer says otherwise of nulls, values are others.
            if not is_same or (is_ours and field.nullable != wanted.nullable):
                raise DatasetError(
                    f"{self._url}: its column {field.name} is {field.type}"
                    f"{'' if field.nullable else ' not null'}, expected {wanted.type}"
                    f"{'' if wanted.nullable else ' not null'}. {_MEND}"
                )
        table = table.select(columns)
        if is_ours:
            return table
        with self._reading:
            schema = pa.schema([expected[name].field for name in columns])
            # Arrow cannot cast lists that are null, even to their own type.
            arrays = [
                column if column.type == field.type else column.cast(field.type)
                for field, column in zip(schema, table.columns, strict=True)
            ]
            return pa.table(arrays, schema=schema)

    def pages(self, group: int) -> Iterator[tuple[EmbeddingPages, Page]]:
        """Find the pages of a row group's embeddings, each when the next is asked for.

        Raises:
            DatasetError: the file can't be read.
        """
        with self._reading:
            found = self._pages(group)
            for page in found.pages():
                yield found, page

    def read_page(self, pages: EmbeddingPages, page: Page, out: Embeddings) -> None:
        """Read one page of embeddings.

        Args:
            pages: of a row group of this file.
            page: one of them.
            out: gets its rows, shape ``(page.rows, dims)``.

        Raises:
            DatasetError: the file can't be read, or the page's checksum is not that of its bytes.
        """
        with self._reading:
            pages.read(page, out)

    @cached_property
    def _parquet(self) -> Any:
        """The file as pyarrow reads it, footer and all: needed for most, not for embeddings."""
        self._footer = ExitStack()
        with self._reading:
            if self._local is None:
                source = self._catalog.filesystem.open(self._path, "rb")
            else:
                source = pa.OSFile(self._path)
            self._footer.enter_context(source)
            # Unlike ParquetFile it works out no paths of columns, which takes as long as a file.
            reader = pq.ParquetReader()
            reader.open(source, pre_buffer=self._local is None, page_checksum_verification=True)
            self._footer.callback(reader.close)
            return reader

    def _check_chunks(self, groups: Sequence[int], columns: Sequence[str]) -> list[int]:
        """Check column chunks before they are read; the columns' places in the file."""
        stored = stored_columns(self._catalog.dims, self._catalog.features)
        check_chunks(
            self._parquet.metadata,
            stored,
            columns=columns,
            groups=groups,
            rows=self.rows,
            size=self._size,
        )
        return [stored[name].place for name in columns]

    def _pages(self, group: int) -> EmbeddingPages:
        compression = self._catalog.manifest.options.compression
        if self._local is not None and len(self.rows) == 1:
            # The embeddings come first, and the manifest says the rest.
            place = ChunkPlace(len(MAGIC), compression)
            return self._find(group, self._local, place)
        self._check_chunks([group], [EMBEDDING])
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
        self._check_chunks([group], [EMBEDDING])
        table = self._parquet.read_row_group(group, column_indices=[0], use_threads=False)
        column = table[EMBEDDING].combine_chunks()
        floats: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
        shape = (self.rows[group], self._catalog.dims)
        if floats.shape != (shape[0] * shape[1],):
            raise DatasetError(
                f"{self._url}: row group {group} has {len(floats)} floats, expected "
                f"{shape[0]} embeddings of {shape[1]}. {_MEND}"
            )
        return floats.reshape(shape)


class _Reading:
    """Turns what can happen while a file is read into one kind of error; may be entered again."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, FileNotFoundError):
            raise DatasetError(
                f"{self._url} is missing, though files.parquet names it. Copy or convert the "
                "dataset again."
            ) from error
        # Names that are no text, and numbers that fit nowhere, come from damaged footers.
        if isinstance(
            error,
            OSError | pa.ArrowException | LookupError | ValueError | OverflowError | MemoryError,
        ):
            raise DatasetError(f"{self._url}: can't be read: {error}. {_MEND}") from error
