"""Runs of which some rows are left out."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.runs.run import Rows, Run
from a20_parquet.windows.order import Partitions

_PIECE_BYTES = 1 << 20


class WithoutRows:
    """A run without some of its rows, which is a run again."""

    def __init__(self, run: Run, rows: npt.NDArray[np.int64]) -> None:
        """Leave rows out.

        Args:
            run: what remains of it is read from there.
            rows: numbers of its rows, ascending, each once.
        """
        self._run = run
        self._dropped = rows
        # Before which of the rows that remain each dropped row lay.
        self._places = rows - np.arange(len(rows))
        self._partitions: Partitions | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[Run, npt.NDArray[np.int64]]]:
        """Made anew in another process, which may need no partitions."""
        return type(self), (self._run, self._dropped)

    @property
    def on_disk(self) -> bool:
        """Whether it is on scratch storage."""
        return self._run.on_disk

    @property
    def is_remote(self) -> bool:
        """Whether who reads it waits for a store."""
        return self._run.is_remote

    @property
    def partitions(self) -> Partitions:
        """Its partitions, in order; those of which nothing remains are not among them."""
        if self._partitions is None:
            self._partitions = _without(self._run.partitions, self._dropped)
        return self._partitions

    def read_metadata(self, start: int, stop: int) -> Any:
        """Rows ``start`` to before ``stop``, at least one: a record batch of ``keyed_schema()``."""
        pieces = []
        for first, end in self._pieces(start, stop, stop - start):
            piece = self._run.read_metadata(first, end)
            kept = self._kept(first, end)
            pieces.append(piece if kept.all() else piece.filter(pa.array(kept)))
        return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """Fill ``out`` with the embeddings from row ``start`` on.

        Raises:
            DatasetError: the run was damaged.
        """
        most = max(1, _PIECE_BYTES // out[:1].nbytes) if len(out) else 1
        scratch: Rows | None = None
        filled = 0
        for first, end in self._pieces(start, start + len(out), most):
            kept = self._kept(first, end)
            count = int(np.count_nonzero(kept))
            target = out[filled : filled + count]
            if count == end - first:
                self._run.read_embeddings(first, target)
            elif count:
                if scratch is None:
                    scratch = np.empty((most, out.shape[1]), np.float32)
                piece = scratch[: end - first]
                self._run.read_embeddings(first, piece)
                np.compress(kept, piece, axis=0, out=target)
            filled += count

    def _pieces(self, start: int, stop: int, most: int) -> list[tuple[int, int]]:
        """Divide the run's rows from one that remains to another into pieces of ``most`` rows."""
        first, last = self._original([start, stop - 1]).tolist()
        return [(at, min(at + most, last + 1)) for at in range(first, last + 1, most)]

    def _original(self, rows: list[int]) -> npt.NDArray[np.int64]:
        """Numbers in the run of rows that remain."""
        original: npt.NDArray[np.int64] = rows + np.searchsorted(self._places, rows, side="right")
        return original

    def _kept(self, first: int, end: int) -> npt.NDArray[np.bool_]:
        kept = np.ones(end - first, np.bool_)
        low, high = np.searchsorted(self._dropped, [first, end])
        kept[self._dropped[low:high] - first] = False
        return kept


def _without(partitions: Partitions, rows: npt.NDArray[np.int64]) -> Partitions:
    bounds = np.append(partitions.starts, partitions.rows.sum())
    left = partitions.rows - np.diff(np.searchsorted(rows, bounds))
    some = np.flatnonzero(left)
    numbers = pa.array(some)
    return Partitions(partitions.site.take(numbers), partitions.period.take(numbers), left[some])
