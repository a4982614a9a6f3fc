"""Draws a sample of windows, and reduces its embeddings to two dimensions."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.progress import Progress
from a20_parquet.query.blas import one_thread
from a20_parquet.query.read_rows import take_embeddings, take_rows
from a20_parquet.reporting.heat_map import safe_json
from a20_parquet.storage.concurrent import AT_ONCE, map_at_once
from a20_parquet.windows.partition import HIVE_NULL

SAMPLE_WINDOWS = 2000
_PLACES = 250
# Neighbouring windows share pages: about as many as one page of the embeddings of the A2O.
_STRETCH_ROWS = 240
_SEED = 20201014
_UNITS = 1000
_FLOAT_BYTES = 4
# Subspace iteration: the larger the block, the fewer iterations.
_SMALL_MATRIX, _BLOCK, _ITERATIONS = 200, 16, 60
_US_A_SECOND = 1_000_000
_COLUMNS = ("site", "filename", "recording_offset_in_file", "window_start_local", "channel")

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample of windows, each with a point."""

    windows: pl.DataFrame
    """``site``, ``filename``, ``recording_offset_in_file``, ``window_start_local``, ``channel``."""
    points: npt.NDArray[np.float64]
    """Shape (windows, 2), each axis from 0 to 1: see ``principal_points``."""
    explained: float
    """Fraction of the sample's variance along the two axes."""
    broken: int
    """Windows of the sample that have no point, because their embeddings are not finite."""


def read_picture(catalog: Catalog, progress: Progress) -> Picture:
    """Read a sample of a dataset, at most ``SAMPLE_WINDOWS`` of at most 250 files.

    So time and memory do not grow with the dataset.

    Args:
        catalog: of a dataset with at least one window.
        progress: of the embeddings.

    Raises:
        DatasetError: a data file is missing or damaged.
    """
    numbers = sample_numbers(catalog.files["rows"].to_numpy().astype(np.int64))
    progress.start("reading a sample", len(numbers) * catalog.dims * _FLOAT_BYTES)

    def take(part: Rows) -> npt.NDArray[np.float32]:
        found = take_embeddings(catalog, part)
        progress.advance(found.nbytes)
        return found

    parts = np.array_split(numbers, AT_ONCE)
    embeddings = np.concatenate(map_at_once(take, parts, is_remote=not catalog.is_local))
    is_finite = np.isfinite(embeddings).all(axis=1)
    windows = pl.concat(
        map_at_once(
            lambda part: take_rows(catalog, part, _COLUMNS),
            np.array_split(numbers[is_finite], AT_ONCE),
            is_remote=not catalog.is_local,
        )
    )
    # Further threads would wait for each other, ten times as long.
    with one_thread():
        points, explained = principal_points(embeddings[is_finite])
    return Picture(
        windows=windows.with_columns(pl.col("site").fill_null(HIVE_NULL)),
        points=points,
        explained=explained,
        broken=int(np.count_nonzero(~is_finite)),
    )


def picture_json(picture: Picture, sites: Sequence[str]) -> str:
    """Encode a picture as JSON that can stand inside an HTML ``script`` element.

    Args:
        picture: of a sample.
        sites: all sites, in the order of their numbers.

    Returns:
        An object with ``names``, the recordings, and a list per window of ``x`` and ``y`` (0 to
        1,000), ``site`` (its number), ``name`` (its recording's number), ``offset`` and ``start``
        (local time in seconds since 1970; null if it is unknown), and ``channel``.
    """
    windows, numbers = picture.windows, {site: number for number, site in enumerate(sites)}
    names = windows["filename"].unique(maintain_order=True)
    name_numbers = {name: number for number, name in enumerate(names)}
    start = windows["window_start_local"].cast(pl.Int64) // _US_A_SECOND
    x, y = (np.rint(picture.points * _UNITS).astype(int)).T.tolist()
    return safe_json(
        {
            "names": names.to_list(),
            "x": x,
            "y": y,
            "site": [numbers[site] for site in windows["site"]],
            "name": [name_numbers[name] for name in windows["filename"]],
            "offset": [round(offset, 3) for offset in windows["recording_offset_in_file"]],
            "start": start.to_list(),
            "channel": windows["channel"].to_list(),
        }
    )


