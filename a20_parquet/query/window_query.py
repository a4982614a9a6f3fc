"""Reads the windows that a query asks for: no other file, column or page."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

import numpy as np
import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import Rows
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.parquet import Embeddings
from a20_parquet.query.file_parts import (
    FilePart,
    Mask,
    Piece,
    read_blocks,
    read_embeddings,
    read_metadata,
)
from a20_parquet.query.prune import may_match
from a20_parquet.windows.schema import EMBEDDING, feature_bytes

_PolarsError = pl.exceptions.PolarsError
_BATCH_BYTES = 16 << 20
_METADATA_ROW_BYTES = 200
# Keys are known from the list of files: no file is opened, so none need be divided.
_KEY_ROWS = 1 << 22
# Each remote file that is open buffers some megabytes.
_MOST_REMOTE_FILES = 32


class WindowSource:
    """A query on a dataset: which columns of which windows; may be shared by threads."""

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
            columns: names, in the order in which they are wanted; none for all.
            predicate: which windows; none for all.
            batch_bytes: about how much is read at a time.
        """
        self._batch_bytes = batch_bytes
        self._catalog = catalog
        self._columns = tuple(catalog.schema) if columns is None else tuple(columns)
        self._pruning = predicate
        roots = set() if predicate is None else set(predicate.meta.root_names())
        # What is asked of keys alone is answered by the choice of files.
        self._predicate = None if roots <= set(catalog.partition_by.keys) else predicate
        roots = roots if self._predicate is not None else set()
        self._tested = tuple(name for name in catalog.schema if name in roots)
        self._needed = tuple(dict.fromkeys((*self._columns, *self._tested)))
        self._features = tuple(each for each in catalog.features if each.name in self._needed)

    def batches(self, limit: int | None = None) -> Iterator[tuple[FilePart, ...]]:
        """Divide the files that may hold wanted windows into batches of a few megabytes.

        Args:
            limit: consider only so many of the dataset's first windows.
        """
        row_bytes = _METADATA_ROW_BYTES
        row_bytes += 4 * self._catalog.dims if EMBEDDING in self._needed else 0
        row_bytes += feature_bytes(self._features)
        rows_a_batch = max(1, self._batch_bytes // row_bytes)
        if set(self._catalog.partition_by.keys).issuperset(self._needed):
            rows_a_batch = _KEY_ROWS
        most_files = None if self._catalog.is_local else _MOST_REMOTE_FILES
        batch: list[FilePart] = []
        filled = 0
        for part in self._parts(rows_a_batch, limit):
            batch.append(part)
            filled += part.end - part.first
            if filled >= rows_a_batch or len(batch) == most_files:
                yield tuple(batch)
                batch, filled = [], 0
        if batch:
            yield tuple(batch)

    def read(self, batch: Sequence[FilePart]) -> pl.DataFrame:
        """Read the wanted windows of one batch.

        Raises:
            DatasetError: a file is missing or damaged.
        """
        with self._open(batch) as pieces:
            if self._predicate is None or EMBEDDING in self._tested:
                frame = self._gather(pieces, [piece.wanted() for piece in pieces], None)
            else:
                frame = self._gather(pieces, *self._test(pieces))
        if self._predicate is not None and EMBEDDING in self._tested:
            frame = frame.filter(self._predicate)
        return frame.select(self._columns)

    def blocks(
        self, batch: Sequence[FilePart], scratch: EmbeddingBuffer
    ) -> Iterator[tuple[Rows, Embeddings]]:
        """Read the embeddings of the wanted windows of one batch, block after block.

        Args:
            batch: of ``batches``.
            scratch: lends the memory.

        Yields:
            Numbers of windows in the dataset, ascending, and their embeddings, which last until the
            next block.

        Raises:
            DatasetError: a file is missing or damaged.
        """
        with self._open(batch) as pieces:
            kept = [piece.wanted() for piece in pieces]
            if self._predicate is not None:
                kept, _ = self._test(pieces)
            yield from read_blocks(pieces, kept, scratch, self._catalog.dims)

    @contextmanager
    def _open(self, batch: Sequence[FilePart]) -> Iterator[list[Piece]]:
        pieces = [Piece(self._catalog, part) for part in batch]
        try:
            yield pieces
        finally:
            for piece in pieces:
                piece.close()

    def _parts(self, rows_a_part: int, limit: int | None) -> Iterator[FilePart]:
        keys = self._catalog.partition_by.keys
        files = self._catalog.files.with_columns(before=pl.col("rows").cum_sum() - pl.col("rows"))
        if limit is not None:
            files = files.filter(pl.col("before") < limit)
        if self._pruning is not None:
            # What can't be compared is said of the windows' own column, where they are tested.
            keys_alone = nullcontext() if self._predicate is None else suppress(_PolarsError)
            with keys_alone:
                files = files.filter(may_match(self._pruning, keys))
        for path, size, rows, before, *values in files.select(
            "path", "bytes", "rows", "before", *keys
        ).iter_rows():
            wanted = rows if limit is None else min(rows, limit - before)
            for first in range(0, wanted, rows_a_part):
                yield FilePart(
                    path=path,
                    size=size,
                    rows=rows,
                    before=before,
                    keys=tuple(values),
                    first=first,
                    end=min(first + rows_a_part, wanted),
                    limit=wanted,
                )

    def _test(self, pieces: Sequence[Piece]) -> tuple[list[Mask], pl.DataFrame]:
        """Find the rows that pass the predicate, before any embedding is read.

        Returns:
            For each piece, which of its rows; and those rows' columns that were needed for it.
        """
        kept = [piece.wanted() for piece in pieces]
        tested = self._metadata(pieces, kept, self._tested)
        passed = tested.select(self._predicate).to_series().fill_null(value=False).to_numpy()
        passed = np.broadcast_to(passed, tested.height)  # the predicate may be a constant
        position = 0
        for rows in kept:
            count = int(np.count_nonzero(rows))
            rows[rows] = passed[position : position + count]
            position += count
        return kept, tested.filter(passed)

    def _gather(
        self, pieces: Sequence[Piece], kept: Sequence[Mask], tested: pl.DataFrame | None
    ) -> pl.DataFrame:
        """Read what is still needed of the rows that passed."""
        used = [(piece, rows) for piece, rows in zip(pieces, kept, strict=True) if rows.any()]
        pieces, kept = [piece for piece, _ in used], [rows for _, rows in used]
        frames = [] if tested is None else [tested]
        have = () if tested is None else tested.columns
        missing = [name for name in self._needed if name not in have and name != EMBEDDING]
        if missing:
            frames.append(self._metadata(pieces, kept, missing))
        if EMBEDDING in self._needed:
            frames.append(self._embeddings(pieces, kept))
        return pl.concat(frames, how="horizontal")

    def _metadata(
        self, pieces: Sequence[Piece], kept: Sequence[Mask], names: Sequence[str]
    ) -> pl.DataFrame:
        """Read the rows that are kept, without embeddings."""
        schema = self._catalog.schema
        stored = [name for name in names if name in self._catalog.metadata_columns]
        keys = self._catalog.partition_by.keys
        owners = np.repeat(np.arange(len(pieces)), [np.count_nonzero(rows) for rows in kept])
        series = [
            pl.Series(key, [piece.part.keys[index] for piece in pieces], schema[key])
            for index, key in enumerate(keys)
            if key in names
        ]
        frames = [pl.DataFrame([each.gather(owners) for each in series])] if series else []
        if stored and not pieces:
            frames.append(pl.DataFrame(schema={name: schema[name] for name in stored}))
        elif stored:
            # polars takes long to join what many small files have.
            frame = pl.DataFrame(read_metadata(pieces, stored).combine_chunks())
            frames.append(frame.filter(pl.Series(np.concatenate(kept))))
        return pl.concat(frames, how="horizontal").select(names)

    def _embeddings(self, pieces: Sequence[Piece], kept: Sequence[Mask]) -> pl.DataFrame:
        dims = self._catalog.dims
        out = read_embeddings(pieces, kept, dims)
        floats = pa.Array.from_buffers(pa.float32(), out.size, [None, pa.py_buffer(out)])
        lists = pa.FixedSizeListArray.from_arrays(floats, dims)
        return pl.DataFrame(pa.table({EMBEDDING: lists}))
