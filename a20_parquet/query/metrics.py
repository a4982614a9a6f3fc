"""Measures of similarity between embeddings: quick ones with a known error, and exact ones."""

import enum
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

_FLOAT32_ROUNDING = 2.0**-24
LARGEST = 1e100
"""Products and distances of larger values could overflow."""
# What a product or a sum of float32 values can lose below the smallest normal one.
_UNDERFLOW = 2.0**-125
# Between these bounds, squares of float32 values and their sums neither underflow nor overflow.
_SMALLEST_SQUARE, _LARGEST_SQUARE = 1e-25, 1e30
# Beyond, the bound on the error of a sum of float32 products says nothing.
_MOST_DIMS = 1 << 20
# For fewer vectors, one product after the other takes less time than a product of matrices.
_FEW_VECTORS = 8

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Metric(enum.StrEnum):
    """A measure of the similarity of two embeddings."""

    COSINE = "cosine"
    """Cosine of the angle between them."""
    DOT = "dot"
    """Inner product."""
    EUCLIDEAN = "euclidean"
    """Distance: the nearest windows have the smallest."""

    @property
    def column(self) -> str:
        """Name of the column with its values."""
        return "distance" if self is Metric.EUCLIDEAN else "similarity"

    def of_keys(self, keys: Float64) -> Float64:
        """Return the values that a user sees, from the keys that ``Queries.exact`` returns."""
        return np.sqrt(-keys) if self is Metric.EUCLIDEAN else keys


@dataclass(frozen=True, slots=True)
class Estimate:
    """Quick keys of windows, each at most ``error`` away from the exact one."""

    keys: npt.NDArray[np.floating]
    """Shape ``(rows, queries)``; what is not finite is not known."""
    error: Float64
    """A shape that broadcasts to that of ``keys``."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Embeddings with which windows are compared; the larger a key, the nearer the window."""

    metric: Metric
    vectors: Float64
    """Shape ``(queries, dims)``; of length 1 for the cosine."""
    rounded: Float32 = field(repr=False)
    """``vectors`` as float32."""
    lengths: Float64 = field(repr=False)
    """Of ``vectors``."""

    @classmethod
    def of(cls, embeddings: npt.ArrayLike, metric: Metric = Metric.COSINE) -> Self:
        """Prepare embeddings of shape ``(queries, dims)``.

        Raises:
            ValueError: one of them is not finite, zero for the cosine, or too large for the other
                metrics; with its number.
        """
        values = np.asarray(embeddings, np.float64)
        largest = np.abs(values).max(axis=1, initial=0.0)
        with np.errstate(all="ignore"):
            if metric is Metric.COSINE:
                usable = (largest > 0) & (largest < np.inf)
            else:
                usable = largest <= LARGEST
        if not usable.all():
            number = int(np.flatnonzero(~usable)[0])
            raise ValueError(number)
        if metric is Metric.COSINE:
            scaled = values / largest[:, None]
            values = scaled / np.sqrt(np.vecdot(scaled, scaled))[:, None]
        with np.errstate(all="ignore"):
            return cls(
                metric, values, values.astype(np.float32), np.sqrt(np.vecdot(values, values))
            )

    def __len__(self) -> int:
        return len(self.vectors)

    def part(self, first: int, end: int) -> "Queries":
        """Return some of the queries."""
        several = slice(first, end)
        return Queries(
            self.metric, self.vectors[several], self.rounded[several], self.lengths[several]
        )

    def undefined(self, block: Float32, squares: Float32) -> Flags:
        """Return which rows of a block have no key: those not finite, and zero for the cosine.

        Args:
            block: embeddings, shape ``(rows, dims)``.
            squares: of their lengths.
        """
        found = np.zeros(len(block), np.bool_)
        sure = _is_sure(squares)
        if sure.all():
            return found
        for row in np.flatnonzero(~sure):
            values = block[row]
            finite = bool(np.isfinite(values).all())
            found[row] = not finite or (self.metric is Metric.COSINE and not values.any())
        return found

    def estimate(self, block: Float32, squares: Float32) -> Estimate:
        """Compute keys in float32, with one product of matrices.

        A dot product of n float32 values is less than n roundings of the product of both lengths
        away from the exact one, in whatever order it is summed (Higham, *Accuracy and Stability of
        Numerical Algorithms*, section 3.1).

        Args:
            block: embeddings, shape ``(rows, dims)``.
            squares: of their lengths.
        """
        dims = block.shape[1]
        relative = 1.01 * (dims + 8) * _FLOAT32_ROUNDING if dims < _MOST_DIMS else np.inf
        with np.errstate(all="ignore"):
            if len(self) > _FEW_VECTORS:
                products = block @ self.rounded.T
            else:
                products = np.vecdot(block[:, None], self.rounded)
            if self.metric is Metric.COSINE:
                keys = products / np.sqrt(squares)[:, None]
                sure, error = _is_sure(squares), np.full((1, 1), 2 * relative)
                if not sure.all():
                    error = np.where(sure[:, None], error, np.inf)
                return Estimate(keys, error)
            squares64 = squares.astype(np.float64)[:, None]
            longest = np.sqrt(squares64 * (1 + 2 * relative) + dims * _UNDERFLOW)
            if self.metric is Metric.DOT:
                error = relative * longest * self.lengths
                error += dims * _UNDERFLOW
                known = np.isfinite(products)
                if not known.all():
                    error[~known] = np.inf
                return Estimate(products, error)
            keys64 = 2.0 * products - squares64 - self.lengths**2
            error = relative * (longest + self.lengths) ** 2 + 3 * dims * _UNDERFLOW
            return Estimate(keys64, np.where(np.isfinite(keys64), error, np.inf))

    def exact(self, query: int, block: Float32) -> Float64:
        """Compute the keys of a query in float64.

        Row by row, so that a window's key does not depend on the other rows.

        Args:
            query: its number.
            block: embeddings, shape ``(rows, dims)``.

        Returns:
            The cosine, the inner product or the negative square of the distance, shape ``(rows,)``.
        """
        values = block.astype(np.float64)
        vector = self.vectors[query]
        with np.errstate(all="ignore"):
            if self.metric is Metric.EUCLIDEAN:
                values -= vector
                return np.asarray(-np.vecdot(values, values))
            products = np.vecdot(values, vector)
            if self.metric is Metric.DOT:
                return np.asarray(products)
            return np.asarray(products / np.sqrt(np.vecdot(values, values)))


def square_lengths(block: Float32) -> Float32:
    """Return the squared length of each row; they may underflow or overflow."""
    with np.errstate(all="ignore"):
        return np.asarray(np.vecdot(block, block))


def _is_sure(squares: Float32) -> Flags:
    return np.asarray((squares > _SMALLEST_SQUARE) & (squares < _LARGEST_SQUARE))
