"""Reads classifiers from files: JSON, that of QUT's embeddings-classifier and Perch, or .npz."""

import base64
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any, Literal
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from a20_parquet.errors import UsageError
from a20_parquet.query.classifier import Classifier, thresholds_of
from a20_parquet.storage.path import parse_path, read_whole

Number = Annotated[float, Field(allow_inf_nan=False)]


class ClassifierFile(BaseModel):
    """A linear classifier of embeddings.

    The score of a class is the dot product of its weights and the embedding, plus its bias.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["a20_parquet_classifier"] = "a20_parquet_classifier"
    classes: tuple[str, ...]
    """Names of the classes, each once."""
    weights: tuple[tuple[float, ...], ...]
    """One list for each class, with one weight for each float of an embedding."""
    bias: tuple[float, ...]
    """One number for each class."""
    thresholds: Number | tuple[Number | None, ...] | dict[str, Number | None] | None = None
    """Least score of windows that are written: one for all classes, one for each in order, or by
    class."""


def read_classifier(path: str | Path) -> Classifier:
    """Read a classifier from a file or a URL.

    Raises:
        UsageError: it cannot be read, or is not a classifier.
    """
    name = str(path)
    try:
        content = read_whole(parse_path(path))
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error}") from error
    if content.startswith(b"PK"):
        return _of_npz(content, name)
    try:
        found = from_json(content)
    except ValueError as error:
        raise UsageError(
            f"{name} is not a classifier: neither JSON nor .npz ({error}). See docs/scoring.md."
        ) from error
    if isinstance(found, list) and len(found) == 1:
        (found,) = found
    if not isinstance(found, dict):
        raise UsageError(f"{name} is not a classifier, but JSON of another kind.")
    if "beta" in found or "classifier" in found:
        return _of_betas(found, name)
    try:
        file = ClassifierFile.model_validate(found)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise UsageError(
            f"{name} is not a classifier: {where}: {problem['msg']}. See docs/scoring.md."
        ) from error
    return Classifier(
        name,
        file.classes,
        _matrix(file.weights, name),
        np.array(file.bias, np.float64),
        thresholds_of(file.classes, file.thresholds, name),
    )


def _matrix(rows: Any, name: str) -> npt.NDArray[np.float64]:
    try:
        return np.array(rows, np.float64)
    except ValueError as error:
        raise UsageError(f"{name} has classes with different numbers of weights.") from error


def _of_betas(found: Mapping[str, Any], name: str) -> Classifier:
    """Read the form of QUT's embeddings-classifier and of Perch: base64 of float32.

    ``beta`` has the shape ``(dims, classes)``.
    """
    model = found.get("classifier", found)
    try:
        classes = tuple(map(str, model["classes"]))
        beta, bias = (_floats(model[key]) for key in ("beta", "beta_bias"))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{name} is not a classifier: expected classes, and beta and beta_bias as base64 of "
            f"float32, found {type(error).__name__}: {error}."
        ) from error
    if not classes or len(beta) % len(classes):
        raise UsageError(
            f"{name} has a beta of {len(beta)} floats, which {len(classes)} classes cannot share."
        )
    sections = (found.get("run_config"), found, model)
    given = [each["threshold"] for each in sections if each and each.get("threshold") is not None]
    return Classifier(
        name,
        classes,
        np.ascontiguousarray(beta.reshape(-1, len(classes)).T),
        bias,
        thresholds_of(classes, given[0] if given else None, name),
    )


def _floats(text: str) -> npt.NDArray[np.float64]:
    values = np.frombuffer(base64.b64decode(text.strip(), validate=True), "<f4")
    return values.astype(np.float64)


def _of_npz(content: bytes, name: str) -> Classifier:
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays.files}
        missing = {"weights", "bias", "classes"} - found.keys()
        if missing:
            raise UsageError(
                f"{name} has no array {', '.join(sorted(missing))}, expected weights of shape "
                "(classes, dims), bias, classes and perhaps thresholds."
            )
        classes = tuple(map(str, found["classes"].tolist()))
        weights, bias = (found[key].astype(np.float64) for key in ("weights", "bias"))
        thresholds = (
            found["thresholds"].astype(np.float64).tolist() if "thresholds" in found else None
        )
    except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise UsageError(f"{name}: cannot be read as a .npz file: {error}") from error
    return Classifier(name, classes, weights, bias, thresholds_of(classes, thresholds, name))
