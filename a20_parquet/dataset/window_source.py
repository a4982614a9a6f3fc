"""Reads the windows that a query asks for: no other file, column or page."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from operator import attrgetter
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, Mask, Rows, Scratch
from a20_parquet.dataset.parquet import Embeddings
from a20_parquet.table.prune import may_match
from a20_parquet.table.schema import EMBEDDING

_BATCH_BYTES = 16 << 20
_METADATA_ROW_BYTES = 200
# Keys are known from the list of files: no file is opened, so none need be divided.
_KEY_ROWS = 1 << 22
# Each remote file that is open buffers some megabytes.
_MOST_REMOTE_FILES = 32


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

    def batches(self, limit: int | None = None) -> Iterator[tuple[FilePart, ...]]:
        """Divide the files that may hold wanted windows into batches of a few megabytes.

        Args:
            limit: consider only so many of the dataset's first windows.
        """
        row_bytes = _METADATA_ROW_BYTES
        row_bytes += 4 * self._catalog.dims if EMBEDDING in self._needed else 0
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
        with ExitStack() as opened:
            pieces = [_Piece(self._catalog, part, opened) for part in batch]
            if self._predicate is None or EMBEDDING in self._tested:
                frame = self._gather(pieces, [piece.wanted() for piece in pieces], None)
            else:
                frame = self._gather(pieces, *self._test(pieces))
        if self._predicate is not None and EMBEDDING in self._tested:
            frame = frame.filter(self._predicate)
        return frame.select(self._columns)

    def blocks(
        self, batch: Sequence[FilePart], scratch: Scratch
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
        with ExitStack() as opened:
            pieces = [_Piece(self._catalog, part, opened) for part in batch]
            kept = [piece.wanted() for piece in pieces]
            if self._predicate is not None:
                kept, _ = self._test(pieces)
            for piece, rows in zip(pieces, kept, strict=True):
                yield from _kept_blocks(piece, rows, scratch)

    def _parts(self, rows_a_part: int, limit: int | None) -> Iterator[FilePart]:
        keys = self._catalog.partition_by.keys
        files = self._catalog.files.with_columns(before=pl.col("rows").cum_sum() - pl.col("rows"))
        if limit is not None:
            files = files.filter(pl.col("before") < limit)
        if self._pruning is not None:
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

    def _test(self, pieces: Sequence["_Piece"]) -> tuple[list[Mask], pl.DataFrame]:
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
        self, pieces: Sequence["_Piece"], kept: Sequence[Mask], tested: pl.DataFrame | None
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
        self, pieces: Sequence["_Piece"], kept: Sequence[Mask], names: Sequence[str]
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
            # A file of which only a part is wanted may stand at either end of a batch.
            frame = pl.concat(
                self._stored(list(run), stored, is_whole=is_whole)
                for is_whole, run in groupby(pieces, key=attrgetter("is_whole"))
            )
            frames.append(frame.filter(pl.Series(np.concatenate(kept))))
        return pl.concat(frames, how="horizontal").select(names)

    def _stored(
        self, pieces: Sequence["_Piece"], stored: Sequence[str], *, is_whole: bool
    ) -> pl.DataFrame:
        """Read columns of all rows of some pieces."""
        if is_whole and self._catalog.is_local:
            with suppress(OSError, pl.exceptions.PolarsError):
                whole = self._read_whole(pieces, stored)
                if len(whole) == sum(piece.part.rows for piece in pieces):
                    return whole
            # Reading the files one by one tells which is damaged.
        tables = [piece.file.metadata(piece.groups, stored) for piece in pieces]
        return pl.DataFrame(pa.concat_tables(tables))

    def _read_whole(self, pieces: Sequence["_Piece"], stored: Sequence[str]) -> pl.DataFrame:
        """Read whole local files with polars, which takes half pyarrow's time for small ones."""
        paths = [self._catalog.path(piece.part.path) for piece in pieces]
        files = pl.scan_parquet(paths, glob=False, hive_partitioning=False)
        return files.select(stored).collect()

    def _embeddings(self, pieces: Sequence["_Piece"], kept: Sequence[Mask]) -> pl.DataFrame:
        dims = self._catalog.dims
        out = np.empty((sum(np.count_nonzero(rows) for rows in kept), dims), np.float32)
        position = 0
        for piece, rows in zip(pieces, kept, strict=True):
            start = 0
            for group in piece.groups:
                stop = start + piece.file.rows[group]
                count = int(np.count_nonzero(rows[start:stop]))
                if count:
                    piece.file.embeddings(group, rows[start:stop], out[position : position + count])
                position += count
                start = stop
            piece.close()
        floats = pa.Array.from_buffers(pa.float32(), out.size, [None, pa.py_buffer(out)])
        lists = pa.FixedSizeListArray.from_arrays(floats, dims)
        return pl.DataFrame(pa.table({EMBEDDING: lists}))


class _Piece:
    """A part of a file, which is opened when something is first read of it; for one thread."""

    def __init__(self, catalog: Catalog, part: FilePart, opened: ExitStack) -> None:
        self.part = part
        self._catalog = catalog
        self._opened = opened

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its file."""
        return (self.part.first, self.part.end) == (0, self.part.rows)

    @cached_property
    def file(self) -> DataFile:
        """Its file, opened."""
        return self._opened.enter_context(
            DataFile(self._catalog, self.part.path, rows=self.part.rows, size=self.part.size)
        )

    def close(self) -> None:
        """Close its file, of which nothing more is read: a batch may have hundreds."""
        self.file.close()

    @cached_property
    def groups(self) -> list[int]:
        """Numbers of its row groups."""
        starts = accumulate(self.file.rows, initial=0)
        return [
            number
            for number, start in zip(range(len(self.file.rows)), starts, strict=False)
            if self.part.first <= start < self.part.end
        ]

    def wanted(self) -> Mask:
        """Which of its rows are wanted, as far as the limit decides."""
        if self.is_whole:
            return np.ones(self.part.rows, np.bool_)
        rows = self.file.rows
        start = sum(rows[: self.groups[0]]) if self.groups else 0
        count = sum(rows[group] for group in self.groups)
        return np.arange(start, start + count) < self.part.limit

    @property
    def number(self) -> int:
        """How many windows of the dataset lie before it."""
        if self.is_whole:
            return self.part.before
        return self.part.before + sum(self.file.rows[: self.groups[0]] if self.groups else [])


def _kept_blocks(piece: _Piece, kept: Mask, scratch: Scratch) -> Iterator[tuple[Rows, Embeddings]]:
    start = 0
    for group in piece.groups:
        rows = piece.file.rows[group]
        if kept[start : start + rows].any():
            for first, block in piece.file.embedding_blocks(group, scratch):
                wanted = kept[start + first : start + first + len(block)]
                numbers = piece.number + start + first + np.flatnonzero(wanted)
                if len(numbers):
                    yield numbers, block if len(numbers) == len(block) else block[wanted]
        start += rows
    piece.close()
