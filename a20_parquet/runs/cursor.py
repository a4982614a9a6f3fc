"""Reads slices of several runs as one sorted sequence.

Runs in a store are read at the same time, each as many rows at once as fit into memory.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.parquet import ReadLists
from a20_parquet.runs.run import Rows, Run, join_batches
from a20_parquet.storage.concurrent import AT_ONCE, map_at_once
from a20_parquet.windows.order import sort_order

Numbers = npt.NDArray[np.int64]
"""Shape ``(rows,)``."""

_REQUEST_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class MergedRows:
    """Consecutive rows of the merged sequence; the rows of each run are consecutive in it too."""

    metadata: Any
    """A record batch of ``keyed_schema()``."""
    run: Numbers
    """Index of the run that each row comes from."""
    row: Numbers
    """Number of the row in that run."""

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.row)

    def slice(self, start: int, stop: int) -> "MergedRows":
        """Rows ``start`` to before ``stop``."""
        return MergedRows(
            self.metadata.slice(start, stop - start), self.run[start:stop], self.row[start:stop]
        )

    def take(self, rows: Numbers) -> "MergedRows":
        """Rows by index."""
        return MergedRows(self.metadata.take(pa.array(rows)), self.run[rows], self.row[rows])


def concat_rows(parts: Sequence[MergedRows]) -> MergedRows:
    """Concatenate rows; a single part is not copied."""
    if len(parts) == 1:
        return parts[0]
    return MergedRows(
        join_batches([part.metadata for part in parts]),
        np.concatenate([part.run for part in parts]),
        np.concatenate([part.row for part in parts]),
    )


def read_spans(
    runs: Sequence[Run],
    spans: Iterable[tuple[int, int, Rows]],
    request_bytes: int = _REQUEST_BYTES,
) -> None:
    """Read embeddings of several runs.

    Args:
        runs: the runs.
        spans: index of a run, its first row to read, and the array to fill, of one row or more.
        request_bytes: most bytes per request to a store, or one row.

    Raises:
        DatasetError: a run was damaged.
        OSError: one cannot be read.
    """
    pieces = []
    for run, start, out in spans:
        most = max(1, request_bytes // out[:1].nbytes) if runs[run].is_remote else len(out)
        pieces += [(runs[run], start + at, out[at : at + most]) for at in range(0, len(out), most)]
    map_at_once(
        lambda piece: piece[0].read_embeddings(piece[1], piece[2]),
        pieces,
        is_remote=any(run.is_remote for run, _, _ in pieces),
    )


class MetadataCursor:
    """Merges the metadata of slices of runs, each run in one forward pass.

    Attributes:
        is_remote: whether any of the rows are in a store.
    """

    def __init__(self, runs: Sequence[Run], slices: npt.ArrayLike, *, batch_rows: int) -> None:
        """Start before the first row.

        Args:
            runs: the runs.
            slices: for each run the rows ``(start, stop)`` to read, int64 of shape ``(runs, 2)``.
            batch_rows: rows of each run to read at a time.
        """
        starts, stops = np.asarray(slices, np.int64).reshape(-1, 2).T
        self._numbers = np.flatnonzero(starts < stops)
        self._runs = [runs[number] for number in self._numbers.tolist()]
        self._next = starts[self._numbers]
        self._stop = stops[self._numbers]
        self._batch_rows = batch_rows
        self._waiting: MergedRows | None = None
        self.is_remote = any(run.is_remote for run in self._runs)

    @property
    def is_alone(self) -> bool:
        """Whether all rows are in one run."""
        return len(self._runs) == 1

    def read(self) -> MergedRows:
        """Read the next rows, at least one, up to the first whose position is not certain.

        The position of a row is certain if no run can still bring a smaller row: if the row does
        not come after the last row read from any run that has rows left.

        Raises:
            EOFError: there are no more rows.
        """
        parts = [] if self._waiting is None else [self._waiting]
        in_parts = parts[0].run if parts else np.zeros(0, np.int64)
        waiting = np.bincount(in_parts, minlength=len(self._runs))
        numbers = np.flatnonzero((waiting < self._batch_rows) & (self._next < self._stop))
        parts += map_at_once(self._read_slice, numbers.tolist(), is_remote=self.is_remote)
        self._next[numbers] = self._next_stops(numbers)
        if not parts:
            raise EOFError("the runs hold fewer rows than their indexes say")
        rows = concat_rows(parts)
        if not self.is_alone:
            rows = rows.take(sort_order(rows.metadata))
        has_more = (self._next < self._stop)[rows.run]
        is_last_read = rows.row == (self._next - 1)[rows.run]
        ends = np.flatnonzero(has_more & is_last_read)
        certain = int(ends[0]) + 1 if len(ends) else len(rows)
        self._waiting = rows.slice(certain, len(rows)) if certain < len(rows) else None
        merged = rows.slice(0, certain)
        return MergedRows(merged.metadata, self._numbers[merged.run], merged.row)

    def _read_slice(self, number: int) -> MergedRows:
        start, stop = int(self._next[number]), int(self._next_stops(number))
        metadata = self._runs[number].read_metadata(start, stop)
        return MergedRows(metadata, np.full(stop - start, number), np.arange(start, stop))

    def _next_stops(self, numbers: Any) -> Any:
        return np.minimum(self._next[numbers] + self._batch_rows, self._stop[numbers])


class MergeCursor:
    """Reads slices of several runs as one sorted sequence, each run in one forward pass."""

    def __init__(
        self,
        runs: Sequence[Run],
        slices: npt.ArrayLike,
        *,
        batch_rows: int,
        staging: Rows,
        request_bytes: int = _REQUEST_BYTES,
    ) -> None:
        """Start before the first row.

        Args:
            runs: the runs.
            slices: for each run the rows ``(start, stop)`` to read, int64 of shape ``(runs, 2)``.
            batch_rows: rows of metadata of each run to read at a time.
            staging: buffer for embeddings of several runs until they are in order, shape
                ``(rows, dims)``.
            request_bytes: see ``read_spans``.
        """
        self._runs = runs
        self._request_bytes = request_bytes
        self._cursor = MetadataCursor(runs, slices, batch_rows=batch_rows)
        self._staging = staging
        # Answers to requests need memory of their own: as much of the staging memory stays unused.
        requested = AT_ONCE * request_bytes // max(1, staging[:1].nbytes)
        self._most_ahead = max(1, len(staging) // 2, len(staging) - requested)
        self._merged: MergedRows | None = None
        self._at = 0
        self._staged: MergedRows | None = None
        self._order = np.zeros(0, np.int64)
        self._given = 0

    def read(self, out: Rows) -> Any:
        """Read the next ``len(out)`` rows.

        Args:
            out: filled with the embeddings, shape ``(rows, dims)``.

        Returns:
            The metadata, a record batch of ``keyed_schema()``.

        Raises:
            EOFError: the slices hold fewer rows.
        """
        if self._cursor.is_alone:
            parts = self._read_rows(len(out))
            span = (int(parts[0].run[0]), int(parts[0].row[0]), out)
            read_spans(self._runs, [span], self._request_bytes)
            return _join_metadata(parts)
        parts = []
        while len(out):
            parts.append(self._read_staged(out))
            out = out[len(parts[-1]) :]
        return _join_metadata(parts)

    def read_paged(self, buffer: Rows) -> tuple[Any, ReadLists]:
        """Read the next ``len(buffer)`` rows, their embeddings page by page.

        A page that is read just before it is written is still in the processor's cache. The
        embeddings of several runs, or of one in a store, are all read by this call.

        Args:
            buffer: memory for the embeddings, shape ``(rows, dims)``.

        Returns:
            The metadata, a record batch of ``keyed_schema()``, and a function that returns the
            embeddings of rows ``start`` to before ``stop``, counted from 0, as a view of
            ``buffer``.

        Raises:
            EOFError: the slices hold fewer rows.
        """
        if not self._cursor.is_alone or self._cursor.is_remote:
            return self.read(buffer), lambda start, stop: buffer[start:stop]
        parts = self._read_rows(len(buffer))
        run, first = self._runs[parts[0].run[0]], int(parts[0].row[0])

        def read_page(start: int, stop: int) -> Rows:
            page = buffer[: stop - start]
            run.read_embeddings(first + start, page)
            return page

        return _join_metadata(parts), read_page

    def _read_rows(self, count: int) -> list[MergedRows]:
        """Read the next ``count`` rows, without embeddings."""
        parts: list[MergedRows] = []
        while count:
            parts.append(self._read_part(count))
            count -= len(parts[-1])
        return parts

    def _read_part(self, most: int) -> MergedRows:
        """Read the next rows, one to ``most`` of them, without embeddings."""
        if self._merged is None or self._at == len(self._merged):
            self._merged = self._cursor.read()
            self._at = 0
        start, self._at = self._at, min(self._at + most, len(self._merged))
        return self._merged.slice(start, self._at)

    def _read_staged(self, out: Rows) -> MergedRows:
        """Read the next rows, one or more, with their embeddings into the start of ``out``."""
        if self._staged is None or self._given == len(self._staged):
            ahead = self._most_ahead if self._cursor.is_remote else len(out)
            self._staged = self._read_part(min(ahead, len(self._staging)))
            self._stage(self._staged)
            self._given = 0
        start, stop = self._given, min(self._given + len(out), len(self._staged))
        self._given = stop
        rows = self._order[start:stop]
        np.take(self._staging, rows, axis=0, out=out[: stop - start], mode="clip")
        return self._staged.slice(start, stop)

    def _stage(self, rows: MergedRows) -> None:
        """Read the embeddings of ``rows``, those of each run as one span."""
        by_run = np.argsort(rows.run, kind="stable")
        present, firsts = np.unique(rows.run[by_run], return_index=True)
        bounds = [*firsts.tolist(), len(rows)]
        starts = rows.row[by_run[firsts]].tolist()
        spans = zip(present.tolist(), starts, bounds, bounds[1:], strict=False)
        read_spans(
            self._runs,
            [(run, start, self._staging[first:last]) for run, start, first, last in spans],
            self._request_bytes,
        )
        self._order = np.empty(len(rows), np.int64)
        self._order[by_run] = np.arange(len(rows))


def _join_metadata(parts: Sequence[MergedRows]) -> Any:
    return join_batches([part.metadata for part in parts])
