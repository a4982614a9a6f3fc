"""Opens a dataset as a polars ``LazyFrame`` that reads only what a query needs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.forked import check_threads
from a20_parquet.execution.threads import map_in_order
from a20_parquet.query.kept_links import find_template
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.resources import default_workers


def scan(dataset: str | Path, *, link: str | None = None) -> pl.LazyFrame:
    """Query a dataset with polars.

    Filters on the Hive keys, ``site_id`` and the windows' times leave files unopened; other filters
    are tested before embeddings are read.

    Args:
        dataset: its folder, or any fsspec URL of it.
        link: template of a further column ``link``, or its name, see ``similar``.

    Returns:
        All columns of ``schemas/windows.json``, ``embedding`` as ``Array(Float32, dims)``, the
        features of n floats behind the metadata as ``Array(Float32, n)``, null if a record lacks
        it, and the Hive keys: ``site`` String, ``date`` Date (or ``month`` String, or ``year``
        Int64). Rows are in the dataset's order.

    Raises:
        UsageError: the template is malformed, or the dataset has none of this name.
        DatasetError: the path is not a complete dataset; while a query runs, also if a data file
            is missing or damaged.
    """
    catalog = Catalog.open(dataset)

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        return read_batches(catalog, columns, predicate, limit)

    def schema() -> pl.Schema:
        # polars calls this before a query runs; a query in a forked process would never end.
        check_threads()
        return catalog.schema

    windows = register_io_source(read, schema=schema, is_pure=True)
    template = find_template(catalog, link)
    return windows if template is None else windows.with_columns(template.expression)


def read_batches(
    catalog: Catalog,
    columns: Sequence[str] | None,
    predicate: pl.Expr | None,
    limit: int | None = None,
) -> Iterator[pl.DataFrame]:
    """Read windows with all cores, a few megabytes at a time.

    Args:
        catalog: of the dataset.
        columns: names, in the wanted order; None for all.
        predicate: a filter on windows; None for all.
        limit: use only this number of the dataset's first windows; None for all.

    Raises:
        DatasetError: a file is missing or damaged, or the dataset was replaced.
    """
    catalog.check_unchanged()
    query = WindowQuery(catalog, columns, predicate)
    workers = default_workers()
    if query.needs_no_file:
        yield from query.listed(limit)
    else:
        yield from map_in_order(workers, query.read, query.batches(limit), ahead=workers)
    # A dataset that was replaced meanwhile may have given windows of both.
    catalog.check_unchanged()
