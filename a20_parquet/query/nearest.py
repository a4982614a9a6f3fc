"""Exact search for the nearest windows of several embeddings, block by block."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from a20_parquet.query.metrics import Estimate, Float32, Float64, Queries, square_lengths

# The estimates of more queries at once would take much memory.
_QUERIES_AT_ONCE = 1024

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The windows with the largest keys so far, best first; ties are in order of number."""

    top: int
    """Largest number of windows to keep."""
    keys: Float64 = field(default_factory=lambda: np.empty(0))
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    """Numbers of the windows in the dataset."""

    @property
    def least(self) -> float:
        """The key that a window must reach to be kept."""
        return float(self.keys[-1]) if len(self.keys) == self.top else -np.inf

    def merge(self, other: "Nearest") -> "Nearest":
        """Return the best windows of both."""
        keys = np.concatenate([self.keys, other.keys])
        rows = np.concatenate([self.rows, other.rows])
        best = np.lexsort((rows, -keys))[: self.top]
        return Nearest(self.top, keys[best], rows[best])


@dataclass(frozen=True, slots=True)
class Found:
    """The nearest windows of each query; merging is associative and commutative."""

    nearest: dict[int, Nearest] = field(default_factory=dict)
    """By the query's number; queries without windows may be missing."""
    undefined: int = 0
    """Number of windows that cannot be compared, because they are zero or not finite."""

    def merge(self, other: "Found") -> "Found":
        """Return the best windows of both."""
        merged = dict(self.nearest)
        for query, nearest in other.nearest.items():
            merged[query] = merged[query].merge(nearest) if query in merged else nearest
        return Found(merged, self.undefined + other.undefined)

    def least(self, queries: int) -> Float64:
        """Return the key that a window must reach to be kept, for each query."""
        found = np.full(queries, -np.inf)
        for query, nearest in self.nearest.items():
            found[query] = nearest.least
        return found


@dataclass(frozen=True, slots=True)
class Excluded:
    """Windows that are left out of the answers to some queries."""

    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    """Numbers of the windows, ascending."""
    queries: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    """The query that leaves out each of them."""

    @classmethod
    def of(cls, rows: Rows, queries: Rows) -> Self:
        """Sort pairs of a window and a query."""
        order = np.argsort(rows, kind="stable")
        return cls(rows[order], queries[order])

    def within(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return the positions in ascending ``rows`` of excluded windows, and their queries."""
        first, end = np.searchsorted(self.rows, [rows[0], rows[-1] + 1])
        excluded, queries = self.rows[first:end], self.queries[first:end]
        at = np.searchsorted(rows, excluded)
        there = rows[at] == excluded
        return at[there], queries[there]


def search_block(  # noqa: PLR0913 - what a search needs
    queries: Queries,
    block: Float32,
    rows: Rows,
    *,
    top: int,
    least: Float64,
    excluded: Excluded | None = None,
) -> Found:
    """Find the best windows of a block for each query.

    Estimates rule out nearly all windows; the keys of the others are computed again in float64, one
    way, so that the answer does not depend on blocks and threads.

    Args:
        queries: what is searched for.
        block: embeddings, shape ``(rows, dims)``.
        rows: numbers of the windows, ascending, shape ``(rows,)``.
        top: largest number of windows to return for each query.
        least: ignore windows with a smaller key, shape ``(queries,)``.
        excluded: windows to leave out.
    """
    squares = square_lengths(block)
    undefined = queries.undefined(block, squares)
    undefined_rows = int(np.count_nonzero(undefined))
    left_out = excluded.within(rows) if excluded is not None else None
    found = {}
    for first in range(0, len(queries), _QUERIES_AT_ONCE):
        several = queries.part(first, first + _QUERIES_AT_ONCE)
        estimate = several.estimate(block, squares)
        with np.errstate(all="ignore"):  # keys that are not finite are computed again
            maybe = ~(estimate.keys + estimate.error < least[first : first + len(several)])
        if undefined_rows:
            maybe[undefined] = False
        if left_out is not None:
            at, of = left_out
            here = (of >= first) & (of < first + len(several))
            maybe[at[here], of[here] - first] = False
        for query, wanted in _candidates(estimate, maybe, top):
            keys = several.exact(query, block[wanted])
            best = Nearest(top).merge(Nearest(top, keys, rows[wanted]))
            found[first + query] = best
    return Found(found, undefined_rows)


def _candidates(
    estimate: Estimate, maybe: npt.NDArray[np.bool_], top: int
) -> Iterator[tuple[int, Rows]]:
    """Yield each query that may have near windows in a block, and their positions."""
    if not maybe.any():
        return  # as in most blocks; counting takes longer
    counts = np.count_nonzero(maybe, axis=0)
    for query in np.flatnonzero(counts):
        wanted = np.flatnonzero(maybe[:, query])
        if len(wanted) > top:
            keys = estimate.keys[wanted, query].astype(np.float64)
            error = np.broadcast_to(estimate.error, estimate.keys.shape)[wanted, query]
            with np.errstate(all="ignore"):
                lowest, highest = keys - error, keys + error
            lowest = np.where(np.isfinite(lowest), lowest, -np.inf)
            kth = len(wanted) - top
            least = np.partition(lowest, kth)[kth]
            wanted = wanted[~(highest < least)]
        yield int(query), wanted
