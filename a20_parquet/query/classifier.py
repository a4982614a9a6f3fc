"""Linear classifiers of embeddings, from files or from fitted models."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from a20_parquet.errors import UsageError
from a20_parquet.formatting import first_names
from a20_parquet.query.metrics import Float64

Thresholds: TypeAlias = float | Sequence[float | None] | Mapping[str, float | None] | None
"""One for all classes, one for each in order, or by class; None is no threshold."""

_BINARY = 2
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class Classifier:
    """A linear classifier: the score of a class is ``weights @ embedding + bias``.

    Raises:
        UsageError: its parts do not fit each other, or it has values that cannot be scores.
    """

    name: str
    """For messages."""
    classes: tuple[str, ...]
    weights: Float64 = field(repr=False)
    """Shape ``(classes, dims)``."""
    bias: Float64 = field(repr=False)
    """Shape ``(classes,)``."""
    thresholds: tuple[float | None, ...]
    """Least scores of windows that are written; None where the file gives none."""

    def __post_init__(self) -> None:
        """Check shapes and values."""
        count = len(self.classes)
        if not count:
            raise UsageError(f"{self.name} has no classes.")
        repeated = [each for each in self.classes if self.classes.count(each) > 1]
        if repeated:
            raise UsageError(f"{self.name} has the class {repeated[0]!r} more than once.")
        if self.weights.ndim != 2 or len(self.weights) != count:  # noqa: PLR2004 - a matrix
            raise UsageError(
                f"{self.name} has weights of shape {self.weights.shape}, expected one row of them "
                f"for each of its {count} classes."
            )
        if self.bias.shape != (count,):
            raise UsageError(
                f"{self.name} has a bias of shape {self.bias.shape}, expected one number for each "
                f"of its {count} classes."
            )
        usable = np.isfinite(self.weights).all(axis=1) & np.isfinite(self.bias)
        if not usable.all():
            which = self.classes[int(np.argmin(usable))]
            raise UsageError(f"{self.name} has NaN or infinity in weights or bias of {which!r}.")
        if any(each is not None and not np.isfinite(each) for each in self.thresholds):
            raise UsageError(f"{self.name} has a threshold that is NaN or infinity.")

    @classmethod
    def of_model(cls, model: Any, thresholds: Thresholds = None) -> Self:
        """Take a fitted linear model, such as scikit-learn's: ``coef_``, ``intercept_``.

        A model of two classes has one row of weights, and scores its second class only.

        Raises:
            UsageError: it is not fitted, not linear or has other shapes.
        """
        name = f"the {type(model).__name__}"
        try:
            weights = np.atleast_2d(np.asarray(model.coef_, np.float64))
            classes = [str(each) for each in model.classes_]
            bias = np.atleast_1d(np.asarray(model.intercept_, np.float64))
        except (AttributeError, TypeError, ValueError) as error:
            raise UsageError(
                f"{name} is not a fitted linear classifier with coef_, intercept_ and classes_: "
                f"{error}. Give a function of embeddings that returns scores, such as its "
                "decision_function, and classes."
            ) from error
        if len(classes) == _BINARY and len(weights) == 1:
            classes = classes[1:]
        if bias.shape == (1,):
            bias = np.repeat(bias, len(weights))
        return cls(name, tuple(classes), weights, bias, thresholds_of(classes, thresholds, name))

    def check_dims(self, dims: int, location: str) -> None:
        """Check that it fits a dataset's embeddings.

        Raises:
            UsageError: it does not.
        """
        if self.weights.shape[1] != dims:
            raise UsageError(
                f"{self.name} has {self.weights.shape[1]} weights a class, expected {dims} like "
                f"the embeddings of {location}. Was it made for another model?"
            )

    def with_thresholds(self, thresholds: Thresholds) -> "Classifier":
        """Return it with other thresholds; None keeps its own."""
        if thresholds is None:
            return self
        return replace(self, thresholds=thresholds_of(self.classes, thresholds, "--threshold"))

    def fingerprints(self) -> dict[str, str]:
        """Return a checksum of each class's weights and bias."""
        return {
            name: hashlib.sha256(weights.tobytes() + bias.tobytes()).hexdigest()[:16]
            for name, weights, bias in zip(self.classes, self.weights, self.bias, strict=True)
        }


def thresholds_of(
    classes: Sequence[str], given: Thresholds, where: str
) -> tuple[float | None, ...]:
    """Return a threshold for each class.

    Raises:
        UsageError: they do not fit the classes.
    """
    if given is None or isinstance(given, int | float):
        return (None if given is None else float(given),) * len(classes)
    if isinstance(given, Mapping):
        if unknown := [each for each in given if each not in classes]:
            raise UsageError(
                f"{where} has a threshold for {unknown[0]!r}, which is not one of its classes: "
                f"{first_names(classes, _MAX_NAMED)}."
            )
        given = [given.get(each) for each in classes]
    values = [None if each is None else float(each) for each in given]
    if len(values) != len(classes):
        raise UsageError(
            f"{where} has {len(values)} thresholds, expected one for each of {len(classes)} "
            "classes."
        )
    return tuple(values)


def check_thresholds(
    classes: Sequence[str], thresholds: Sequence[float | None], name: str
) -> npt.NDArray[np.float64]:
    """Return the thresholds if every class has one.

    Raises:
        UsageError: a class has none.
    """
    missing = [each for each, value in zip(classes, thresholds, strict=True) if value is None]
    if missing:
        raise UsageError(
            f"{name} has no threshold for {first_names(missing, _MAX_NAMED)}. Give --threshold, "
            "such as 0, or --top for the best windows of each class."
        )
    return np.array(thresholds, np.float64)
