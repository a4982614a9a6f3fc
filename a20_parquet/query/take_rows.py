"""Reads windows by their numbers in a dataset."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile, Rows


def take(catalog: Catalog, numbers: Rows, columns: Sequence[str]) -> pl.DataFrame:
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
