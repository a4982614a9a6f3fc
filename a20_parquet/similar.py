"""Nearest neighbours: the windows of a dataset that sound most like another one."""

import math
import operator
from collections.abc import Sequence
from datetime import date, datetime, time
from functools import reduce
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from a20_parquet.amounts import format_count
from a20_parquet.batches import Batch, map_batches
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.pieces import Scratch
from a20_parquet.dataset.take import take
from a20_parquet.dataset.window_source import WindowSource
from a20_parquet.errors import UsageError
from a20_parquet.memory import default_workers
from a20_parquet.progress import NoProgress, Progress
from a20_parquet.scan import read_batches
from a20_parquet.table.cosine import Direction, Nearest, search_block
from a20_parquet.table.filename import parse_filenames
from a20_parquet.table.schema import EMBEDDING
from a20_parquet.table.selection import Selection, site_values
from a20_parquet.workers import Pool

_COLUMNS = ("filename", "recording_offset_in_file", "channel", "site", "window_start")
_SAME_OFFSET_S = 5e-4
# Nothing was recorded for longer, and the sum with an instant is one.
_LONGEST_S = 1e9
_MAX_NAMED = 5
_SECOND_US = 1_000_000


def similar(  # noqa: PLR0913 - what a search can be limited by, each a keyword
    dataset: str | Path,
    to: str | Path | npt.ArrayLike,
    *,
    top: int = 10,
    channel: int = 0,
    sites: str | int | Sequence[str | int] = (),
    from_date: date | str | None = None,
    until_date: date | str | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Find the windows with the largest cosine similarity to a window or a vector.

    The search is exact: every window is compared, in bounded memory.

    Args:
        dataset: its folder, or any fsspec URL of it.
        to: a window as ``FILENAME@OFFSET`` (seconds; split at the last ``@``), a ``.npy`` file of
            one embedding, or the embedding itself, shape ``(dims,)``.
        top: how many are wanted.
        channel: of the window that ``to`` names; all channels are searched.
        sites: search only these, as the key ``site`` has them, or as numbers.
        from_date: search only windows that start on this local date (``YYYY-MM-DD``) or later.
        until_date: and on this one or earlier.
        progress: told how far it is.

    Returns:
        ``filename``, ``recording_offset_in_file`` (seconds), ``channel``, ``site``,
        ``window_start`` (UTC) and ``similarity`` (float64), best first; equal ones in the dataset's
        order. A window that ``to`` names comes first itself, with 1. Windows that are zero or not
        finite have no cosine and are left out.

    Raises:
        UsageError: there is no such window or site, or the vector does not fit.
        DatasetError: it is no complete dataset, or a file of it is missing or damaged.
    """
    if top < 1:
        raise UsageError(f"top is {top}, expected 1 or more")
    catalog = Catalog.open(dataset)
    direction = _direction(catalog, to, channel)
    selection = Selection.of(_known_sites(catalog, sites), from_date, until_date)
    predicate = _part_of_dataset(catalog, selection)
    source = WindowSource(catalog, [EMBEDDING], predicate)
    progress = progress or NoProgress()
    nearest = _Search(source, direction, top, progress).run(default_workers())
    if nearest.without_direction:
        progress.say(
            f"{format_count(nearest.without_direction, 'window')} left out: zero or not finite, "
            "so without a cosine"
        )
    found = take(catalog, nearest.rows, _COLUMNS)
    return found.with_columns(pl.Series("similarity", nearest.cosines, pl.Float64))


def _part_of_dataset(catalog: Catalog, selection: Selection) -> pl.Expr | None:
    """The filter that a selection makes; none for the whole dataset."""
    tests = []
    if selection.sites:
        tests.append(pl.col("site").is_in(selection.sites))
    day = pl.col("date" if "date" in catalog.partition_by.keys else "window_start_local")
    if selection.first is not None:
        tests.append(day >= selection.first)
    if selection.last is not None:
        tests.append(day <= datetime.combine(selection.last, time.max))
    return reduce(operator.and_, tests) if tests else None


def _known_sites(catalog: Catalog, sites: str | int | Sequence[str | int]) -> list[str]:
    """Return the dataset's values of the key ``site`` that are meant.

    Raises:
        UsageError: it has none that fits one of them.
    """
    known = catalog.files["site"].unique().sort()
    rule = catalog.manifest.options.site_tokens
    found = []
    for site in [sites] if isinstance(sites, str | int) else sites:
        values = [value for value in site_values(site, rule) if value in known]
        if not values:
            more = ", …" if len(known) > _MAX_NAMED else ""
            raise UsageError(
                f"{catalog.location} has no site {site_values(site, rule)[0]}. It has "
                f"{len(known)}: {', '.join(known[:_MAX_NAMED])}{more}"
            )
        found += values
    return found


class _Search:
    """Compares all windows of a query with one direction, on several threads."""

    def __init__(
        self, source: WindowSource, direction: Direction, top: int, progress: Progress
    ) -> None:
        self._source = source
        self._direction = direction
        self._best = Nearest(top)
        self._progress = progress
        self._scratches = Pool(Scratch)

    def run(self, workers: int) -> Nearest:
        for found in map_batches(
            self._source, self._search, name="comparing", progress=self._progress, workers=workers
        ):
            self._best = self._best.merge(found)
        return self._best

    def _search(self, batch: Batch) -> Nearest:
        # What others have found by now rules out more, and changes nothing else.
        found = Nearest(self._best.top)
        with self._scratches.borrow() as scratch:
            for rows, block in self._source.blocks(batch, scratch):
                least = max(found.least, self._best.least)
                found = found.merge(search_block(self._direction, block, rows, found.top, least))
        return found


def _direction(catalog: Catalog, to: str | Path | npt.ArrayLike, channel: int) -> Direction:
    if isinstance(to, Path) or (isinstance(to, str) and to.endswith(".npy")):
        vector, name = _load_vector(Path(to)), str(to)
    elif isinstance(to, str):
        vector, name = _window_embedding(catalog, to, channel), to
    else:
        vector, name = _as_vector(to), "the vector"
    if vector.shape not in {(catalog.dims,), (1, catalog.dims)} or vector.dtype.kind not in "fiu":
        raise UsageError(
            f"{name} has shape {vector.shape} and type {vector.dtype}, expected ({catalog.dims},) "
            f"and numbers, like the embeddings of {catalog.location}."
        )
    try:
        return Direction.of(vector.reshape(-1))
    except ValueError as error:
        raise UsageError(f"{name} can't be compared: {error}.") from error


def _as_vector(values: npt.ArrayLike) -> npt.NDArray[Any]:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise UsageError(f"the vector can't be read as an array: {error}") from error


def _load_vector(path: Path) -> npt.NDArray[Any]:
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise UsageError(f"{path}: can't be read as a .npy file: {error}") from error
    if not isinstance(loaded, np.ndarray):
        raise UsageError(f"{path} holds several arrays. Save one embedding with numpy.save.")
    return loaded


def _window_embedding(catalog: Catalog, to: str, channel: int) -> npt.NDArray[Any]:
    """Look a window up."""
    filename, at, offset = to.rpartition("@")
    try:
        offset_s = float(offset)
    except ValueError:
        offset_s = math.nan
    if not at or not math.isfinite(offset_s):
        raise UsageError(
            f"{to!r} names no window. Write FILENAME@OFFSET, such as "
            "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac@600, or name a .npy file."
        )
    is_it = (
        (pl.col("filename") == filename)
        & (pl.col("channel") == channel)
        & ((pl.col("recording_offset_in_file") - offset_s).abs() < _tolerance(offset_s))
    )
    for predicate in (*(hint & is_it for hint in _started_at(filename, offset_s)), is_it):
        for found in read_batches(catalog, [EMBEDDING], predicate):
            if len(found):
                embedding: npt.NDArray[Any] = found[EMBEDDING].to_numpy()[0]
                return embedding
    raise UsageError(
        f"{catalog.location} has no window {to} in channel {channel}. {_have(catalog, filename)}"
    )


def _tolerance(offset_s: float) -> float:
    """Shards have offsets as float32: one that was typed differs from the window's by so much."""
    return max(_SAME_OFFSET_S, 2.0**-23 * abs(offset_s))


def _started_at(filename: str, offset_s: float) -> list[pl.Expr]:
    """Where the name tells when the window started, files of other times need not be opened."""
    start_us = parse_filenames(pa.array([filename])).file_timestamp.cast(pa.int64())[0].as_py()
    if start_us is None or abs(offset_s) > _LONGEST_S:
        return []
    window_us = start_us + round(offset_s * _SECOND_US)
    earliest, latest = (
        pl.lit(at_us, pl.Int64).cast(pl.Datetime("us", "UTC"))
        for at_us in (window_us - _SECOND_US, window_us + _SECOND_US)
    )
    return [pl.col("window_start").is_between(earliest, latest)]


def _have(catalog: Catalog, filename: str) -> str:
    """Say which windows of a recording there are."""
    columns = ["recording_offset_in_file", "channel"]
    offsets = pl.concat(
        [
            pl.DataFrame(schema={name: catalog.schema[name] for name in columns}),
            *read_batches(catalog, columns, pl.col("filename") == filename),
        ]
    )
    if not len(offsets):
        return "It has no such recording."
    starts_s = offsets["recording_offset_in_file"].unique().sort().to_list()
    named = ", ".join(f"{start_s:.8g}" for start_s in starts_s[:_MAX_NAMED])
    channels = ", ".join(map(str, offsets["channel"].unique().sort()))
    return (
        f"That recording's windows start at {named}, … up to {starts_s[-1]:.8g} s, in channel "
        f"{channels}."
    )