def sample_numbers(file_rows: Rows, most: int = SAMPLE_WINDOWS, places: int = _PLACES) -> Rows:
    """Choose windows that are spread evenly over a dataset but lie in few files.

    The dataset is divided into ``places`` equal parts. Of each part, windows of a short stretch of
    one file are chosen at random. The same files give the same windows.

    Args:
        file_rows: windows of each file, in the dataset's order, shape (files,).
        most: number of windows to choose.
        places: number of parts, at most ``most``.

    Returns:
        Numbers of windows in the dataset, ascending; all if there are at most ``most``.
    """
    ends = np.cumsum(file_rows)
    total = int(ends[-1]) if len(ends) else 0
    if total <= most:
        return np.arange(total)
    draw = np.random.default_rng(_SEED)
    bounds = np.arange(places + 1) * total // places
    chosen = []
    for first, end in pairwise(bounds.tolist()):
        start = int(draw.integers(first, max(first + 1, end - _STRETCH_ROWS)))
        stop = min(start + _STRETCH_ROWS, end, ends[np.searchsorted(ends, start, side="right")])
        stretch = np.arange(start, stop)
        chosen.append(draw.permutation(stretch)[: most // places])
    return np.sort(np.concatenate(chosen))


def principal_points(
    embeddings: npt.NDArray[np.float32],
) -> tuple[npt.NDArray[np.float64], float]:
    """Project embeddings on the two directions in which they vary most (PCA).

    They are scaled to unit length first, so that the distance is that of the cosine, as in
    ``similar``, and loud windows are no group of their own.

    Args:
        embeddings: finite, shape (windows, dims).

    Returns:
        Points, shape (windows, 2), scaled so that the longer axis is from 0 to 1, and the fraction
        of the variance that they show. All points are equal if the embeddings do not vary.
    """
    vectors = embeddings.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    vectors -= vectors.mean(axis=0) if len(vectors) else 0
    variance = float((vectors**2).sum())
    points = np.zeros((len(vectors), 2))
    if variance <= np.finfo(np.float64).tiny:
        return points + 0.5, 0.0
    axes = _principal_axes(vectors)
    points[:, : axes.shape[1]] = vectors @ axes
    shown = float((points**2).sum()) / variance
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    return (points - low - extent / 2) / extent.max() + 0.5, shown


def _principal_axes(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the first two principal axes of centred vectors, shape (dims, 2 or fewer)."""
    windows, dims = vectors.shape
    # The smaller of both products has the same axes.
    if dims <= windows:
        axes = _top_eigenvectors(vectors.T @ vectors)
    else:
        axes = vectors.T @ _top_eigenvectors(vectors @ vectors.T)
        lengths = np.linalg.norm(axes, axis=0)
        axes /= np.where(lengths > 0, lengths, 1)
    # The sign of an axis is arbitrary: its largest weight is positive.
    largest = np.abs(axes).argmax(axis=0)
    signs = np.sign(axes[largest, np.arange(axes.shape[1])])
    return axes * np.where(signs == 0, 1, signs)


def _top_eigenvectors(matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the eigenvectors of the two largest eigenvalues of a symmetric matrix, as columns."""
    if len(matrix) > _SMALL_MATRIX:
        # All eigenvectors of 1,280 dimensions take three seconds.
        block = np.random.default_rng(_SEED).standard_normal((len(matrix), _BLOCK))
        for _ in range(_ITERATIONS):
            block, _ = np.linalg.qr(matrix @ block)
        _, inside = np.linalg.eigh(block.T @ matrix @ block)
        vectors: npt.NDArray[np.float64] = block @ inside
    else:
        _, vectors = np.linalg.eigh(matrix)
    return vectors[:, ::-1][:, :2]
