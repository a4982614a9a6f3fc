"""One data file, opened for reading: metadata columns and embeddings of any of its rows."""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.footer_check import (
    StoredColumns,
    check_group,
    read_row_groups,
    stored_columns,
)
from a20_parquet.dataset.page_range import PageRange
from a20_parquet.dataset.reading_errors import MEND, ReadingErrors
from a20_parquet.dataset.stored_types import as_ours
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import (
    LONGEST_HEADER,
    MAGIC,
    EmbeddingPages,
    Embeddings,
    Input,
    LocalInput,
    MemoryInput,
    Page,
    RowGroup,
    RowGroups,
    is_ours,
)
from a20_parquet.windows.schema import EMBEDDING

Rows = npt.NDArray[np.int64]
"""Numbers of rows, from 0."""


def file_size(path: str) -> int:
    """Return the size of a local file in bytes.

    Raises:
        OSError: there is no regular file. Opening a named pipe would wait for ever.
    """
    found = os.stat(path)  # noqa: PTH116 - faster, and called for each data file
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is a folder, a named pipe, a socket or a device, and no file")
    return found.st_size


class DataFile:
    """A file that the catalog names; a context manager, for one thread.

    Attributes:
        rows: the number of rows of each row group.
    """

    def __init__(self, catalog: Catalog, path: str, *, rows: int, size: int) -> None:
        """Check the file's size; it is opened when something is first read.

        Args:
            catalog: of its dataset.
            path: relative to the dataset.
            rows: of the file, as in the catalog.
            size: in bytes, likewise.

        Raises:
            DatasetError: the file is missing or was changed.
        """
        self._catalog = catalog
        self._path = catalog.path(path)
        self._url = catalog.url(path)
        self._size = size
        self._reading = ReadingErrors(self._url)
        self._source: Any = None
        self._reader: Any = None
        self._row_groups: RowGroups
        self._local: LocalInput | None = None
        with self._reading:
            found = (
                file_size(self._path) if catalog.is_local else catalog.filesystem.size(self._path)
            )
        if found != size:
            raise DatasetError(
                f"{self._url} has {found} bytes, expected {size} as in files.parquet. {MEND}"
            )
        try:
            self.rows = self._rows_of_groups(rows)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is open of the file."""
        if self._local is not None:
            self._local.close()
            self._local = None
        if self._reader is not None:
            self._reader.close()
            self._source.close()
            self._reader = None

    def _rows_of_groups(self, rows: int) -> list[int]:
        if rows <= self._catalog.head.options.row_group_rows:
            return [rows]
        footer = self._parquet.metadata
        groups = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
        if sum(groups) != rows or min(groups) < 0:
            raise DatasetError(
                f"{self._url} has {sum(groups)} rows, expected {rows} as in files.parquet. {MEND}"
            )
        return groups

    @property
    def schema(self) -> Any:
        """The Arrow schema of its columns.

        Raises:
            DatasetError: the file cannot be read.
        """
        with self._reading:
            return self._parquet.schema_arrow

    @property
    def stored_rows(self) -> int:
        """The number of rows in its own footer.

        Raises:
            DatasetError: the file cannot be read.
        """
        with self._reading:
            return int(self._parquet.metadata.num_rows)

    def metadata(
        self, groups: Sequence[int], names: Sequence[str], *, validate: bool = True
    ) -> Any:
        """Read columns other than the embedding.

        Args:
            groups: numbers of the row groups.
            names: of the columns, at least one.
            validate: whether to check the values. Unchecked values of a damaged file can crash the
                process: pass False only if ``check_values`` follows.

        Returns:
            A ``pyarrow.Table`` of all the groups' rows, its columns in the order of ``names``.

        Raises:
            DatasetError: the file cannot be read.
        """
        columns = self._columns(names)
        with self._reading:
            table = self._read(groups, columns)
        rows = sum(self.rows[group] for group in groups)
        if len(table) != rows:
            raise DatasetError(
                f"{self._url} has {len(table)} rows in row groups {list(groups)}, expected "
                f"{rows}. {MEND}"
            )
        is_same = table.schema.equals(columns.schema)
        if validate or not is_same:
            self.check_values(table)
        if is_same:
            return table
        with self._reading:
            from_here = is_ours(self._parquet.metadata.created_by)
            return as_ours(table, columns.schema, self._url, from_here=from_here)

    def check_values(self, table: Any) -> None:
        """Check values of this file: strings must be UTF-8, list offsets must ascend.

        Raises:
            DatasetError: they are damaged.
        """
        with self._reading:
            table.validate(full=True)

    def pages(
        self, group: int, wanted: tuple[int, int] | None = None
    ) -> Iterator[tuple[EmbeddingPages, Page]]:
        """Find the pages of a row group's embeddings, each when the next is asked for.

        Args:
            group: its number.
            wanted: numbers in the row group of the first and the last row that is needed: from a
                store, one request gets their pages. None for all.

        Raises:
            DatasetError: the file cannot be read.
        """
        with self._reading:
            source, pages = self._embedding_source(group, wanted)
            found = EmbeddingPages(
                source,
                self._catalog.head.options.compression,
                rows=self.rows[group],
                dims=self._catalog.dims,
                item_bytes=self._catalog.store.item_bytes,
                decode=lambda: self._decode(group),
            )
            for page in found.pages(pages.start, pages.first, pages.end):
                yield found, page

    def read_page(self, pages: EmbeddingPages, page: Page, out: Embeddings) -> None:
        """Read one page of embeddings.

        Args:
            pages: of a row group of this file.
            page: one of them.
            out: gets its rows, shape ``(page.rows, dims)``.

        Raises:
            DatasetError: the file cannot be read, or the page's checksum is not that of its bytes.
        """
        with self._reading:
            pages.read(page, out)

    @property
    def _parquet(self) -> Any:
        """A pyarrow reader with the parsed footer; most embeddings are read without it."""
        if self._reader is None:
            with self._reading:
                self._open()
        return self._reader

    def _open(self) -> None:
        is_local = self._catalog.is_local
        source = (
            pa.OSFile(self._path) if is_local else self._catalog.filesystem.open(self._path, "rb")
        )
        try:
            # Unlike ParquetFile it works out no column paths, which takes as long as a file.
            reader = pq.ParquetReader()
            reader.open(source, pre_buffer=not is_local, page_checksum_verification=True)
            self._row_groups = read_row_groups(
                source, self._size, self._columns([EMBEDDING]).footer
            )
        except BaseException:
            source.close()
            raise
        self._source, self._reader = source, reader

    def _columns(self, names: Sequence[str]) -> StoredColumns:
        catalog = self._catalog
        return stored_columns(
            catalog.dims, catalog.features, tuple(names), catalog.store, catalog.file_keys
        )

    def _row_group(self, group: int, columns: StoredColumns) -> RowGroup:
        """Return a row group, once these of its columns are checked."""
        if self._reader is None:
            self._open()
        if (count := len(self._row_groups)) != len(self.rows):
            raise ValueError(f"it has {count} row groups, expected {len(self.rows)}")
        found = self._row_groups.read(group, columns.indices)
        check_group(found, columns, group=group, rows=self.rows[group], size=self._size)
        return found

    def _read(self, groups: Sequence[int], columns: StoredColumns) -> Any:
        """Read whole row groups with pyarrow, once their footer is checked."""
        for group in groups:
            self._row_group(group, columns)
        return self._parquet.read_row_groups(
            groups, column_indices=columns.indices, use_threads=False
        )

    def _embedding_source(
        self, group: int, wanted: tuple[int, int] | None
    ) -> tuple[Input, PageRange]:
        """Return the file, or the part of it that has the wanted pages, and these pages."""
        rows = self.rows[group]
        if self._local is None and self._catalog.is_local:
            self._local = LocalInput(self._path)
        if self._local is not None and len(self.rows) == 1:
            # The embeddings come first, and the manifest says the rest.
            return self._local, PageRange(0, rows, len(MAGIC), self._size)
        chunk = self._row_group(group, self._columns([EMBEDDING])).chunks[0]
        pages = PageRange.whole(chunk, rows)
        if self._local is not None:
            return self._local, pages
        has_index = 0 < chunk.index_start < chunk.index_start + chunk.index_size < self._size
        if has_index and wanted is not None and wanted != (0, rows - 1):
            self._source.seek(chunk.index_start)
            index = self._source.read(chunk.index_size)
            pages = PageRange.of_rows(chunk, rows, index, *wanted)
        end = pages.stop + LONGEST_HEADER
        content = self._catalog.filesystem.cat_file(self._path, start=pages.start, end=end)
        return MemoryInput(content, pages.start, self._url), pages

    def _decode(self, group: int) -> Embeddings:
        """Read a row group's embeddings with pyarrow, which reads pages of any form."""
        table = self._read([group], self._columns([EMBEDDING]))
        rows, dims = self.rows[group], self._catalog.dims
        found = table.schema.field(0).type
        # A damaged schema can make them lists of other values.
        wanted = self._catalog.store
        if not (pa.types.is_fixed_size_list(found) and found.value_type == wanted.type):
            raise DatasetError(
                f"{self._url}: its column {EMBEDDING} is {found}, expected lists of {dims} "
                f"{wanted}. {MEND}"
            )
        column = table[EMBEDDING].combine_chunks()
        stored = column.flatten().to_numpy(zero_copy_only=False)
        floats: npt.NDArray[np.float32] = stored.astype(np.float32, copy=False)
        if floats.shape != (rows * dims,):
            raise DatasetError(
                f"{self._url}: row group {group} has {len(floats)} floats, expected {rows} "
                f"embeddings of {dims}. {MEND}"
            )
        return floats.reshape(rows, dims)
