"""Reads windows that are named one by one: thousands at once, each page of embeddings once."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from a20_parquet.checks import check_unicode
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import UsageError
from a20_parquet.execution.threads import map_in_order
from a20_parquet.formatting import format_count
from a20_parquet.query.window_list import KEYS, WindowList, WindowNames
from a20_parquet.query.window_query import WindowQuery
from a20_parquet.resources import default_workers
from a20_parquet.windows.schema import EMBEDDING

Missing: TypeAlias = Literal["error", "null"]

_MOST_NAMED = 5
# Of a batch only the pages with wanted windows are read, which all are kept.
_BATCH_BYTES = 256 << 20


def take(
    dataset: str | Path,
    windows: WindowNames,
    *,
    columns: Sequence[str] | None = None,
    channel: int = 0,
    missing: Missing = "error",
) -> pl.DataFrame:
    """Read the windows of a list, in its order.

    Only files and pages of embeddings that can have them are read, each once.

    Args:
        dataset: its folder, or any fsspec URL of it.
        windows: ``(filename, offset)`` or ``(filename, offset, channel)`` of each window, or a
            frame with the columns ``filename``, ``recording_offset_in_file`` and, if wanted,
            ``channel``. Offsets are in seconds; the nearest window counts, if it is at most half a
            millisecond away, or for large offsets the precision of float32. A window may be named
            several times.
        columns: names, in the wanted order; None for all.
        channel: of windows for which none is given.
        missing: what to do if the dataset lacks a window: ``"error"``, or ``"null"`` to return a
            row for it in which only ``filename``, ``recording_offset_in_file`` and ``channel`` are
            not null.

    Returns:
        One row per item of ``windows``, with the columns of ``scan``. If the dataset has a window
        several times, the first one.

    Raises:
        UsageError: a window is missing, an item has another form, or there is no such column.
        DatasetError: the path is not a complete dataset, or a data file is missing or damaged.
    """
    catalog = Catalog.open(dataset)
    wanted = WindowList.of(windows, channel)
    names = check_columns(catalog, columns)
    found, rows = _find(catalog, wanted, names, missing)
    frame = found.select(pl.all().gather(rows))
    if rows.null_count():
        lacks = rows.is_null()
        frame = frame.with_columns(
            pl.when(lacks).then(wanted.items[key]).otherwise(key).alias(key) for key in KEYS
        )
    return frame.select(names)


def take_numpy(
    dataset: str | Path, windows: WindowNames, *, channel: int = 0, missing: Missing = "error"
) -> npt.NDArray[np.float32]:
    """Read the embeddings of the windows of a list, in its order.

    Args:
        dataset: its folder, or any fsspec URL of it.
        windows: see ``take``.
        channel: of windows for which none is given.
        missing: what to do if the dataset lacks a window: ``"error"``, or ``"null"`` to return NaN
            for it.

    Returns:
        Shape ``(windows, dims)``, C-contiguous and writable.

    Raises:
        UsageError: a window is missing, or an item has another form.
        DatasetError: the path is not a complete dataset, or a data file is missing or damaged.
    """
    catalog = Catalog.open(dataset)
    found, rows = _find(catalog, WindowList.of(windows, channel), (EMBEDDING,), missing)
    out = np.full((len(rows), catalog.dims), np.nan, np.float32)
    is_there = rows.is_not_null().to_numpy()
    out[is_there] = found[EMBEDDING].to_numpy()[rows.drop_nulls().to_numpy()]
    return out


def check_columns(catalog: Catalog, names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of columns of a dataset, all if None.

    Raises:
        UsageError: it has no such column, or one is named twice.
    """
    known = tuple(catalog.schema)
    wanted = known if names is None else tuple(names)
    check_unicode("columns", wanted)
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"{catalog.location} has no column {name!r}. It has {', '.join(known)}."
            )
        if wanted.count(name) > 1:
            raise UsageError(f"the column {name} is named {wanted.count(name)} times.")
    return wanted


def _find(
    catalog: Catalog, wanted: WindowList, columns: Sequence[str], missing: Missing
) -> tuple[pl.DataFrame, pl.Series]:
    """Read the windows that a list names, and find the row of each item among them.

    Raises:
        UsageError: one is missing.
    """
    if missing not in {"error", "null"}:
        raise UsageError(f"missing is {missing!r}, expected 'error' or 'null'.")
    needed = tuple(dict.fromkeys((*KEYS, *columns)))
    query = WindowQuery(catalog, needed, wanted.filter, batch_bytes=_BATCH_BYTES)
    workers = default_workers()
    frames = list(map_in_order(workers, query.read, query.batches(), ahead=workers))
    catalog.check_unchanged()
    empty = pl.DataFrame(schema={name: catalog.schema[name] for name in needed})
    found = pl.concat([empty, *frames], rechunk=True)
    rows = wanted.find(found)
    if missing == "error" and rows.null_count():
        raise UsageError(_lacking(catalog, wanted, rows.is_null()))
    return found, rows


def _lacking(catalog: Catalog, wanted: WindowList, is_missing: pl.Series) -> str:
    lacking = wanted.items.filter(is_missing)
    named = ", ".join(
        f"{filename}@{offset_s:.8g} in channel {channel}"
        for filename, offset_s, channel in lacking.head(_MOST_NAMED).iter_rows()
    )
    more = ", …" if len(lacking) > _MOST_NAMED else ""
    return (
        f"{catalog.location} lacks {len(lacking):,} of {format_count(len(wanted.items), 'window')}:"
        f' {named}{more}. Leave them out, or give missing="null".'
    )
