"""Several runs, read slice by slice as one sorted sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.dataset.parquet import ReadLists
from a20_parquet.dataset.run import Rows, Run
from a20_parquet.table.order import sort_order

Numbers = npt.NDArray[np.int64]
"""One item a row."""


@dataclass(frozen=True, slots=True)
class MergedRows:
    """Consecutive rows of the merged sequence; those of one run are consecutive there too."""

    metadata: Any
    """A record batch of ``keyed_schema()``."""
    run: Numbers
    """Which of the runs each row comes from."""
    row: Numbers
    """Its number in that run."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.row)

    def slice(self, start: int, stop: int) -> "MergedRows":
        """Rows ``start`` to before ``stop``."""
        return MergedRows(
            self.metadata.slice(start, stop - start), self.run[start:stop], self.row[start:stop]
        )

    def take(self, rows: Numbers) -> "MergedRows":
        """Some of the rows, by their places."""
        return MergedRows(self.metadata.take(pa.array(rows)), self.run[rows], self.row[rows])


def concat_rows(parts: Sequence[MergedRows]) -> MergedRows:
    """Put rows one behind the other."""
    if len(parts) == 1:
        return parts[0]
    return MergedRows(
        pa.concat_batches([part.metadata for part in parts]),
        np.concatenate([part.run for part in parts]),
        np.concatenate([part.row for part in parts]),
    )


class MetadataCursor:
    """Merges slices of runs by their metadata, each run in one forward pass."""

    def __init__(self, runs: Sequence[Run], slices: npt.ArrayLike, *, batch_rows: int) -> None:
        """Start before the first row.

        Args:
            runs: what to merge.
            slices: for each run the rows ``(start, stop)`` to read, int64 of shape ``(runs, 2)``.
            batch_rows: rows to read of each run at a time.
        """
        starts, stops = np.asarray(slices, np.int64).reshape(-1, 2).T
        self._numbers = np.flatnonzero(starts < stops)
        self._runs = [runs[number] for number in self._numbers.tolist()]
        self._next = starts[self._numbers]
        self._stop = stops[self._numbers]
        self._batch_rows = batch_rows
        self._waiting: MergedRows | None = None

    @property
    def is_alone(self) -> bool:
        """Whether all rows are of one run."""
        return len(self._runs) == 1

    def read(self) -> MergedRows:
        """Read the rows that come next: at least one, as many as are sure to.

        A row is sure to come next when no run can still bring a smaller one: when it does not
        come after the last row read of any run that goes on.

        Raises:
            EOFError: there is none.
        """
        parts = [] if self._waiting is None else [self._waiting]
        waiting = np.bincount(
            parts[0].run if parts else np.zeros(0, np.int64), minlength=len(self._runs)
        )
        for number in np.flatnonzero((waiting < self._batch_rows) & (self._next < self._stop)):
            start = int(self._next[number])
            stop = int(min(start + self._batch_rows, self._stop[number]))
            metadata = self._runs[number].read_metadata(start, stop)
            parts.append(
                MergedRows(metadata, np.full(stop - start, number), np.arange(start, stop))
            )
            self._next[number] = stop
        if not parts:
            raise EOFError("the runs hold fewer rows than their indexes say")
        rows = self._sort(concat_rows(parts))
        safe = self._count_safe(rows)
        self._waiting = rows.slice(safe, len(rows)) if safe < len(rows) else None
        given = rows.slice(0, safe)
        return MergedRows(given.metadata, self._numbers[given.run], given.row)

    def _sort(self, rows: MergedRows) -> MergedRows:
        if self.is_alone:
            return rows
        return rows.take(sort_order(rows.metadata))

    def _count_safe(self, rows: MergedRows) -> int:
        goes_on = (self._next < self._stop)[rows.run]
        is_last_read = rows.row == (self._next - 1)[rows.run]
        ends = np.flatnonzero(goes_on & is_last_read)
        return int(ends[0]) + 1 if len(ends) else len(rows)


