"""Reads the windows of a query: only the files, columns and pages that it needs."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

import numpy as np
import polars as pl

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import Rows
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.execution.threads import map_in_order
from a20_parquet.formatting import format_count
from a20_parquet.parquet import Embeddings
from a20_parquet.progress import Progress
from a20_parquet.query.column_reader import ColumnReader
from a20_parquet.query.file_slices import FileSlice, Mask, read_blocks
from a20_parquet.query.matching_files import (
    listed_columns,
    matching_files,
    repeat_rows,
    with_site_ids,
)
from a20_parquet.windows.schema import EMBEDDING, feature_bytes

_LOGGER = logging.getLogger(__name__)
_BATCH_BYTES = 16 << 20
_METADATA_ROW_BYTES = 200
# Several workers share many small files.
_MOST_FILES = 512
# Each open remote file has a buffer of some megabytes.
_MOST_REMOTE_FILES = 32

Batch: TypeAlias = Sequence[FileSlice]
Result = TypeVar("Result")


@contextmanager
def _closing(batch: Batch) -> Iterator[None]:
    try:
        yield
    finally:
        for part in batch:
            part.close()


class WindowQuery:
    """A query on a dataset: columns and a filter on windows; may be shared by threads."""

    def __init__(
        self,
        catalog: Catalog,
        columns: Sequence[str] | None,
        predicate: pl.Expr | None = None,
        *,
        batch_bytes: int = _BATCH_BYTES,
    ) -> None:
        """Prepare the query.

        Args:
            catalog: of the dataset.
            columns: names, in the wanted order; None for all.
            predicate: a filter on windows; None for all.
            batch_bytes: approximate size of a batch.
        """
        self._batch_bytes = batch_bytes
        self._catalog = catalog
        self._columns = tuple(catalog.schema) if columns is None else tuple(columns)
        self._pruning = predicate
        self._files = with_site_ids(catalog.files)
        self._listed = listed_columns(self._files)
        roots = set() if predicate is None else set(predicate.meta.root_names())
        # A filter on what the list of files tells only chooses files.
        self._predicate = None if roots <= set(self._listed) else predicate
        roots = roots if self._predicate is not None else set()
        self._tested = tuple(name for name in catalog.schema if name in roots)
        self._needed = tuple(dict.fromkeys((*self._columns, *self._tested)))
        self._reader = ColumnReader(
            catalog, self._listed, self._needed, self._tested, self._predicate
        )
        self._features = tuple(each for each in catalog.features if each.name in self._needed)

    def batches(self, limit: int | None = None) -> Iterator[tuple[FileSlice, ...]]:
        """Divide the files that may have matching windows into batches of a few megabytes.

        Args:
            limit: use only this number of the dataset's first windows; None for all.
        """
        row_bytes = _METADATA_ROW_BYTES
        row_bytes += 4 * self._catalog.dims if EMBEDDING in self._needed else 0
        row_bytes += feature_bytes(self._features)
        rows_a_batch = max(1, self._batch_bytes // row_bytes)
        most_files = _MOST_FILES if self._catalog.is_local else _MOST_REMOTE_FILES
        batch: list[FileSlice] = []
        filled = 0
        for part in self._parts(rows_a_batch, limit):
            batch.append(part)
            filled += part.end - part.first
            if filled >= rows_a_batch or len(batch) == most_files:
                yield tuple(batch)
                batch, filled = [], 0
        if batch:
            yield tuple(batch)

    @property
    def needs_no_file(self) -> bool:
        """Whether the list of files has all that is asked for; see ``listed``."""
        return set(self._listed).issuperset(self._needed)

    def listed(self, limit: int | None = None) -> Iterator[pl.DataFrame]:
        """Read the windows from the list of files alone.

        Args:
            limit: use only this number of the dataset's first windows; None for all.
        """
        yield from repeat_rows(self.matching_files(limit), self._columns)

    def read(self, batch: Batch) -> pl.DataFrame:
        """Read the matching windows of one batch.

        Raises:
            DatasetError: a file is missing or damaged.
        """
        with _closing(batch):
            if self._predicate is None or EMBEDDING in self._tested:
                frame = self._reader.gather(batch, [part.wanted() for part in batch], None)
            else:
                frame = self._reader.gather(batch, *self._reader.test(batch))
        if self._predicate is not None and EMBEDDING in self._tested:
            frame = frame.filter(self._predicate)
        return frame.select(self._columns)

    def find(self, batch: Batch) -> tuple[Rows, pl.DataFrame]:
        """Find the matching windows of one batch.

        Returns:
            Their numbers in the dataset, ascending, and their columns.

        Raises:
            DatasetError: a file is missing or damaged.
        """
        with _closing(batch):
            kept, tested = [part.wanted() for part in batch], None
            if self._predicate is not None and EMBEDDING not in self._tested:
                kept, tested = self._reader.test(batch)
            starts = [part.before + part.start for part in batch]
            numbers = np.concatenate(
                [start + np.flatnonzero(rows) for start, rows in zip(starts, kept, strict=True)]
            )
            frame = self._reader.gather(batch, kept, tested)
        if self._predicate is not None and EMBEDDING in self._tested:
            passed = frame.select(self._predicate).to_series().fill_null(value=False)
            frame = frame.filter(passed)
            numbers = numbers[passed.to_numpy()]
        return numbers, frame.select(self._columns)

    @property
    def tests_embeddings(self) -> bool:
        """Whether the filter needs embeddings; then ``locate`` cannot be used."""
        return EMBEDDING in self._tested

    @property
    def tests_rows(self) -> bool:
        """Whether the filter chooses among the rows of a file."""
        return self._predicate is not None

    def locate(self, batch: Batch) -> tuple[list[Mask], pl.DataFrame]:
        """Locate the matching windows of one batch; the filter must not need embeddings.

        Returns:
            A mask of each slice's rows, and the columns of the rows in them, but for the embedding.

        Raises:
            DatasetError: a file is missing or damaged.
        """
        with _closing(batch):
            if self._predicate is None:
                kept, tested = [part.wanted() for part in batch], None
            else:
                kept, tested = self._reader.test(batch)
            frame = self._reader.gather_metadata(batch, kept, tested)
        return kept, frame.select(name for name in self._columns if name != EMBEDDING)

    def blocks(self, batch: Batch, scratch: EmbeddingBuffer) -> Iterator[tuple[Rows, Embeddings]]:
        """Read the embeddings of the matching windows of one batch, block by block.

        Args:
            batch: from ``batches``.
            scratch: memory for a block.

        Yields:
            Numbers of windows in the dataset, ascending, and their embeddings, which are
            overwritten by the next block.

        Raises:
            DatasetError: a file is missing or damaged.
        """
        with _closing(batch):
            kept = [part.wanted() for part in batch]
            if self._predicate is not None:
                kept, _ = self._reader.test(batch)
            yield from read_blocks(batch, kept, scratch, self._catalog.dims)

    def map(
        self, work: Callable[[Batch], Result], *, name: str, progress: Progress, workers: int
    ) -> Iterator[Result]:
        """Yield the result of each batch, in order.

        Args:
            work: computes the result of a batch.
            name: of the pass, for the progress.
            progress: advanced after each batch by its bytes.
            workers: number of threads.
        """
        batches = list(self.batches())
        _LOGGER.info(
            "%s: %s of %s with %s",
            name,
            format_count(len(batches), "part"),
            format_count(len({part.path for batch in batches for part in batch}), "file"),
            format_count(workers, "worker"),
        )
        progress.start(name, sum(map(_size, batches)))

        def work_and_advance(batch: Batch) -> Result:
            result = work(batch)
            progress.advance(_size(batch))
            return result

        yield from map_in_order(workers, work_and_advance, batches, ahead=workers)

    def _parts(self, rows_a_part: int, limit: int | None) -> Iterator[FileSlice]:
        for path, size, rows, before, wanted, *values in (
            self.matching_files(limit)
            .select("path", "bytes", "rows", "before", "wanted", *self._listed)
            .iter_rows()
        ):
            for first in range(0, wanted, rows_a_part):
                yield FileSlice(
                    catalog=self._catalog,
                    path=path,
                    size=size,
                    rows=rows,
                    before=before,
                    keys=tuple(values),
                    first=first,
                    end=min(first + rows_a_part, wanted),
                    limit=wanted,
                )

    def matching_files(self, limit: int | None = None) -> pl.DataFrame:
        """Return the list of files that may have matching windows; see ``matching_files``."""
        strict = self._predicate is None
        return matching_files(self._catalog, self._files, self._pruning, limit, strict=strict)


def _size(batch: Batch) -> int:
    return sum(part.bytes for part in batch)
