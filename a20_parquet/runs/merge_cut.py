"""Finds where a rank of the merged order is in each run, by reading few of the runs' rows.

The rows before a cut are bracketed: each run's cut is between two of its rows. Rows that are read
between them are ranked against those of all runs, which narrows every bracket.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import isqrt

import numpy as np
import numpy.typing as npt

from a20_parquet.runs.cursor import MergedRows, concat_rows
from a20_parquet.runs.merge_plan import MergeUnit
from a20_parquet.runs.run import Run
from a20_parquet.storage.concurrent import map_at_once
from a20_parquet.windows.order import SORT_KEYS, sort_order

Numbers = npt.NDArray[np.int64]

# Rows to read of a bracket, evenly spread. With gaps of an eighth, a round leaves at most three
# eighths of all brackets, whatever is in the runs.
_SPREAD = 9
_WELL_NARROWED = 4
# The merge has memory for two batches of metadata of each run; the sort keys are a quarter of it.
_KEY_BATCHES = 4


def unit_slices(runs: Sequence[Run], unit: MergeUnit, *, batch_rows: int) -> Numbers:
    """Return the rows ``(start, stop)`` of each run that are in a unit's files.

    Args:
        runs: the runs.
        unit: of their merge.
        batch_rows: rows of metadata of each run to read at a time.

    Returns:
        Shape ``(runs, 2)``.

    Raises:
        DatasetError: a run was damaged.
        OSError: one cannot be read.
    """
    ranks = (unit.skipped, unit.skipped + unit.rows)
    cuts = [find_cut(runs, unit.slices, rank, batch_rows=batch_rows) for rank in ranks]
    return np.stack(cuts, axis=1)


def find_cut(runs: Sequence[Run], slices: npt.ArrayLike, rank: int, *, batch_rows: int) -> Numbers:
    """Find the rows of each run that are among the first ``rank`` of the merged order.

    Rows that are equal in all ``SORT_KEYS`` keep the order of runs, then of rows.

    Args:
        runs: the runs.
        slices: for each run the rows ``(start, stop)`` to merge, int64 of shape ``(runs, 2)``.
        rank: from 0 to the number of these rows.
        batch_rows: rows of metadata of each run to read at a time.

    Returns:
        The first row of each run that is not among them, shape ``(runs,)``.

    Raises:
        DatasetError: a run was damaged.
        OSError: one cannot be read.
    """
    low, high = np.array(slices, np.int64).reshape(-1, 2).T.copy()
    search = _Search(runs, low, high, int(low.sum()) + rank, batch_rows)
    spreads = False
    while not search.is_done():
        size = search.size
        search.read(spreads=spreads)
        search.narrow()
        # Windows in random order are where they are expected; any others are found by dividing.
        spreads = not spreads and search.size > size // _WELL_NARROWED
    return search.low


@dataclass(slots=True)
class _Search:
    runs: Sequence[Run]
    low: Numbers
    """Least row at which each run may be cut."""
    high: Numbers
    """Largest row at which each run may be cut."""
    target: int
    """Sum of all cuts."""
    batch_rows: int
    _known: list[MergedRows] = field(default_factory=list)
    """The rows read that are in brackets, in the order of runs and rows."""

    @property
    def size(self) -> int:
        """Rows in all brackets."""
        return int((self.high - self.low).sum())

    def is_done(self) -> bool:
        """Whether the cuts are known; then these are ``low``."""
        is_open = self.low < self.high
        left = self.target - int(self.low.sum())
        if left and np.count_nonzero(is_open) == 1:
            self.low[is_open] += left
            return True
        if left == self.size:
            self.low = self.high
            return True
        return not left

    def read(self, *, spreads: bool) -> None:
        """Read some rows of each bracket: around the expected cut, or evenly spread."""
        sizes = self.high - self.low
        share = (self.target - int(self.low.sum())) / self.size
        most = _KEY_BATCHES * self.batch_rows
        spans = []
        for number in np.flatnonzero(sizes).tolist():
            low, size = int(self.low[number]), int(sizes[number])
            spans += [
                (number, low + start, low + stop)
                for start, stop in _spans(size, share, most, spreads=spreads)
            ]
        is_remote = any(self.runs[number].is_remote for number, _, _ in spans)
        read = concat_rows([*self._known, *map_at_once(self._read, spans, is_remote=is_remote)])
        self._known = [read.take(_each_once(read))]

    def _read(self, span: tuple[int, int, int]) -> MergedRows:
        number, start, stop = span
        keys = self.runs[number].read_metadata(start, stop).select(SORT_KEYS)
        return MergedRows(keys, np.full(stop - start, number), np.arange(start, stop))

    def narrow(self) -> None:
        """Narrow all brackets by the rows that are known."""
        (known,) = self._known
        run, row = known.run, known.row
        follows = np.diff(run, prepend=-1) == 0
        first_left = np.where(follows, np.roll(row, 1) + 1, self.low[run])
        is_followed = np.append(follows[1:], False)
        next_known = np.where(is_followed, np.roll(row, -1), self.high[run])
        order = sort_order(known.metadata)
        # Of the rows before a known row each run has all up to its last known one before it, and
        # may have those up to its next known one.
        most = self.high.copy()
        most[run[~follows]] = row[~follows]
        at_least = int(self.low.sum()) + _sum_before((row + 1 - first_left)[order])
        at_most = int(most.sum()) + _sum_before((next_known - row)[order])
        before = order[: np.searchsorted(at_most, self.target)]
        after = order[np.searchsorted(at_least, self.target) :]
        np.maximum.at(self.low, run[before], row[before] + 1)
        np.minimum.at(self.high, run[after], row[after])
        in_bracket = (row >= self.low[run]) & (row < self.high[run])
        self._known = [known.take(np.flatnonzero(in_bracket))]


def _spans(size: int, share: float, most: int, *, spreads: bool) -> Iterator[tuple[int, int]]:
    """Yield which rows of a bracket of ``size`` rows to read.

    Args:
        size: rows of the bracket.
        share: of them that is expected before the cut.
        most: rows to read, or ``_SPREAD`` if they are spread.
        spreads: whether to spread them.
    """
    # Of records in random order, the cut deviates by the root of their number.
    count = min(most, 8 * isqrt(size) + 1)
    if size <= count:
        yield 0, size
    elif spreads:
        for place in range(_SPREAD):
            row = (size - 1) * place // (_SPREAD - 1)
            yield row, row + 1
    else:
        start = min(max(int(size * share) - count // 2, 0), size - count)
        yield start, start + count


def _sum_before(numbers: Numbers) -> Numbers:
    """Return for each number the sum of those before it."""
    sums: Numbers = np.cumsum(numbers) - numbers
    return sums


def _each_once(rows: MergedRows) -> Numbers:
    """Return the indices of all rows in the order of runs and rows, without repeats."""
    order: Numbers = np.lexsort((rows.row, rows.run))
    run, row = rows.run[order], rows.row[order]
    is_new = np.ones(len(order), np.bool_)
    is_new[1:] = (np.diff(run) != 0) | (np.diff(row) != 0)
    return order[is_new]
