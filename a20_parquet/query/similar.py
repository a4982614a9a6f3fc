"""Finds the windows of a dataset that are most similar to an embedding."""

import operator
from collections.abc import Sequence
from datetime import date, datetime, time
from functools import reduce
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from a20_parquet.checks import check_count, check_unicode
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, Rows
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.errors import UsageError
from a20_parquet.execution.threads import Pool
from a20_parquet.formatting import format_count
from a20_parquet.progress import Progress, ProgressOption, open_progress
from a20_parquet.query.cosine import Direction, Nearest, search_block
from a20_parquet.query.named_window import window_embedding
from a20_parquet.query.window_query import Batch, WindowQuery
from a20_parquet.resources import default_workers
from a20_parquet.storage.path import parse_path, read_whole
from a20_parquet.windows.schema import EMBEDDING
from a20_parquet.windows.selection import Selection, site_values

_COLUMNS = ("filename", "recording_offset_in_file", "channel", "site", "window_start")
_MAX_NAMED = 5


def similar(  # noqa: PLR0913 - the command's options, each a keyword
    dataset: str | Path,
    to: str | Path | npt.ArrayLike,
    *,
    top: int = 10,
    channel: int = 0,
    sites: str | int | Sequence[str | int] = (),
    from_date: date | str | None = None,
    until_date: date | str | None = None,
    progress: ProgressOption = None,
) -> pl.DataFrame:
    """Find the windows with the largest cosine similarity to a window or a vector.

    The search is exact: every window is compared, in bounded memory.

    Args:
        dataset: its folder, or any fsspec URL of it.
        to: a window as ``FILENAME@OFFSET`` (seconds; split at the last ``@``), a ``.npy`` file of
            one embedding or its URL, or the embedding itself, shape ``(dims,)``.
        top: largest number of windows to return.
        channel: of the window that ``to`` names; all channels are searched.
        sites: search only these values of the key ``site``, or site numbers.
        from_date: search only windows that start on this local date (``YYYY-MM-DD``) or later.
        until_date: search only windows that start on this local date or earlier.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Returns:
        ``filename``, ``recording_offset_in_file`` (seconds), ``channel``, ``site``,
        ``window_start`` (UTC) and ``similarity`` (float64), best first; ties are in the dataset's
        order. A window that ``to`` names is the first one, with 1. Windows that are zero or not
        finite have no cosine and are left out.

    Raises:
        UsageError: there is no such window or site, or the vector has another shape or type.
        DatasetError: the path is not a complete dataset, or a data file is missing or damaged.
    """
    top = check_count("top", top)
    channel = check_count("channel", channel, least=0)
    catalog = Catalog.open(dataset)
    direction = _direction(catalog, to, channel)
    selection = Selection.of(_known_sites(catalog, sites), from_date, until_date)
    predicate = _part_of_dataset(catalog, selection)
    query = WindowQuery(catalog, [EMBEDDING], predicate)
    with open_progress(progress) as shown:
        nearest = _search(query, direction, top, shown)
        if nearest.without_direction:
            shown.say(
                f"{format_count(nearest.without_direction, 'window')} left out: zero or not "
                "finite, so without a cosine"
            )
        elif not len(nearest.rows):
            shown.say(_why_none(catalog, selection))
    found = take_rows(catalog, nearest.rows, _COLUMNS)
    return found.with_columns(pl.Series("similarity", nearest.cosines, pl.Float64))


def _part_of_dataset(catalog: Catalog, selection: Selection) -> pl.Expr | None:
    """Return the filter of a selection, None if it selects the whole dataset."""
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
    """Return the dataset's values of the key ``site`` for names or numbers of sites.

    Raises:
        UsageError: the dataset does not have one of them.
    """
    check_unicode("--site", sites)
    known = catalog.files["site"].unique().sort()
    rule = catalog.manifest.options.site_tokens
    found = []
    for site in [sites] if isinstance(sites, str | int) else sites:
        values = [value for value in site_values(site, rule) if value in known]
        if not values:
            name = site_values(site, rule)[0] if str(site).isdecimal() else site
            more = ", …" if len(known) > _MAX_NAMED else ""
            raise UsageError(
                f"{catalog.location} has no site {name}. It has "
                f"{len(known)}: {', '.join(known[:_MAX_NAMED])}{more}"
            )
        found += values
    return found


