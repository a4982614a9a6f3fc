"""A dataset as a polars ``LazyFrame`` that reads only what a query needs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.forked import check_threads
from a20_parquet.execution.threads import map_in_order
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.resources import default_workers


def scan(dataset: str | Path) -> pl.LazyFrame:
    """Query a dataset with polars.

    Filters on the Hive keys, ``site_id`` and the windows' times leave files unopened; other filters
    are tested before embeddings are read.

    Args:
        dataset: its folder, or any fsspec URL of it.

    Returns:
        All columns of ``schemas/windows.json``, ``embedding`` as ``Array(Float32, dims)``, the
        features of n floats behind the metadata as ``Array(Float32, n)``, null if a record has
        none, and the Hive keys: ``site`` String, ``date`` Date (or ``month`` String, or ``year``
        Int64). Rows come in the dataset's order.

    Raises:
        DatasetError: it is no complete dataset; while a query runs, also that a file of it is
            missing or damaged.
    """
    catalog = Catalog.open(dataset)

    def read(
        columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        return read_batches(catalog, columns, predicate, limit)

    def schema() -> pl.Schema:
        # Asked for before a query runs, which in a forked process waits for threads for ever.
        check_threads()
        return catalog.schema

    return register_io_source(read, schema=schema, is_pure=True)


def read_batches(
    catalog: Catalog,
    columns: Sequence[str] | None,
    predicate: pl.Expr | None,
    limit: int | None = None,
) -> Iterator[pl.DataFrame]:
    """Read windows with all cores, a few megabytes at a time.

    Args:
        catalog: of the dataset.
        columns: names, in the order in which they are wanted; none for all.
        predicate: which windows; none for all.
        limit: consider only so many of the dataset's first windows.

    Raises:
        DatasetError: a file is missing or damaged, or the dataset was replaced.
    """
    catalog.check_unchanged()
    source = WindowQuery(catalog, columns, predicate)
    workers = default_workers()
    yield from map_in_order(workers, source.read, source.batches(limit), ahead=workers)
    # What was read of a dataset that was replaced meanwhile may be of both.
    catalog.check_unchanged()
