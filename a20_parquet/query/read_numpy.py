"""Reads windows into NumPy arrays, at once or batch by batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from a20_parquet.checks import check_count
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.where import parse_where
from a20_parquet.errors import UsageError
from a20_parquet.execution.threads import map_in_order
from a20_parquet.query.file_slices import Mask, count_rows, read_embeddings
from a20_parquet.query.take import check_columns
from a20_parquet.query.window_query import Batch, WindowQuery
from a20_parquet.resources import default_workers
from a20_parquet.windows.schema import EMBEDDING

Embeddings: TypeAlias = npt.NDArray[np.float32]
"""Shape ``(windows, dims)``, C-contiguous and writable."""

# Each batch takes some calls of polars, and no memory of its own for embeddings.
_ARRAY_BATCH_BYTES = 64 << 20
# Blocks that are shuffled, so many together.
_BLOCK_BYTES = 16 << 20
_MIXED_BLOCKS = 8


def read_numpy(
    dataset: str | Path,
    where: pl.Expr | str | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> tuple[pl.DataFrame, npt.NDArray[np.float32]]:
    """Read windows into one NumPy array, with their metadata.

    The embeddings are read from the files into the array, on all cores, without another copy.

    Args:
        dataset: its folder, or any fsspec URL of it.
        where: a filter on windows: a polars expression, or a condition in SQL such as
            ``"site = 'site_0201' and channel = 0"``; None for all windows.
        columns: of the metadata, in the wanted order; None for all except ``embedding``. An empty
            list reads no metadata, which is fastest.

    Returns:
        The metadata as a frame and the embeddings as an array of float32, shape
        ``(windows, dims)``, C-contiguous and writable. Row i of both is the same window; rows are
        in the dataset's order.

    Raises:
        UsageError: there is no such column, or ``where`` is no condition.
        DatasetError: the path is not a complete dataset, or a data file is missing or damaged.
    """
    reader = _Reader.of(dataset, where, columns, batch_bytes=_ARRAY_BATCH_BYTES)
    query, workers = reader.query, default_workers()
    if query.tests_embeddings:
        blocks = list(map_in_order(workers, reader.read, query.batches(), ahead=workers))
        found = reader.join(blocks)
    elif query.tests_rows:
        found = _read_matching(reader, workers)
    else:
        found = _read_whole_files(reader, workers)
    reader.catalog.check_unchanged()
    return found


def iter_numpy(  # noqa: PLR0913 - each may be given
    dataset: str | Path,
    where: pl.Expr | str | None = None,
    *,
    columns: Sequence[str] | None = None,
    rows: int = 1024,
    seed: int | None = None,
    part: tuple[int, int] = (0, 1),
) -> Iterator[tuple[pl.DataFrame, npt.NDArray[np.float32]]]:
    """Read windows batch by batch, such as to train a model, in bounded memory.

    Args:
        dataset: see ``read_numpy``.
        where: see ``read_numpy``.
        columns: see ``read_numpy``.
        rows: windows of a batch; the last one may have fewer.
        seed: shuffles the windows: blocks of some megabytes first, then the windows of eight
            blocks together. The same seed gives the same order. None for the dataset's order.
        part: ``(i, n)`` reads only the i-th of n parts, from 0; together the parts have each
            window once. For processes that share the work, which need the same ``seed``.

    Yields:
        Metadata and embeddings as ``read_numpy`` returns them.

    Raises:
        UsageError: see ``read_numpy``; or ``rows`` or ``part`` are impossible.
        DatasetError: see ``read_numpy``.
    """
    rows = check_count("rows", rows)
    number, parts = part
    if not 0 <= number < parts:
        raise UsageError(f"part is {part!r}, expected (i, n) with i from 0 to n - 1.")
    reader = _Reader.of(dataset, where, columns, batch_bytes=_BLOCK_BYTES)
    return _batches(reader, rows, None if seed is None else np.random.default_rng(seed), part)


_Block: TypeAlias = tuple[pl.DataFrame, Embeddings]


def _read_whole_files(reader: "_Reader", workers: int) -> _Block:
    """Read a query that takes all rows of its files, whose places in the array are known."""
    query = reader.query
    batches = list(query.batches())
    rows = [[part.rows if part.first == 0 else 0 for part in batch] for batch in batches]
    # Rows of the files that begin before a batch's first one ends.
    ends = list(accumulate((sum(each) for each in rows), initial=0))
    out = np.empty((ends[-1], reader.catalog.dims), np.float32)

    def read(unit: tuple[Batch, int]) -> pl.DataFrame:
        batch, end = unit
        first_part = batch[0]
        kept, frame = query.locate(batch)
        file_start = end if first_part.first == 0 else end - first_part.rows
        first = file_start + first_part.start
        read_embeddings(batch, kept, out[first : first + count_rows(kept)])
        return frame

    # While one thread waits for embeddings, another one parses metadata.
    frames = list(map_in_order(workers, read, zip(batches, ends, strict=False), ahead=workers))
    return pl.concat([reader.empty, *frames], rechunk=True), out


def _read_matching(reader: "_Reader", workers: int) -> _Block:
    """Read a query that tests rows: metadata first, which tells how large the array is."""
    query = reader.query
    batches = list(query.batches())
    found = list(map_in_order(workers, query.locate, batches, ahead=workers))
    ends = list(accumulate((count_rows(kept) for kept, _ in found), initial=0))
    out = np.empty((ends[-1], reader.catalog.dims), np.float32)

    def read(unit: tuple[Batch, list[Mask], int, int]) -> None:
        batch, kept, first, end = unit
        read_embeddings(batch, kept, out[first:end])

    units = zip(batches, (kept for kept, _ in found), ends, ends[1:], strict=False)
    for _ in map_in_order(workers, read, units, ahead=workers):
        pass
    frames = [reader.empty, *(frame for _, frame in found)]
    return pl.concat(frames, rechunk=True), out


def _batches(
    reader: "_Reader", rows: int, rng: np.random.Generator | None, part: tuple[int, int]
) -> Iterator[_Block]:
    number, parts = part
    units = list(reader.query.batches())
    order = np.arange(len(units)) if rng is None else rng.permutation(len(units))
    mine = [units[index] for index in order[number::parts].tolist()]
    workers = default_workers()
    pending = [reader.join([])]
    mixed = 1 if rng is None else _MIXED_BLOCKS
    for read, block in enumerate(map_in_order(workers, reader.read, mine, ahead=workers), 1):
        pending.append(block)
        if read % mixed and read < len(mine):
            continue
        metadata, embeddings = reader.join(pending)
        if rng is not None:
            shuffled = rng.permutation(len(embeddings))
            embeddings = embeddings[shuffled]
            # A frame without columns has no rows.
            metadata = metadata[shuffled] if reader.columns else metadata
        whole = len(embeddings) // rows * rows
        for first in range(0, whole, rows):
            yield metadata[first : first + rows], embeddings[first : first + rows]
        pending = [(metadata[whole:], embeddings[whole:])]
    reader.catalog.check_unchanged()
    ((metadata, embeddings),) = pending
    if len(embeddings):
        yield metadata, embeddings


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the windows of a query as metadata and embeddings; may be shared by threads."""

    catalog: Catalog
    query: WindowQuery
    columns: tuple[str, ...]

    @classmethod
    def of(
        cls,
        dataset: str | Path,
        where: pl.Expr | str | None,
        columns: Sequence[str] | None,
        *,
        batch_bytes: int,
    ) -> "_Reader":
        catalog = Catalog.open(dataset)
        if columns is None:
            columns = [name for name in catalog.schema if name != EMBEDDING]
        names = check_columns(catalog, columns)
        if EMBEDDING in names:
            raise UsageError("embedding is returned as the array: leave it out of the columns.")
        predicate = parse_where(where, catalog.schema) if isinstance(where, str) else where
        query = WindowQuery(catalog, (*names, EMBEDDING), predicate, batch_bytes=batch_bytes)
        return cls(catalog, query, names)

    @property
    def empty(self) -> pl.DataFrame:
        schema = self.catalog.schema
        return pl.DataFrame(schema={name: schema[name] for name in self.columns})

    def read(self, batch: Batch) -> _Block:
        """Read the matching windows of one batch."""
        if self.query.tests_embeddings:
            frame = self.query.read(batch)
            embeddings = np.array(frame[EMBEDDING].to_numpy())
            return frame.select(self.columns), embeddings.reshape(-1, self.catalog.dims)
        kept, frame = self.query.locate(batch)
        out = np.empty((count_rows(kept), self.catalog.dims), np.float32)
        read_embeddings(batch, kept, out)
        return frame, out

    def join(self, blocks: Sequence[_Block]) -> _Block:
        """Join blocks in order."""
        frames = [frame for frame, _ in blocks]
        arrays = [np.empty((0, self.catalog.dims), np.float32), *(array for _, array in blocks)]
        return pl.concat([self.empty, *frames], rechunk=True), np.concatenate(arrays)
