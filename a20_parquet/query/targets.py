"""What ``similar`` searches for: windows of the dataset, files of vectors, or arrays."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import Rows
from a20_parquet.errors import UsageError
from a20_parquet.query.metrics import LARGEST, Metric, Queries
from a20_parquet.query.named_window import WindowName, find_windows
from a20_parquet.query.read_rows import take_embeddings
from a20_parquet.storage.path import parse_path, read_whole

To: TypeAlias = str | Path | Sequence[str] | npt.ArrayLike

_NAME_COLUMNS = ("filename", "recording_offset_in_file")
_VECTOR_AXES = 2


@dataclass(frozen=True, slots=True)
class Targets:
    """Embeddings to search for."""

    queries: Queries
    is_one: bool
    """Whether one embedding was given by itself, so that the answer needs no number of a query."""
    names: tuple[WindowName, ...] = ()
    """Of the windows, if they are named; else empty."""
    numbers: Rows = field(default_factory=lambda: np.empty(0, np.int64))
    """Of the named windows in the dataset."""


def find_targets(catalog: Catalog, to: To, channel: int, metric: Metric) -> Targets:
    """Read what is searched for.

    Args:
        catalog: of the dataset.
        to: see ``similar``.
        channel: of windows whose names do not tell it.
        metric: with which windows are compared.

    Raises:
        UsageError: there is no such window or file, or a vector has another shape or type.
        DatasetError: a data file is missing or damaged.
    """
    names, vectors, is_one, what = _given(to, channel)
    numbers = np.empty(0, np.int64)
    if vectors is None:
        numbers = find_windows(catalog, names)
        vectors = take_embeddings(catalog, numbers)
    elif vectors.ndim == 1:
        vectors = vectors[None]
    try:
        queries = Queries.of(_checked(catalog, vectors, what), metric)
    except ValueError as error:
        number = int(str(error))
        name = names[number] if names else what if is_one else f"{what}: vector {number}"
        raise UsageError(f"{name} cannot be compared: {_why(metric)}.") from error
    return Targets(queries, is_one, tuple(names), numbers)


def _given(to: To, channel: int) -> tuple[Sequence[WindowName], npt.NDArray[Any] | None, bool, str]:
    """Return names of windows or else vectors, whether they are one by itself, and words for it."""
    if isinstance(to, str | Path) and str(to).endswith(".csv"):
        return _load_names(to, channel), None, False, str(to)
    if isinstance(to, str | Path) and (isinstance(to, Path) or to.endswith(".npy")):
        loaded = _load_vectors(to)
        return (), loaded, _is_one(loaded), str(to)
    if isinstance(to, str):
        return [WindowName.parse(to, channel)], None, True, to
    if isinstance(to, Sequence) and len(to) and all(isinstance(each, str) for each in to):
        named = [each for each in to if isinstance(each, str)]
        if any("@" in each for each in named):
            return [WindowName.parse(each, channel) for each in named], None, False, "the list"
    try:
        given = np.asarray(to)
    except ValueError as error:
        raise UsageError(f"the vector cannot be read as an array: {error}") from error
    return (), given, _is_one(given), "the vector" if _is_one(given) else "the array"


def _is_one(vectors: npt.NDArray[Any]) -> bool:
    return vectors.ndim != _VECTOR_AXES or len(vectors) == 1


def _checked(catalog: Catalog, vectors: npt.NDArray[Any], what: str) -> npt.NDArray[Any]:
    of_dims = vectors.ndim == _VECTOR_AXES and vectors.shape[1] == catalog.dims
    if not of_dims or not len(vectors) or vectors.dtype.kind not in "fiu":
        shape = vectors.shape[1:] if len(vectors) == 1 else vectors.shape
        raise UsageError(
            f"{what} has shape {shape} and type {vectors.dtype}, expected ({catalog.dims},) or "
            f"(queries, {catalog.dims}) and numbers, like the embeddings of {catalog.location}."
        )
    return vectors


def _why(metric: Metric) -> str:
    if metric is Metric.COSINE:
        return "it is zero or holds NaN or infinity, so it has no direction"
    return f"it holds NaN, infinity or values above {LARGEST:g}"


def _load_vectors(path: str | Path) -> npt.NDArray[Any]:
    try:
        loaded = np.load(BytesIO(read_whole(parse_path(path))), allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as a .npy file: {error}") from error
    if not isinstance(loaded, np.ndarray):
        raise UsageError(f"{path} has several arrays. Save embeddings with numpy.save.")
    return loaded


def _load_names(path: str | Path, channel: int) -> list[WindowName]:
    """Read names of windows from a CSV file, see ``similar``."""
    try:
        text = read_whole(parse_path(path)).decode("utf-8-sig")
        lines = [line for line in csv.reader(StringIO(text)) if line]
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path}: cannot be read as a CSV file in UTF-8: {error}") from error
    header = lines[0] if lines else []
    named = set(_NAME_COLUMNS) <= set(header)
    rows = lines[1:] if named or header == ["to"] else lines
    width = len(header) if named else 1
    if not rows or any(len(row) != width for row in rows):
        found = "no line" if not rows else f"lines without {width} value{'s' * (width > 1)}"
        raise UsageError(
            f"{path}: has {found}, expected one FILENAME@OFFSET a line, or a header with "
            f"{' and '.join(_NAME_COLUMNS)}, as similar --csv prints it."
        )
    if named:
        return [_of_columns(dict(zip(header, row, strict=True)), channel, path) for row in rows]
    return [WindowName.parse(row[0], channel) for row in rows]


def _of_columns(values: dict[str, str], channel: int, path: str | Path) -> WindowName:
    filename, offset = (values[name] for name in _NAME_COLUMNS)
    own = values.get("channel", str(channel))
    if not own.isdecimal():
        raise UsageError(f"{path}: its channel {own!r} is not a number")
    return WindowName.parse(f"{filename}@{offset}", int(own))
