"""Exact search for the windows with the largest cosine similarity, block by block."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

_FLOAT32_ROUNDING = 2.0**-24
# Between these bounds, squares of float32 values and their sums neither underflow nor overflow.
_SMALLEST_SQUARE, _LARGEST_SQUARE = 1e-25, 1e30

Rows = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Direction:
    """An embedding scaled to length 1, with which windows are compared."""

    exact: Float64
    """Shape ``(dims,)``."""
    rounded: npt.NDArray[np.float32] = field(repr=False)
    """``exact`` as float32."""

    @classmethod
    def of(cls, embedding: npt.ArrayLike) -> Self:
        """Normalise an embedding of shape ``(dims,)``.

        Raises:
            ValueError: the embedding is zero or not finite, so it has no direction.
        """
        values = np.asarray(embedding, np.float64)
        largest = np.abs(values).max(initial=0.0)
        if not 0 < largest < np.inf:
            raise ValueError("it is zero or holds NaN or infinity, so it has no direction")
        scaled = values / largest
        exact = scaled / np.linalg.norm(scaled)
        return cls(exact, exact.astype(np.float32))

    @property
    def margin(self) -> float:
        """Bound on the error of a cosine computed in float32.

        The error of a dot product of n float32 values is less than n roundings of the product of
        both lengths; the same holds for the squared length of a window (Higham, *Accuracy and
        Stability of Numerical Algorithms*, section 3.1).
        """
        return 2 * (len(self.exact) + 4) * _FLOAT32_ROUNDING


@dataclass(frozen=True, slots=True)
class Nearest:
    """The windows with the largest cosines so far, best first; ties are in order of number."""

    top: int
    """Largest number of windows to keep."""
    cosines: Float64 = field(default_factory=lambda: np.empty(0))
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    """Numbers of the windows in the dataset."""
    without_direction: int = 0
    """Number of windows without a cosine, because they are zero or not finite."""

    @property
    def least(self) -> float:
        """The cosine that a window must reach to be kept."""
        return float(self.cosines[-1]) if len(self.cosines) == self.top else -np.inf

    def merge(self, other: "Nearest") -> "Nearest":
        """Return the best windows of both."""
        cosines = np.concatenate([self.cosines, other.cosines])
        rows = np.concatenate([self.rows, other.rows])
        best = np.lexsort((rows, -cosines))[: self.top]
        without = self.without_direction + other.without_direction
        return Nearest(self.top, cosines[best], rows[best], without)


def search_block(
    direction: Direction,
    block: npt.NDArray[np.float32],
    rows: Rows,
    top: int,
    least: float = -np.inf,
) -> Nearest:
    """Find the best windows of a block.

    Cosines in float32 rule out nearly all windows; the cosines of the others are computed again in
    float64.

    Args:
        direction: of the embedding that is searched for.
        block: embeddings, shape ``(rows, dims)``.
        rows: numbers of the windows, ascending, shape ``(rows,)``.
        top: largest number of windows to return.
        least: ignore windows with a smaller cosine.
    """
    with np.errstate(all="ignore"):  # cosines that are not finite here are computed again
        squares = np.vecdot(block, block)
        cosines = np.vecdot(block, direction.rounded) / np.sqrt(squares)
        sure = (squares > _SMALLEST_SQUARE) & (squares < _LARGEST_SQUARE)
    if np.count_nonzero(sure) > top:
        kth = len(cosines) - top
        within = float(np.partition(np.where(sure, cosines, -np.inf), kth)[kth])
        least = max(least, within - direction.margin)
    maybe = np.flatnonzero(~sure | (cosines >= least - direction.margin))
    if not len(maybe):
        return Nearest(top)
    values = block[maybe].astype(np.float64)
    # Row by row, so that a window's cosine does not depend on the other rows.
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.vecdot(values, values))
        exact = np.asarray(np.vecdot(values, direction.exact) / lengths)
    defined = np.isfinite(exact)
    wanted = maybe[defined]
    found = Nearest(top, exact[defined], rows[wanted], int(np.count_nonzero(~defined)))
    return Nearest(top).merge(found)
