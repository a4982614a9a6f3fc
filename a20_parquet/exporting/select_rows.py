"""Finds the windows of a dataset that an export takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.exporting.sample import KEY_COLUMNS, NUMBER, Sample, SampleCollector
from a20_parquet.progress import Progress
from a20_parquet.query.window_query import Batch, WindowQuery
from a20_parquet.windows.window_list import WindowMatcher, WindowTimes

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

_BITS: Final = 8


class SelectedRows:
    """Which rows of each data file are taken: one bit a window.

    Attributes:
        counts: number of rows taken of each file, shape ``(files,)``.
    """

    def __init__(self, rows: Numbers) -> None:
        """Select nothing.

        Args:
            rows: of each data file, in the dataset's order.
        """
        self._starts = np.append(0, np.cumsum(rows))
        self._rows = rows
        self._bits: dict[int, npt.NDArray[np.uint8]] = {}
        self.counts = np.zeros(len(rows), np.int64)

    def add(self, numbers: Numbers) -> None:
        """Select windows by their numbers in the dataset, ascending, none of them twice."""
        firsts = np.searchsorted(numbers, self._starts)
        for file in np.flatnonzero(np.diff(firsts)).tolist():
            inside = numbers[firsts[file] : firsts[file + 1]] - self._starts[file]
            mask = self.mask(file)
            mask[inside] = True
            self.counts[file] += len(inside)
            if self.is_whole(file):
                self._bits.pop(file, None)
            else:
                self._bits[file] = np.packbits(mask)

    def is_whole(self, file: int) -> bool:
        """Whether all rows of a file are taken."""
        return bool(self.counts[file] == self._rows[file])

    def mask(self, file: int) -> Flags:
        """Say for each row of a file whether it is taken."""
        rows = int(self._rows[file])
        if file in self._bits:
            return np.unpackbits(self._bits[file], count=rows).astype(np.bool_)
        return np.full(rows, self.counts[file] > 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Which windows an export takes; by default all."""

    where: pl.Expr | None = None
    """True for windows to take."""
    listed: WindowMatcher | None = None
    """Names windows to take."""
    excluded: WindowMatcher | None = None
    """Names windows to leave out."""
    sample: Sample | None = None
    """Taken of what is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The windows that an export takes."""

    rows: SelectedRows
    groups: pl.DataFrame
    """Groups of the sample, with ``count``; empty without a sample."""
    unused_listed: int
    """Rows of the list of windows that name no window of ``where``."""
    unused_excluded: int
    """Rows of the list of what is left out that name no such window."""


@dataclass(frozen=True, slots=True)
class _Batch:
    numbers: Numbers
    candidates: pl.DataFrame | None
    used_listed: Flags | None
    used_excluded: Flags | None


def select_rows(catalog: Catalog, part: Part, progress: Progress, workers: int) -> Found:
    """Find the windows of a part; reads no embeddings unless ``where`` needs them.

    Memory holds one bit a window, and 24 bytes and the group for each window of a sample.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    rows = SelectedRows(catalog.files["rows"].to_numpy().astype(np.int64))
    collector = None if part.sample is None else SampleCollector(part.sample)
    used_listed, used_excluded = (
        np.zeros(0 if each is None else each.rows, np.bool_)
        for each in (part.listed, part.excluded)
    )
    for batch in _batches(catalog, part, progress, workers):
        if batch.used_listed is not None:
            used_listed |= batch.used_listed
        if batch.used_excluded is not None:
            used_excluded |= batch.used_excluded
        if collector is None or batch.candidates is None:
            rows.add(batch.numbers)
        else:
            collector.add(batch.candidates)
    groups = pl.DataFrame()
    if collector is not None:
        numbers, groups = collector.finish()
        rows.add(numbers)
    return Found(
        rows=rows,
        groups=groups,
        unused_listed=int(np.count_nonzero(~used_listed)),
        unused_excluded=int(np.count_nonzero(~used_excluded)),
    )


def _batches(catalog: Catalog, part: Part, progress: Progress, workers: int) -> Iterator[_Batch]:
    columns = ["site"]
    if part.listed is not None or part.excluded is not None:
        columns += KEY_COLUMNS
    if part.sample is not None:
        columns += part.sample.columns(catalog.schema)
    query = WindowQuery(catalog, list(dict.fromkeys(columns)), part.where)

    def find(batch: Batch) -> _Batch:
        numbers, windows = query.find(batch)
        used_listed = used_excluded = None
        if part.listed is not None or part.excluded is not None:
            times = _times(windows)
            taken = np.ones(len(windows), np.bool_)
            if part.listed is not None:
                taken &= part.listed.match(times)
                used_listed = part.listed.used(times)
            if part.excluded is not None:
                taken &= ~part.excluded.match(times)
                used_excluded = part.excluded.used(times)
            numbers, windows = numbers[taken], windows.filter(pl.Series(taken))
        candidates = None
        if part.sample is not None:
            candidates = part.sample.candidates(windows.with_columns(pl.Series(NUMBER, numbers)))
        return _Batch(numbers, candidates, used_listed, used_excluded)

    yield from query.map(find, name="finding windows", progress=progress, workers=workers)


def _times(windows: pl.DataFrame) -> WindowTimes:
    return WindowTimes(
        windows["filename"].to_arrow().cast(pa.string()),
        windows["channel"].to_numpy().astype(np.int64),
        windows["recording_offset_in_file"].to_numpy(),
    )
