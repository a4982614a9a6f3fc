"""Another run without some of its rows."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.runs.run import Rows, Run, join_batches
from a20_parquet.windows.order import Partitions


class WithoutRows:
    """Another run without some of its rows.

    Attributes:
        on_disk: see ``Run``.
        is_remote: see ``Run``.
    """

    def __init__(self, run: Run, rows: npt.NDArray[np.int64], piece_bytes: int = 1 << 20) -> None:
        """Leave rows out.

        Args:
            run: the other run.
            rows: numbers of the rows to leave out, ascending, each once.
            piece_bytes: most bytes of embeddings to read at a time, or one row.
        """
        self.on_disk = run.on_disk
        self.is_remote = run.is_remote
        self._run = run
        self._dropped = rows
        self._piece_bytes = piece_bytes
        # Kept rows before each dropped row.
        self._kept_before = rows - np.arange(len(rows))
        self._partitions: Partitions | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[Run, npt.NDArray[np.int64], int]]:
        """Leave the partitions behind: another process may not need them."""
        return type(self), (self._run, self._dropped, self._piece_bytes)

    @property
    def partitions(self) -> Partitions:
        """The partitions that have rows left, in order."""
        if self._partitions is None:
            found = self._run.partitions
            bounds = np.append(found.starts, found.rows.sum())
            left = found.rows - np.diff(np.searchsorted(self._dropped, bounds))
            some = np.flatnonzero(left)
            numbers = pa.array(some)
            self._partitions = Partitions(
                found.site.take(numbers), found.period.take(numbers), left[some]
            )
        return self._partitions

    def read_metadata(self, start: int, stop: int) -> Any:
        """See ``Run``; at least one row."""
        pieces = []
        for first, end in self._pieces(start, stop, stop - start):
            piece = self._run.read_metadata(first, end)
            kept = self._kept(first, end)
            pieces.append(piece if kept.all() else piece.filter(pa.array(kept)))
        return join_batches(pieces)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """See ``Run``."""
        most = max(1, self._piece_bytes // out[:1].nbytes) if len(out) else 1
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
        """Bounds, in the other run, of pieces of at most ``most`` rows that hold these rows."""
        rows = np.array([start, stop - 1])
        first, last = (rows + np.searchsorted(self._kept_before, rows, side="right")).tolist()
        return [(at, min(at + most, last + 1)) for at in range(first, last + 1, most)]

    def _kept(self, first: int, end: int) -> npt.NDArray[np.bool_]:
        """Whether each row of a piece is kept."""
        kept = np.ones(end - first, np.bool_)
        low, high = np.searchsorted(self._dropped, [first, end])
        kept[self._dropped[low:high] - first] = False
        return kept