class MergeCursor:
    """Reads slices of several runs as one sorted sequence, each run in one forward pass."""

    def __init__(
        self,
        runs: Sequence[Run],
        slices: npt.ArrayLike,
        *,
        batch_rows: int,
        staging: Rows,
    ) -> None:
        """Start before the first row.

        Args:
            runs: what to merge.
            slices: for each run the rows ``(start, stop)`` to read, int64 of shape ``(runs, 2)``.
            batch_rows: rows of metadata to read of each run at a time.
            staging: where embeddings of several runs are read before they are put in order, shape
                ``(rows, dims)``.
        """
        self._runs = runs
        self._cursor = MetadataCursor(runs, slices, batch_rows=batch_rows)
        self._is_alone = self._cursor.is_alone
        self._staging = staging
        self._merged: MergedRows | None = None
        self._at = 0

    def read(self, out: Rows) -> Any:
        """Read the next ``len(out)`` rows.

        Args:
            out: filled with their embeddings, shape ``(rows, dims)``.

        Returns:
            Their metadata, a record batch of ``keyed_schema()``.

        Raises:
            EOFError: the slices hold fewer rows.
        """
        parts = self._read_rows(len(out))
        done = 0
        for rows in parts:
            self._read_embeddings(rows, out[done : done + len(rows)])
            done += len(rows)
        return _join_metadata(parts)

    def read_paged(self, buffer: Rows) -> tuple[Any, ReadLists]:
        """Read the next ``len(buffer)`` rows, their embeddings when they are asked for.

        A page that is read when it is written is in the cache still. Where several runs are merged,
        all embeddings are read at once.

        Args:
            buffer: where embeddings are read, shape ``(rows, dims)``.

        Returns:
            The rows' metadata, a record batch of ``keyed_schema()``, and what gives the embeddings
            of some of them, numbered from 0. It gives views of ``buffer``.

        Raises:
            EOFError: the slices hold fewer rows.
        """
        if not self._is_alone:
            return self.read(buffer), lambda start, stop: buffer[start:stop]
        parts = self._read_rows(len(buffer))
        run, first = self._runs[parts[0].run[0]], int(parts[0].row[0])

        def read_page(start: int, stop: int) -> Rows:
            page = buffer[: stop - start]
            run.read_embeddings(first + start, page)
            return page

        return _join_metadata(parts), read_page

    def _read_rows(self, count: int) -> list[MergedRows]:
        """The next rows without their embeddings, in parts whose embeddings can be staged."""
        parts: list[MergedRows] = []
        while count:
            if self._merged is None or self._at == len(self._merged):
                self._merged = self._cursor.read()
                self._at = 0
            end = min(self._at + count, len(self._merged))
            if not self._is_alone:
                end = min(end, self._at + len(self._staging))
            parts.append(self._merged.slice(self._at, end))
            count -= end - self._at
            self._at = end
        return parts

    def _read_embeddings(self, rows: MergedRows, out: Rows) -> None:
        """Fill ``out``; a run's rows among them are consecutive."""
        if self._is_alone:
            self._runs[rows.run[0]].read_embeddings(int(rows.row[0]), out)
            return
        by_run = np.argsort(rows.run, kind="stable")
        present, firsts = np.unique(rows.run[by_run], return_index=True)
        bounds = [*firsts.tolist(), len(out)]
        for number, first, last in zip(present.tolist(), bounds, bounds[1:], strict=False):
            start = int(rows.row[by_run[first]])
            self._runs[number].read_embeddings(start, self._staging[first:last])
        place = np.empty(len(out), np.int64)
        place[by_run] = np.arange(len(out))
        np.take(self._staging, place, axis=0, out=out, mode="clip")


def _join_metadata(parts: Sequence[MergedRows]) -> Any:
    batches = [part.metadata for part in parts]
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
