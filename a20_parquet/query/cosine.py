"""The nearest windows by cosine similarity."""

from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

_FLOAT32_ROUNDING = 2.0**-24
# Between these, neither a float32's square nor a sum of such squares is lost or infinite.
_SMALLEST_SQUARE, _LARGEST_SQUARE = 1e-25, 1e30

Rows = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Direction:
    """What windows are compared with: an embedding of length 1."""

    exact: Float64
    """Shape ``(dims,)``."""
    rounded: npt.NDArray[np.float32] = field(repr=False)
    """The same as float32."""

    @classmethod
    def of(cls, embedding: npt.ArrayLike) -> Self:
        """Normalise an embedding of shape ``(dims,)``.

        Raises:
            ValueError: it has no direction, because it is zero or not finite.
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
        """How far a float32 cosine may lie from the exact one.

        A dot product of n float32 values errs by less than n roundings of the product of both
        lengths, and the squared length of a window likewise (Higham, *Accuracy and Stability of
        Numerical Algorithms*, section 3.1).
        """
        return 2 * (len(self.exact) + 4) * _FLOAT32_ROUNDING


@dataclass(frozen=True, slots=True)
class Nearest:
    """The best windows so far, best first; equal ones in the order of their numbers."""

    top: int
    """How many are wanted."""
    cosines: Float64 = field(default_factory=lambda: np.empty(0))
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    """Numbers of the windows."""
    without_direction: int = 0
    """How many windows had no cosine, because they are zero or not finite."""

    @property
    def least(self) -> float:
        """The cosine that a window must reach to be among the best."""
        return float(self.cosines[-1]) if len(self.cosines) == self.top else -np.inf

    def merge(self, other: "Nearest") -> "Nearest":
        """The best of both."""
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

    A first look in float32 rules out nearly all of them; those that may be among the best are
    compared again in float64.

    Args:
        direction: what they are compared with.
        block: embeddings, shape ``(rows, dims)``.
        rows: their numbers, ascending, shape ``(rows,)``.
        top: how many are wanted.
        least: windows with a smaller cosine are not wanted.
    """
    with np.errstate(all="ignore"):  # what is not finite here is compared again
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
    exact = _exact_cosines(direction, block[maybe])
    defined = np.isfinite(exact)
    wanted = maybe[defined]
    found = Nearest(top, exact[defined], rows[wanted], int(np.count_nonzero(~defined)))
    return Nearest(top).merge(found)


def _exact_cosines(direction: Direction, block: npt.NDArray[np.float32]) -> Float64:
    values = block.astype(np.float64)
    # Row by row, so that a window's cosine does not depend on its neighbours.
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.vecdot(values, values))
        return np.asarray(np.vecdot(values, direction.exact) / lengths)
