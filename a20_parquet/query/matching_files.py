"""Answers from the list of files: which files a query must open, and what needs no file at all."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from typing import Final

import numpy as np
import polars as pl

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.query.prune import may_match, site_number
from a20_parquet.windows.schema import KEYS

_LISTED: Final = frozenset({*KEYS, "site_id"})
# Reading filenames takes as long as opening a file.
_FEW_FILES: Final = 1


def with_site_ids(files: pl.DataFrame) -> pl.DataFrame:
    """Add the column ``site_id`` to a list of files, if each file is known to have one value."""
    number = site_number()
    nulls, rows = pl.col("null_site_ids"), pl.col("rows")
    is_known = (nulls == rows) | ((nulls == 0) & number.is_not_null())
    if not files.select(is_known.fill_null(value=False).all()).item():
        return files
    return files.with_columns(pl.when(nulls == 0).then(number).alias("site_id"))


def listed_columns(files: pl.DataFrame) -> tuple[str, ...]:
    """Return the columns of windows that have one known value in each file of a list."""
    return tuple(name for name in files.columns if name in _LISTED)


def matching_files(
    catalog: Catalog,
    files: pl.DataFrame,
    predicate: pl.Expr | None,
    limit: int | None,
    *,
    strict: bool,
) -> pl.DataFrame:
    """Choose the files that may have windows that pass a filter.

    Args:
        catalog: of the dataset.
        files: its list of files, see ``with_site_ids``.
        predicate: the filter; None for all windows.
        limit: use only this number of the dataset's first windows; None for all.
        strict: whether a filter that polars cannot evaluate on the list is an error; else it
            chooses all files.

    Returns:
        Rows of ``files``, with the further columns ``before``, the windows of the dataset before
        the file, and ``wanted``, the file's windows within the limit.
    """
    listed = listed_columns(files)
    files = files.with_columns(before=pl.col("rows").cum_sum() - pl.col("rows"))
    wanted = pl.col("rows")
    if limit is not None:
        files = files.filter(pl.col("before") < limit)
        wanted = pl.min_horizontal("rows", limit - pl.col("before"))
    if predicate is not None:
        # polars raises a type error later, for the windows' own column.
        with nullcontext() if strict else suppress(pl.exceptions.PolarsError):
            files = files.filter(may_match(predicate, listed))
            if len(files) > _FEW_FILES:
                # Few queries ask for names, and parsing them takes imports of its own.
                from a20_parquet.query.name_hints import hint_of_names

                hint = hint_of_names(catalog, predicate)
                files = files if hint is None else files.filter(hint)
    return files.with_columns(wanted=wanted)


def repeat_rows(
    files: pl.DataFrame, columns: Sequence[str], *, batch_rows: int = 1 << 22
) -> Iterator[pl.DataFrame]:
    """Yield a row for each wanted window of a list of files.

    Args:
        files: from ``matching_files``.
        columns: some of ``listed_columns``.
        batch_rows: most rows of a frame.
    """
    values, ends = files.select(columns), files["wanted"].cum_sum().to_numpy()
    total = int(ends[-1]) if len(ends) else 0
    for first in range(0, total, batch_rows):
        windows = np.arange(first, min(first + batch_rows, total))
        yield values[np.searchsorted(ends, windows, side="right")]