def _why_none(catalog: Catalog, selection: Selection) -> str:
    """Explain why no window was searched."""
    files = catalog.files
    if selection.sites:
        files = files.filter(pl.col("site").is_in(selection.sites))
    searched = files["site"].unique().sort()
    more = ", …" * (len(searched) > _MAX_NAMED)
    whose = f" of {', '.join(searched[:_MAX_NAMED])}{more}" if selection.sites else ""
    if not files["rows"].sum():
        return f"{catalog.location} has no window{whose}."
    first, last = files["first_window_start"].min(), files["last_window_start"].max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return f"the windows{whose} in {catalog.location} have no date. Omit --from and --until."
    days = " ".join(
        f"{word} {day}"
        for word, day in (("from", selection.first), ("until", selection.last))
        if day is not None
    )
    return (
        f"{catalog.location} has no window{whose} {days}. Its windows start from "
        f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC."
    )


def _search(query: WindowQuery, direction: Direction, top: int, progress: Progress) -> Nearest:
    """Compare all windows of a query with a direction, on several threads."""
    best = Nearest(top)
    buffers = Pool(EmbeddingBuffer)

    def search(batch: Batch) -> Nearest:
        found = Nearest(top)
        with buffers.borrow() as buffer:
            for rows, block in query.blocks(batch, buffer):
                # The best windows of other batches so far rule out more windows of this one.
                least = max(found.least, best.least)
                found = found.merge(search_block(direction, block, rows, top, least))
        return found

    workers = default_workers()
    for found in query.map(search, name="comparing", progress=progress, workers=workers):
        best = best.merge(found)
    return best


def _direction(catalog: Catalog, to: str | Path | npt.ArrayLike, channel: int) -> Direction:
    if isinstance(to, Path) or (isinstance(to, str) and to.endswith(".npy")):
        vector, name = _load_vector(to), str(to)
    elif isinstance(to, str):
        vector, name = window_embedding(catalog, to, channel), to
    else:
        name = "the vector"
        try:
            vector = np.asarray(to)
        except ValueError as error:
            raise UsageError(f"the vector cannot be read as an array: {error}") from error
    if vector.shape not in {(catalog.dims,), (1, catalog.dims)} or vector.dtype.kind not in "fiu":
        raise UsageError(
            f"{name} has shape {vector.shape} and type {vector.dtype}, expected ({catalog.dims},) "
            f"and numbers, like the embeddings of {catalog.location}."
        )
    try:
        return Direction.of(vector.reshape(-1))
    except ValueError as error:
        raise UsageError(f"{name} cannot be compared: {error}.") from error


def _load_vector(path: str | Path) -> npt.NDArray[Any]:
    try:
        loaded = np.load(BytesIO(read_whole(parse_path(path))), allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read as a .npy file: {error}") from error
    if not isinstance(loaded, np.ndarray):
        raise UsageError(f"{path} has several arrays. Save one embedding with numpy.save.")
    return loaded


def take_rows(catalog: Catalog, numbers: Rows, columns: Sequence[str]) -> pl.DataFrame:
    """Read windows without their embeddings.

    Args:
        catalog: of the dataset.
        numbers: of windows in the dataset's order, from 0, shape ``(rows,)``.
        columns: names of metadata columns and Hive keys.

    Returns:
        One row per number, in the order of ``numbers``.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    starts = np.concatenate([[0], catalog.files["rows"].cum_sum().to_numpy()])
    files = np.searchsorted(starts, numbers, side="right") - 1
    stored = [name for name in columns if name in catalog.metadata_columns]
    tables, order = [], []
    for file in np.unique(files):
        here = np.flatnonzero(files == file)
        tables.append(_take_of_file(catalog, int(file), numbers[here] - starts[file], stored))
        order.append(here)
    schema = catalog.schema
    if not tables:
        return pl.DataFrame(schema={name: schema[name] for name in columns})
    frame = pl.DataFrame(pa.concat_tables(tables))
    read = np.concatenate(order)
    keys = catalog.files[files[read]].select(
        key for key in catalog.partition_by.keys if key in columns
    )
    return pl.concat([frame, keys], how="horizontal")[np.argsort(read)].select(columns)


def _take_of_file(catalog: Catalog, file: int, rows: Rows, stored: Sequence[str]) -> Any:
    path, size, in_file = catalog.files.select("path", "bytes", "rows").row(file)
    with DataFile(catalog, path, rows=in_file, size=size) as opened:
        starts = np.array(list(accumulate(opened.rows, initial=0)))
        used = np.unique(np.searchsorted(starts, rows, side="right") - 1)
        table = opened.metadata(used.tolist(), stored)
    # The number in the file of each row of the table.
    read = np.concatenate([np.arange(starts[group], starts[group + 1]) for group in used])
    return table.take(np.searchsorted(read, rows))
