"""Embeddings as half-precision floats, and how far these are from what shards hold."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from a20_parquet.formatting import format_count

Rows = npt.NDArray[np.float32]
"""Embeddings, shape ``(rows, dims)``."""

LARGEST: Final = 65504.0
"""The largest finite half."""
_OVERFLOWS: Final = 65520.0
"""Values from here on round to infinity."""
_LEAST_NORMAL: Final = 2.0**-14
"""Halves below have fewer than eleven significant bits."""
_BLOCK_FLOATS: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """How far stored halves are from the floats of shards, over finite values.

    Only extremes and counts: they are the same whatever order windows come in.
    """

    changed: int = 0
    """Floats that are not exactly a half."""
    max_absolute: float = 0.0
    """Largest difference."""
    max_relative: float = 0.0
    """Largest difference by the float, among floats of at least 2**-14."""
    least_cosine: float = 1.0
    """Smallest cosine between a window's floats and its halves, rounded down to 9 decimals."""

    def __str__(self) -> str:
        if not self.changed:
            return "no value changed"
        return (
            f"{format_count(self.changed, 'value')} rounded, by {self.max_absolute:.2g} at most "
            f"(relative {self.max_relative:.2g}); cosine of a window and its original at least "
            f"{self.least_cosine:.9g}"
        )

    def merge(self, other: "Rounding") -> "Rounding":
        """Return the rounding of both."""
        return Rounding(
            changed=self.changed + other.changed,
            max_absolute=max(self.max_absolute, other.max_absolute),
            max_relative=max(self.max_relative, other.max_relative),
            least_cosine=min(self.least_cosine, other.least_cosine),
        )


def merge_roundings(roundings: Iterable[Rounding | None]) -> Rounding | None:
    """Merge those that are not None; None if all are."""
    merged = None
    for each in roundings:
        if each is not None:
            merged = each if merged is None else merged.merge(each)
    return merged


def to_halves(values: Rows) -> npt.NDArray[np.float16]:
    """Round floats to the nearest half, ties to even; NaN stays NaN with its sign and first bits.

    Args:
        values: any shape.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        halves = np.ascontiguousarray(values).astype(np.float16)
    is_nan = np.isnan(halves)
    if is_nan.any():
        # Processors differ in what they make of the other bits.
        bits = np.ascontiguousarray(values).view(np.uint32)[is_nan]
        quiet = (bits >> 16 & 0x8000) | 0x7E00 | (bits >> 13 & 0x1FF)
        halves.view(np.uint16)[is_nan] = quiet.astype(np.uint16)
    return halves


def round_to_halves(values: Rows) -> Rows:
    """Return floats as they are read again after they were stored as halves."""
    return to_halves(values).astype(np.float32)


def overflows(values: npt.NDArray[Any]) -> bool:
    """Whether a finite value would become infinite."""
    if values.dtype == np.float16 or not values.size:
        return False
    if max(values.max(), -values.min()) < _OVERFLOWS:
        return False
    # Also where a value is NaN.
    return bool((np.isfinite(values) & (np.abs(values) >= _OVERFLOWS)).any())


class HalfRounder:
    """Rounds embeddings to halves and measures the difference; for one thread."""

    def __init__(self) -> None:
        self._rounding = Rounding()

    def take(self) -> Rounding:
        """Return what was measured since the last call."""
        found, self._rounding = self._rounding, Rounding()
        return found

    def round(self, values: Rows, out: npt.NDArray[np.float16]) -> None:
        """Fill ``out`` with the halves of ``values``, both of shape ``(rows, dims)``."""
        rows, dims = values.shape
        # Blocks stay in the processor's cache.
        step = max(1, _BLOCK_FLOATS // max(1, dims))
        for start in range(0, rows, step):
            block = values[start : start + step]
            halves = to_halves(block)
            out[start : start + step] = halves
            again = halves.astype(np.float32)
            if not np.array_equal(again, block, equal_nan=True):
                self._rounding = self._rounding.merge(_measure(block, again))


def _measure(values: Rows, again: Rows) -> Rounding:
    finite = np.isfinite(values)
    floats = np.where(finite, values, 0).astype(np.float64)
    halves = np.where(finite, again, 0).astype(np.float64)
    off = np.abs(halves - floats)
    size = np.abs(floats)
    is_normal = size >= _LEAST_NORMAL
    relative = off[is_normal] / size[is_normal]
    # Scaled, so that no square overflows or vanishes.
    scale = np.maximum(size.max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    floats, halves = floats / scale, halves / scale
    lengths = np.sqrt((floats**2).sum(axis=1) * (halves**2).sum(axis=1))
    known = lengths > 0
    cosines = (floats * halves).sum(axis=1)[known] / lengths[known]
    return Rounding(
        changed=int(np.count_nonzero(off)),
        max_absolute=float(off.max(initial=0.0)),
        max_relative=float(relative.max(initial=0.0)),
        least_cosine=math.floor(min(1.0, float(cosines.min(initial=1.0))) * 1e9) / 1e9,
    )
