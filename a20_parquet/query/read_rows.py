"""Reads windows by their numbers in the dataset, and finds the numbers of windows."""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, Rows
from a20_parquet.execution.threads import map_in_order
from a20_parquet.parquet import Embeddings
from a20_parquet.resources import default_workers

NUMBER = "a20_window"
"""Column with the number of a window in the dataset; no dataset has one of this name."""


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
    stored = [name for name in columns if name in catalog.metadata_columns]
    tables, order, files = [], [], []
    for file, here, rows in _by_file(catalog, numbers):
        tables.append(_take_of_file(catalog, file, rows, stored))
        order.append(here)
        files += [file] * len(here)
    schema = catalog.schema
    if not tables:
        return pl.DataFrame(schema={name: schema[name] for name in columns})
    frame = pl.DataFrame(pa.concat_tables(tables))
    keys = catalog.files[files].select(key for key in catalog.partition_by.keys if key in columns)
    every = pl.concat([frame, keys], how="horizontal")
    return every[np.argsort(np.concatenate(order))].select(columns)


def take_embeddings(catalog: Catalog, numbers: Rows) -> Embeddings:
    """Read the embeddings of windows.

    Args:
        catalog: of the dataset.
        numbers: of windows in the dataset's order, from 0, shape ``(rows,)``.

    Returns:
        Shape ``(rows, dims)``, in the order of ``numbers``.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    out = np.empty((len(numbers), catalog.dims), np.float32)
    for file, here, rows in _by_file(catalog, numbers):
        with _open(catalog, file) as opened:
            starts = np.array(list(accumulate(opened.rows, initial=0)))
            groups = np.searchsorted(starts, rows, side="right") - 1
            for group in _distinct(groups):
                of_group = groups == group
                wanted, target = rows[of_group] - starts[group], here[of_group]
                span = int(wanted.min()), int(wanted.max())
                for pages, page in opened.pages(group, span):
                    on_page = (wanted >= page.first) & (wanted < page.first + page.rows)
                    if on_page.any():
                        block = np.empty((page.rows, catalog.dims), np.float32)
                        opened.read_page(pages, page, block)
                        out[target[on_page]] = block[wanted[on_page] - page.first]
    return out


def find_rows(
    catalog: Catalog, files: Sequence[int], columns: Sequence[str], predicate: pl.Expr
) -> pl.DataFrame:
    """Find windows in some files, without reading their embeddings.

    Args:
        catalog: of the dataset.
        files: numbers of data files in the dataset's order.
        columns: names of metadata columns, at least those in ``predicate``.
        predicate: on ``columns``.

    Returns:
        The columns of the windows that pass, in the dataset's order, and ``NUMBER``.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    starts = _starts(catalog)

    def find(file: int) -> pl.DataFrame:
        with _open(catalog, file) as opened:
            table = opened.metadata(range(len(opened.rows)), columns)
        frame = pl.DataFrame(table).with_row_index(NUMBER)
        return frame.filter(predicate).with_columns(pl.col(NUMBER).cast(pl.Int64) + starts[file])

    workers = default_workers()
    found = list(map_in_order(workers, find, files, ahead=workers))
    schema = {NUMBER: pl.Int64(), **{name: catalog.schema[name] for name in columns}}
    return (
        pl.concat([pl.DataFrame(schema=schema), *found]) if found else pl.DataFrame(schema=schema)
    )


def _starts(catalog: Catalog) -> Rows:
    """Return the number of windows before each file, and of all windows."""
    return np.concatenate([[0], catalog.files["rows"].cum_sum().to_numpy()]).astype(np.int64)


def _by_file(catalog: Catalog, numbers: Rows) -> Iterator[tuple[int, Rows, Rows]]:
    """Yield a file's number, the positions in ``numbers`` of its windows, and their rows in it."""
    starts = _starts(catalog)
    files = np.searchsorted(starts, numbers, side="right") - 1
    for file in _distinct(files):
        here = np.flatnonzero(files == file)
        yield file, here, numbers[here] - starts[file]


def _open(catalog: Catalog, file: int) -> DataFile:
    path, size, rows = catalog.files.select("path", "bytes", "rows").row(file)
    return DataFile(catalog, path, rows=rows, size=size)


def _take_of_file(catalog: Catalog, file: int, rows: Rows, stored: Sequence[str]) -> Any:
    with _open(catalog, file) as opened:
        starts = np.array(list(accumulate(opened.rows, initial=0)))
        used = _distinct(np.searchsorted(starts, rows, side="right") - 1)
        table = opened.metadata(used, stored)
    # The number in the file of each row of the table.
    read = np.concatenate([np.arange(starts[group], starts[group + 1]) for group in used])
    positions = np.searchsorted(read, rows)
    # A NumPy array would make pyarrow import pandas, which takes as long as a search.
    buffer = pa.py_buffer(positions.astype(np.int64))
    return table.take(pa.Array.from_buffers(pa.int64(), len(positions), [None, buffer]))


def _distinct(numbers: Rows) -> list[int]:
    """Return numbers once each, ascending; ``np.unique`` imports ``numpy.ma``, which takes long."""
    return sorted(set(numbers.tolist()))
