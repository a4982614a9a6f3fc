"""Scores a dataset unit by unit, each a few data files, and writes each unit at once."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import Rows
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.execution.threads import Pool
from a20_parquet.progress import Progress
from a20_parquet.query.blas import one_thread
from a20_parquet.query.links import LINK, LinkTemplate, with_links
from a20_parquet.query.metrics import Float64
from a20_parquet.query.nearest import Found, Nearest
from a20_parquet.query.read_rows import take_rows
from a20_parquet.query.score_folder import ScoreFolder
from a20_parquet.query.scorers import Hits, Scorer
from a20_parquet.query.window_query import Batch, WindowQuery
from a20_parquet.windows.schema import EMBEDDING, KEYS, METADATA

# A file is opened for each batch that has a part of it, and all threads wait for the last batch of
# a unit.
_BATCH_BYTES = 32 << 20

CLASS, SCORE = "class", "score"
_COLUMNS = (
    *("filename", "recording_offset_in_file", "channel", "site_id", "file_seq_id"),
    *("window_start", "window_start_local"),
)
_CANDIDATES = pa.schema([("class", pa.int32()), ("window", pa.int64()), ("key", pa.float64())])


class _Continued:
    """Progress of one pass that is made of several; implements ``Progress``."""

    def __init__(self, progress: Progress) -> None:
        self.advance = progress.advance
        self.say = progress.say

    def start(self, name: str, total_bytes: int) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class ScoreRun:
    """One run over a dataset."""

    catalog: Catalog
    scorer: Scorer
    predicate: pl.Expr | None
    """Of the windows that are scored; None for all."""
    template: LinkTemplate | None
    unit_bytes: int
    """Least bytes of the data files of a unit."""
    workers: int

    @cached_property
    def units(self) -> tuple[tuple[int, int], ...]:
        """The first file of each unit, and the one after its last."""
        ends = np.flatnonzero(np.diff(self.catalog.files["bytes"].cum_sum() // self.unit_bytes)) + 1
        bounds = [0, *ends.tolist(), self.catalog.files.height]
        return tuple((first, end) for first, end in pairwise(bounds) if first < end)

    @cached_property
    def schema(self) -> Any:
        """The Arrow schema of scores."""
        fields = {column.name: column.field for column in METADATA}
        keys = [KEYS[key].field for key in self.catalog.partition_by.keys]
        scores = [pa.field(CLASS, pa.string(), nullable=False), pa.field(SCORE, pa.float64())]
        links = [pa.field(LINK, pa.string())] if self.template else []
        return pa.schema([*(fields[name] for name in _COLUMNS), *keys, *scores, *links])

    def write_above(self, output: ScoreFolder, thresholds: Float64, progress: Progress) -> None:
        """Write the windows and classes whose scores reach the thresholds."""
        for number in self._left(output, "data", progress):
            unit = self._unit(number)
            found = self._hits(unit, thresholds, progress)
            output.write(output.path("data", number), self.schema, self._rows(unit, found))

    def write_top(self, output: ScoreFolder, top: int, progress: Progress) -> None:
        """Write the windows with the largest scores of each class."""
        left = self._left(output, "units", progress)
        best = Found()
        for path in output.files("units"):
            best = best.merge(_read_candidates(pl.read_parquet(path), top))
        for number in left:
            first_row = int(self.catalog.files["rows"][: self.units[number][0]].sum())
            found = self._best(self._unit(number), first_row, top, best, progress)
            frame = _candidates(found)
            output.write(
                output.path("units", number), _CANDIDATES, iter([(frame, found.undefined)])
            )
            best = best.merge(found)
        output.write(output.path("data", 0), self.schema, iter([self._best_rows(best)]))

    def _left(self, output: ScoreFolder, kind: str, progress: Progress) -> list[int]:
        """Return the units that are not written yet, and start the progress."""
        numbers = [n for n in range(len(self.units)) if not output.path(kind, n).exists()]
        sizes = self.catalog.files["bytes"]
        progress.start("scoring", sum(int(sizes[slice(*self.units[n])].sum()) for n in numbers))
        return numbers

    def _unit(self, number: int) -> Catalog:
        first, end = self.units[number]
        return replace(self.catalog, files=self.catalog.files[first:end])

    def _hits(self, unit: Catalog, thresholds: Float64, progress: Progress) -> Iterator[Hits]:
        query = WindowQuery(unit, [EMBEDDING], self.predicate, batch_bytes=_BATCH_BYTES)
        buffers = Pool(EmbeddingBuffer)

        def above(batch: Batch) -> Hits:
            with buffers.borrow() as buffer:
                blocks = query.blocks(batch, buffer)
                return Hits.concatenated(
                    [self.scorer.above(block, rows, thresholds) for rows, block in blocks]
                )

        with one_thread():
            yield from query.map(
                above, name="", progress=_Continued(progress), workers=self.workers
            )

    def _best(
        self, unit: Catalog, first_row: int, top: int, best: Found, progress: Progress
    ) -> Found:
        """Return the best windows of a unit that may be among the best of all."""
        query = WindowQuery(unit, [EMBEDDING], self.predicate, batch_bytes=_BATCH_BYTES)
        buffers = Pool(EmbeddingBuffer)
        count = len(self.scorer.classes)
        known = best

        def search(batch: Batch) -> Found:
            found, least = Found(), known.least(count)
            with buffers.borrow() as buffer:
                for rows, block in query.blocks(batch, buffer):
                    of_block = self.scorer.best(block, rows + first_row, top=top, least=least)
                    found = found.merge(of_block)
                    for number in of_block.nearest:
                        least[number] = max(least[number], found.nearest[number].least)
            return found

        every = Found()
        with one_thread():
            for found in query.map(
                search, name="", progress=_Continued(progress), workers=self.workers
            ):
                every, known = every.merge(found), known.merge(found)
        return every

    def _rows(self, unit: Catalog, hits: Iterator[Hits]) -> Iterator[tuple[pl.DataFrame, int]]:
        """Read the windows of hits; yield them with the number of windows without scores."""
        for of_batch in hits:
            yield (
                self._frame(unit, of_batch.rows, of_batch.classes, of_batch.scores),
                of_batch.undefined,
            )

    def _best_rows(self, best: Found) -> tuple[pl.DataFrame, int]:
        candidates = _candidates(best)
        classes, rows, keys = (candidates[name].to_numpy() for name in candidates.columns)
        return self._frame(self.catalog, rows, classes, keys + self.scorer.offsets[classes]), 0

    def _frame(self, catalog: Catalog, rows: Rows, classes: Any, scores: Float64) -> pl.DataFrame:
        """Read the metadata of windows, one row for each of their classes."""
        columns = self.template.columns if self.template else ()
        keys = self.catalog.partition_by.keys
        needed = tuple(dict.fromkeys((*_COLUMNS, *keys, *columns)))
        distinct, at = np.unique(rows, return_inverse=True)
        windows = take_rows(catalog, distinct, needed)
        names = pl.Series(CLASS, self.scorer.classes, pl.String)
        linked = with_links(windows, self.template, (*_COLUMNS, *keys))
        return (
            linked[at]
            .with_columns(names.gather(classes), pl.Series(SCORE, scores, pl.Float64))
            .select(self.schema.names)
        )


def _candidates(found: Found) -> pl.DataFrame:
    each = sorted(found.nearest.items())
    classes = np.repeat(
        np.array([number for number, _ in each], np.int32), [len(near.rows) for _, near in each]
    )
    empty = np.empty(0)
    return pl.DataFrame(
        {
            "class": pl.Series(classes, dtype=pl.Int32),
            "window": pl.Series(
                np.concatenate([empty.astype(np.int64), *(near.rows for _, near in each)])
            ),
            "key": pl.Series(np.concatenate([empty, *(near.keys for _, near in each)])),
        }
    )


def _read_candidates(frame: pl.DataFrame, top: int) -> Found:
    return Found(
        {
            int(number): Nearest(top, of_class["key"].to_numpy(), of_class["window"].to_numpy())
            for (number,), of_class in frame.group_by("class", maintain_order=True)
        }
    )
