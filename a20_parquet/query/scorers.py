"""Scores of blocks of embeddings, by linear classifiers or by functions."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from a20_parquet.errors import UsageError
from a20_parquet.query.classifier import Classifier
from a20_parquet.query.metrics import Float32, Float64, Metric, Queries, square_lengths
from a20_parquet.query.nearest import Found, Nearest, Rows, search_block

Function = Callable[[Float32], Any]
"""Takes embeddings of shape ``(rows, dims)``, and returns scores of shape ``(rows, classes)``."""

_PROBE_ROWS = 16
# Larger arrays come from the system as fresh memory each time, which is slow.
_PAIRS_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Hits:
    """Windows and classes whose scores reach the thresholds, by window, then class."""

    rows: Rows
    """Numbers of the windows."""
    classes: npt.NDArray[np.int32]
    """Numbers of the classes."""
    scores: Float64
    undefined: int
    """Number of windows without a score, because they or it are not finite."""

    @classmethod
    def concatenated(cls, several: Sequence["Hits"]) -> "Hits":
        """Return the hits of blocks in order."""
        return cls(
            np.concatenate([np.empty(0, np.int64), *(each.rows for each in several)]),
            np.concatenate([np.empty(0, np.int32), *(each.classes for each in several)]),
            np.concatenate([np.empty(0), *(each.scores for each in several)]),
            sum(each.undefined for each in several),
        )


class Scorer(Protocol):
    """Scores blocks of embeddings; shared by threads."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        ...

    @property
    def offsets(self) -> Float64:
        """What is added to the keys of ``best`` for the scores, for each class."""
        ...

    def fingerprints(self) -> dict[str, str]:
        """Return a checksum for each class, which differs if its scores differ."""
        ...

    def above(self, block: Float32, rows: Rows, thresholds: Float64) -> Hits:
        """Return the windows whose scores are at or above the thresholds.

        Args:
            block: embeddings, shape ``(rows, dims)``.
            rows: numbers of the windows, ascending.
            thresholds: one for each class.
        """
        ...

    def best(self, block: Float32, rows: Rows, *, top: int, least: Float64) -> Found:
        """Return the best windows for each class.

        Args:
            block: embeddings, shape ``(rows, dims)``.
            rows: numbers of the windows, ascending.
            top: largest number of windows for each class.
            least: ignore windows with a smaller key, for each class.
        """
        ...


@dataclass(frozen=True, slots=True)
class LinearScorer:
    """Scores of a linear classifier; implements ``Scorer``.

    Estimates rule out most windows, as in ``nearest``; the other scores are computed in float64,
    each window and class alone, so that they do not depend on blocks.
    """

    classifier: Classifier
    _queries: Queries = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Prepare the weights.

        Raises:
            UsageError: a class has weights too large to be added.
        """
        try:
            queries = Queries.of(self.classifier.weights, Metric.DOT)
        except ValueError as error:
            which = self.classifier.classes[int(str(error))]
            raise UsageError(
                f"{self.classifier.name} has weights of {which!r} that are too large."
            ) from error
        object.__setattr__(self, "_queries", queries)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.classifier.classes

    @property
    def offsets(self) -> Float64:
        """See ``Scorer.offsets``: the bias, whose addition may make different keys equal."""
        return self.classifier.bias

    def fingerprints(self) -> dict[str, str]:
        """See ``Scorer.fingerprints``."""
        return self.classifier.fingerprints()

    def above(self, block: Float32, rows: Rows, thresholds: Float64) -> Hits:
        """See ``Scorer.above``."""
        queries, bias = self._queries, self.classifier.bias
        squares = square_lengths(block)
        undefined = queries.undefined(block, squares)
        estimate = queries.estimate(block, squares)
        # The bias and its subtraction are rounded too, much less than the estimates.
        slack = 1e-12 * (np.abs(bias) + np.abs(thresholds))
        with np.errstate(all="ignore"):
            maybe = ~(estimate.keys + estimate.error < thresholds - bias - slack)
        maybe[undefined] = False
        at, classes = np.nonzero(maybe)
        scores = np.empty(len(at))
        at_once = max(1, _PAIRS_BYTES // (8 * block.shape[1]))
        for first in range(0, len(at), at_once):
            pairs = slice(first, first + at_once)
            values = block[at[pairs]].astype(np.float64)
            scores[pairs] = np.vecdot(values, queries.vectors[classes[pairs]])
        scores += bias[classes]
        reached = scores >= thresholds[classes]
        return Hits(
            rows[at[reached]],
            classes[reached].astype(np.int32),
            scores[reached],
            int(np.count_nonzero(undefined)),
        )

    def best(self, block: Float32, rows: Rows, *, top: int, least: Float64) -> Found:
        """See ``Scorer.best``."""
        return search_block(self._queries, block, rows, top=top, least=least)


@dataclass(frozen=True, slots=True)
class FunctionScorer:
    """Scores of a function of embeddings; implements ``Scorer``."""

    function: Function
    classes: tuple[str, ...]
    dims: int

    @property
    def offsets(self) -> Float64:
        """See ``Scorer.offsets``."""
        return np.zeros(len(self.classes))

    def fingerprints(self) -> dict[str, str]:
        """See ``Scorer.fingerprints``: of the scores of made-up embeddings."""
        rng = np.random.default_rng(0)
        scores = self._scores(rng.standard_normal((_PROBE_ROWS, self.dims)).astype(np.float32))
        return {
            name: hashlib.sha256(np.ascontiguousarray(of_class).tobytes()).hexdigest()[:16]
            for name, of_class in zip(self.classes, scores.T, strict=True)
        }

    def above(self, block: Float32, rows: Rows, thresholds: Float64) -> Hits:
        """See ``Scorer.above``."""
        scores = self._scores(block)
        at, classes = np.nonzero(scores >= thresholds)
        undefined = int(np.count_nonzero(np.isnan(scores).any(axis=1)))
        return Hits(rows[at], classes.astype(np.int32), scores[at, classes], undefined)

    def best(self, block: Float32, rows: Rows, *, top: int, least: Float64) -> Found:
        """See ``Scorer.best``."""
        scores = self._scores(block)
        undefined = int(np.count_nonzero(np.isnan(scores).any(axis=1)))
        found = {}
        for number in np.flatnonzero((scores >= least).any(axis=0)):
            at = np.flatnonzero(scores[:, number] >= least[number])
            best = Nearest(top, scores[at, number], rows[at])
            found[int(number)] = Nearest(top).merge(best)
        return Found(found, undefined)

    def _scores(self, block: Float32) -> Float64:
        given = np.asarray(self.function(block))
        scores = given[:, None] if given.ndim == 1 else given
        if scores.shape != (len(block), len(self.classes)) or scores.dtype.kind not in "fiub":
            raise UsageError(
                f"the function returned shape {given.shape} and type {given.dtype} for "
                f"{len(block)} embeddings, expected ({len(block)}, {len(self.classes)}) and "
                f"numbers: a column for each class."
            )
        return scores.astype(np.float64)
