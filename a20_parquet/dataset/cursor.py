"""Several runs' metadata, read slice by slice as one sorted sequence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.dataset.run import Run
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

    def __init__(
        self, runs: Sequence[Run], slices: Sequence[tuple[int, int]], *, batch_rows: int
    ) -> None:
        """Start before the first row.

        Args:
            runs: what to merge.
            slices: for each run the rows ``(start, stop)`` to read.
            batch_rows: rows to read of each run at a time.
        """
        numbered = [(number, *bounds) for number, bounds in enumerate(slices)]
        parts = [part for part in numbered if part[1] < part[2]]
        self._numbers = np.array([number for number, _, _ in parts], np.int64)
        self._runs = [runs[number] for number, _, _ in parts]
        self._next = np.array([start for _, start, _ in parts], np.int64)
        self._stop = np.array([stop for _, _, stop in parts], np.int64)
        self._batch_rows = batch_rows
        self._waiting: MergedRows | None = None

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
        if len(self._runs) == 1:
            return rows
        return rows.take(sort_order(rows.metadata))

    def _count_safe(self, rows: MergedRows) -> int:
        goes_on = (self._next < self._stop)[rows.run]
        is_last_read = rows.row == (self._next - 1)[rows.run]
        ends = np.flatnonzero(goes_on & is_last_read)
        return int(ends[0]) + 1 if len(ends) else len(rows)
