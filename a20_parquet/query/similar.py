"""Finds the windows of a dataset that are most similar to embeddings."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from a20_parquet.checks import check_count
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.errors import UsageError
from a20_parquet.execution.threads import Pool
from a20_parquet.formatting import format_count
from a20_parquet.progress import Progress, ProgressOption, open_progress
from a20_parquet.query.blas import one_thread
from a20_parquet.query.kept_links import find_template
from a20_parquet.query.links import LinkTemplate, with_links
from a20_parquet.query.metrics import Metric, Queries
from a20_parquet.query.named_window import find_recordings
from a20_parquet.query.nearest import Excluded, Found, Nearest, search_block
from a20_parquet.query.part import DatasetPart
from a20_parquet.query.read_rows import take_rows
from a20_parquet.query.targets import Targets, To, find_targets
from a20_parquet.query.window_query import Batch, WindowQuery
from a20_parquet.resources import default_workers
from a20_parquet.windows.schema import EMBEDDING

MetricName = Literal["cosine", "dot", "euclidean"]
ExcludeName = Literal["none", "self", "recording"]

# A file is opened for each batch that has a part of it, and only a block is in memory.
_BATCH_BYTES = 64 << 20
_EXCLUDE = ("none", "self", "recording")
_COLUMNS = (
    *("filename", "recording_offset_in_file", "channel", "site"),
    *("window_start", "window_start_local"),
)


def similar(  # noqa: PLR0913 - the command's options, each a keyword
    dataset: str | Path,
    to: To,
    *,
    top: int = 10,
    metric: MetricName = "cosine",
    exclude: ExcludeName = "none",
    channel: int = 0,
    sites: str | int | Sequence[str | int] = (),
    from_date: date | str | None = None,
    until_date: date | str | None = None,
    hours: str | None = None,
    where: str | None = None,
    link: str | None = None,
    progress: ProgressOption = None,
) -> pl.DataFrame:
    """Find the windows that are nearest to a window or a vector, or to each of several.

    The search is exact: every window is compared, in bounded memory and one pass for all queries.
    Estimates in float32 with a proven bound on their error rule out most windows. The values of the
    others are computed in float64, row by row, so the answer does not depend on threads and blocks.

    Args:
        dataset: its folder, or any fsspec URL of it.
        to: one of these:

            - a window as ``FILENAME@OFFSET`` (seconds; split at the last ``@``), or a list of them;
            - a ``.csv`` file or its URL: a ``FILENAME@OFFSET`` a line, or the columns ``filename``,
              ``recording_offset_in_file`` and, if given, ``channel``;
            - a ``.npy`` file or its URL, or an array: one embedding of shape ``(dims,)``, or
              several of shape ``(queries, dims)``.
        top: largest number of windows to return for each query.
        metric: ``cosine``, ``dot`` (inner product) or ``euclidean`` (distance).
        exclude: ``self`` leaves out the window that is searched for, ``recording`` all windows of
            its recording; what is left out takes no place of ``top``. ``to`` must name
            windows.
        channel: of the windows that ``to`` names; all channels are searched.
        sites: search only these values of the key ``site``, or site numbers.
        from_date: search only windows that start on this local date (``YYYY-MM-DD``) or later.
        until_date: search only windows that start on this local date or earlier.
        hours: search only windows that start in these hours of the local day, such as ``4-7`` (from
            4:00 until before 7:00), ``22-4`` or ``04:30-06:15``.
        where: search only windows that pass this condition in SQL, such as
            ``subsite_name ilike 'dry%'``.
        link: template of a column ``link``, such as ``https://example.org/{file_seq_id}``, or the
            name of a template kept in the dataset.
        progress: ``True`` shows bars in a terminal or a notebook, and elsewhere a line every 30 s;
            or an object that receives the progress, see ``a20_parquet.progress.Progress``.

    Returns:
        ``filename``, ``recording_offset_in_file`` (seconds), ``channel``, ``site``,
        ``window_start`` (UTC), ``window_start_local`` and ``similarity`` (float64; ``distance`` for
        ``euclidean``), best first; ties are in the dataset's order. With several queries ``query``
        comes first: its number, from 0. A window that ``to`` names is the first one with the
        cosine, 1, unless it is excluded. Windows that are not finite, or zero and have no cosine,
        are left out.

    Raises:
        UsageError: there is no such window, site or column, or an option is invalid.
        DatasetError: the path is not a complete dataset, or a data file is missing or damaged.
    """
    top = check_count("top", top)
    channel = check_count("channel", channel, least=0)
    measure = _metric(metric)
    catalog = Catalog.open(dataset)
    template = find_template(catalog, link)
    part = DatasetPart.of(
        catalog,
        sites=sites,
        from_date=from_date,
        until_date=until_date,
        hours=hours,
        where=where,
    )
    targets = find_targets(catalog, to, channel, measure)
    excluded = _excluded(catalog, targets, exclude)
    query = WindowQuery(catalog, [EMBEDDING], part.predicate, batch_bytes=_BATCH_BYTES)
    with open_progress(progress) as shown:
        found = _search(query, targets.queries, excluded, top, shown)
        if found.undefined:
            what = "zero or not finite, so without a cosine"
            if measure is not Metric.COSINE:
                what = "not finite"
            shown.say(f"{format_count(found.undefined, 'window')} left out: {what}")
        elif not found.nearest:
            left_out = f"no window is left with --exclude {exclude}."
            shown.say(part.why_none() if excluded is None else left_out)
    return _answer(catalog, targets, found, template)


def _metric(name: str) -> Metric:
    try:
        return Metric(name)
    except ValueError as error:
        raise UsageError(f"--metric is {name}, expected {', '.join(Metric)}.") from error


def _excluded(catalog: Catalog, targets: Targets, exclude: str) -> Excluded | None:
    """Return the windows that are left out of the answers, None for none."""
    if exclude not in _EXCLUDE:
        raise UsageError(f"--exclude is {exclude}, expected {', '.join(_EXCLUDE)}.")
    if exclude == "none":
        return None
    if not targets.names:
        raise UsageError(
            f"--exclude {exclude} needs the names of windows, and vectors have none. Give "
            "FILENAME@OFFSET or a .csv file of them, or leave it out."
        )
    if exclude == "self":
        return Excluded.of(targets.numbers, np.arange(len(targets.numbers)))
    return Excluded.of(*find_recordings(catalog, targets.names))


def _search(
    query: WindowQuery, queries: Queries, excluded: Excluded | None, top: int, progress: Progress
) -> Found:
    """Compare all windows of a query with embeddings, on several threads."""
    best = Found()
    buffers = Pool(EmbeddingBuffer)

    def search(batch: Batch) -> Found:
        # The best windows of other batches so far rule out more windows of this one.
        found, least = Found(), best.least(len(queries))
        with buffers.borrow() as buffer:
            for rows, block in query.blocks(batch, buffer):
                of_block = search_block(
                    queries, block, rows, top=top, least=least, excluded=excluded
                )
                found = found.merge(of_block)
                for number in of_block.nearest:
                    least[number] = max(least[number], found.nearest[number].least)
        return found

    workers = default_workers()
    with one_thread():
        for found in query.map(search, name="comparing", progress=progress, workers=workers):
            best = best.merge(found)
    return best


def _answer(
    catalog: Catalog, targets: Targets, found: Found, template: LinkTemplate | None
) -> pl.DataFrame:
    """Read the windows that were found."""
    metric = targets.queries.metric
    each = [found.nearest.get(number, Nearest(0)) for number in range(len(targets.queries))]
    rows = np.concatenate([nearest.rows for nearest in each])
    values = metric.of_keys(np.concatenate([nearest.keys for nearest in each]))
    needed = dict.fromkeys((*_COLUMNS, *(template.columns if template else ())))
    windows = with_links(take_rows(catalog, rows, tuple(needed)), template, _COLUMNS)
    windows = windows.insert_column(len(_COLUMNS), pl.Series(metric.column, values, pl.Float64))
    if targets.is_one:
        return windows
    numbers = np.repeat(np.arange(len(each)), [len(nearest.rows) for nearest in each])
    return windows.insert_column(0, pl.Series("query", numbers, pl.Int64))
