"""``label``: joins a user's annotations with the windows of a dataset."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from a20_parquet.checks import check_positive
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import UsageError, in_python
from a20_parquet.formatting import first_names, format_count
from a20_parquet.query.scan import read_batches, scan
from a20_parquet.storage.path import parse_path, read_whole

_LOGGER = logging.getLogger(__name__)

Annotations: TypeAlias = Any
"""A polars, pandas or Arrow table, or the path or URL of a CSV file."""

_COLUMNS: Final = ("filename", "start_s", "end_s", "label")
_KEYS: Final = ["filename", "recording_offset_in_file"]
_EXPECTED: Final = "expected the columns filename, start_s, end_s and label"
_MOST_NAMED: Final = 3
# Sums of times in float64 differ from the exact ones by less.
_NO_TIME_S: Final = 1e-9


def label(  # noqa: PLR0913 - how to join, each a keyword
    dataset: str | Path,
    annotations: Annotations,
    *,
    min_overlap: float = 0.1,
    labels: Literal["one", "many"] = "one",
    unlabelled: bool = False,
    window_seconds: float | None = None,
) -> pl.LazyFrame:
    """Give the windows of a dataset the labels of annotations that overlap with them.

    A window gets a label if annotations with it cover at least ``min_overlap`` of the window, all
    together. All channels of a window get the same labels. Recordings that the dataset does not
    have, and annotations that give no window a label, are counted in a warning of the log.

    Args:
        dataset: its folder, or any fsspec URL of it.
        annotations: a polars or pandas frame, an Arrow table, or the path or URL of a CSV file,
            with the columns ``filename`` (exactly as in the dataset), ``start_s`` and ``end_s``
            (seconds from the start of the recording) and ``label``. Others are ignored.
        min_overlap: share of the window, from 0 (any overlap) to 1 (all of it). The default, 0.1,
            is half a second of a window of five: short calls count, and those that only reach into
            the window do not.
        labels: ``one`` gives a column ``label``, String: the label that covers most of the window,
            of equals the first one in the alphabet. ``many`` gives a column ``labels``,
            List(String): all of them, sorted.
        unlabelled: whether to keep the windows of annotated recordings that get no label, with
            null or an empty list. Windows of other recordings are never kept: nobody may have
            listened to them.
        window_seconds: length of a window; by default the dataset's hop.

    Returns:
        All columns of ``scan``, then the labels, in the dataset's order. Embeddings of windows that
        are not kept are not read.

    Raises:
        UsageError: the annotations are not such a table, an option is invalid, the dataset has
            none of the recordings, or it has a column of that name.
        DatasetError: the path is not a complete dataset, or a data file is missing or damaged.
    """
    if labels not in {"one", "many"}:
        raise UsageError(f"labels is {labels!r}, expected 'one' or 'many'")
    if isinstance(min_overlap, bool) or not 0 <= min_overlap <= 1:
        raise UsageError(f"min_overlap is {min_overlap}, expected a share from 0 to 1")
    catalog = Catalog.open(dataset)
    column = "label" if labels == "one" else "labels"
    if column in catalog.schema:
        raise UsageError(
            f"{catalog.location} has a column {column} already, a feature of its records. Give "
            f"labels={'many' if labels == 'one' else 'one'!r}, whose column has another name."
        )
    length_s = catalog.head.options.window_seconds
    if window_seconds is not None:
        length_s = check_positive("window_seconds", window_seconds, "seconds")
    table = _read(annotations)
    recordings = table["filename"].unique().sort()
    windows = pl.concat(
        [
            pl.DataFrame(schema={name: catalog.schema[name] for name in _KEYS}),
            *read_batches(catalog, _KEYS, pl.col("filename").is_in(recordings.to_list())),
        ]
    ).unique(_KEYS)
    _check_recordings(catalog, recordings, windows)
    covered = _cover(windows.sort(_KEYS), table, length_s, min_overlap)
    found = _labels_of(covered, labels)
    _report_unused(table, windows, covered, length_s)
    if unlabelled:
        found = windows.join(found, on=_KEYS, how="left")
        if labels == "many":
            found = found.with_columns(pl.col("labels").fill_null([]))
    kept = pl.col("filename").is_in(found["filename"].unique().to_list())
    if not unlabelled:
        # Tested before embeddings are read.
        kept &= pl.struct(_KEYS).is_in(found.select(_KEYS).to_struct().implode())
    return (
        scan(dataset).filter(kept).join(found.lazy(), on=_KEYS, how="inner", maintain_order="left")
    )


def _read(annotations: Annotations) -> pl.DataFrame:
    """Return annotations as ``filename``, ``start_s``, ``end_s`` and ``label``.

    Raises:
        UsageError: they are not such a table.
    """
    name = str(annotations) if isinstance(annotations, str | Path) else "annotations"
    try:
        frame = _as_polars(annotations)
    except (OSError, ValueError, TypeError, pl.exceptions.PolarsError) as error:
        raise UsageError(f"{name}: cannot be read: {error}; {_EXPECTED}") from error
    frame = frame.rename(str.strip) if isinstance(annotations, str | Path) else frame
    if missing := [column for column in _COLUMNS if column not in frame.columns]:
        raise UsageError(
            f"{name}: there is no column {', '.join(missing)} among "
            f"{first_names(frame.columns, 8)}; {_EXPECTED}"
        )
    seconds = [pl.col(column).cast(pl.Float64, strict=False) for column in ("start_s", "end_s")]
    table = frame.select(
        pl.col("filename").cast(pl.String), *seconds, pl.col("label").cast(pl.String)
    )
    for problem in _problems(table, frame):
        raise UsageError(f"{name}: {problem}")
    return table


def _as_polars(annotations: Annotations) -> pl.DataFrame:
    if isinstance(annotations, str | Path):
        content = read_whole(parse_path(annotations)).decode("utf-8-sig")
        return pl.read_csv(content.encode(), infer_schema=False)
    if isinstance(annotations, pl.LazyFrame):
        return annotations.collect()
    if isinstance(annotations, pl.DataFrame):
        return annotations
    return pl.DataFrame(annotations)


def _problems(table: pl.DataFrame, given: pl.DataFrame) -> Iterator[str]:
    """Yield what is wrong with a row, the first one of each kind."""
    wrong = {
        "filename": pl.col("filename").is_null() | (pl.col("filename") == ""),
        "label": pl.col("label").is_null() | (pl.col("label") == ""),
        "start_s": ~pl.col("start_s").is_finite().fill_null(value=False),
        "end_s": ~pl.col("end_s").is_finite().fill_null(value=False),
    }
    for column, test in wrong.items():
        rows = table.select(test.arg_true()).to_series()
        if len(rows):
            value = given[column][rows[0]]
            kind = "seconds" if column.endswith("_s") else "a text"
            yield f"row {rows[0] + 1}: {column} is {value!r}, expected {kind}"
    rows = table.select((pl.col("end_s") <= pl.col("start_s")).arg_true()).to_series()
    if len(rows):
        _, start_s, end_s, _ = table.row(rows[0])
        yield (
            f"row {rows[0] + 1} goes from {start_s:g} to {end_s:g} s, expected an end_s after "
            "start_s"
        )


def _merged(table: pl.DataFrame) -> pl.DataFrame:
    """Merge annotations of one label that overlap or touch."""
    of = ["filename", "label"]
    in_order = table.sort(*of, "start_s")
    reached = pl.col("end_s").cum_max().shift(1).over(of)
    begins = (pl.col("start_s") > reached).fill_null(value=True)
    return (
        in_order.with_columns(part=begins.cast(pl.Int64).cum_sum())
        .group_by(*of, "part", maintain_order=True)
        .agg(pl.col("start_s").min(), pl.col("end_s").max())
    )


def _cover(
    windows: pl.DataFrame, table: pl.DataFrame, length_s: float, min_overlap: float
) -> pl.DataFrame:
    """Return ``_KEYS``, ``label`` and ``covered_s`` for each window and label that it gets.

    Args:
        windows: ``_KEYS``, sorted, each once.
        table: the annotations.
        length_s: length of a window.
        min_overlap: share of the window.
    """
    spans = _merged(table)
    codes = pl.Enum(windows["filename"].unique(maintain_order=True))
    spans = spans.filter(pl.col("filename").is_in(codes.categories.implode()))
    offsets_s = windows["recording_offset_in_file"].to_numpy()
    points = _points(windows["filename"].cast(codes), offsets_s)
    of_span = spans["filename"].cast(codes)
    start_s, end_s = spans["start_s"].to_numpy(), spans["end_s"].to_numpy()
    first = np.searchsorted(points, _points(of_span, start_s - length_s), side="right")
    count = np.maximum(np.searchsorted(points, _points(of_span, end_s)) - first, 0)
    span = np.repeat(np.arange(len(spans)), count)
    window = np.arange(len(span)) - np.repeat(np.cumsum(count) - count, count) + first[span]
    offset_s = offsets_s[window]
    covered_s = np.minimum(end_s[span], offset_s + length_s) - np.maximum(start_s[span], offset_s)
    pairs: pl.DataFrame = windows[window].with_columns(
        spans["label"][span], pl.Series("covered_s", covered_s, pl.Float64)
    )
    least_s = max(min_overlap * length_s - _NO_TIME_S, 0.0)
    return (
        pairs.group_by(*_KEYS, "label")
        .agg(pl.col("covered_s").sum())
        .filter(pl.col("covered_s") > 0, pl.col("covered_s") >= least_s)
    )


def _points(filename: pl.Series, time_s: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
    """Pairs that NumPy compares by recording, then by time."""
    points = np.empty(len(filename), np.complex128)
    points.real, points.imag = filename.to_physical().to_numpy(), time_s
    return points


def _labels_of(covered: pl.DataFrame, labels: Literal["one", "many"]) -> pl.DataFrame:
    """Return ``_KEYS`` with the column of labels, one row for each window."""
    if labels == "many":
        return covered.group_by(_KEYS).agg(pl.col("label").sort().alias("labels"))
    # Sums of the same times may differ in their last bits.
    most = pl.col("covered_s").round(9)
    in_order = covered.sort(most, "label", descending=[True, False])
    return in_order.group_by(_KEYS, maintain_order=True).agg(pl.col("label").first())


def _check_recordings(catalog: Catalog, recordings: pl.Series, windows: pl.DataFrame) -> None:
    """Warn of recordings that are not in the dataset; raise UsageError if none is."""
    missing = recordings.filter(~recordings.is_in(windows["filename"].unique().implode()))
    if not len(missing):
        return
    named = first_names(missing.to_list(), _MOST_NAMED)
    if len(missing) == len(recordings):
        some = next(iter(read_batches(catalog, ["filename"], None, limit=1)), None)
        example = f", such as {some['filename'][0]}" if some is not None and len(some) else ""
        raise UsageError(
            f"{catalog.location} has none of the annotated recordings: {named}. Write filenames "
            f"exactly as the dataset has them{example}"
        )
    _LOGGER.warning(
        "annotations: %s of %s not in the dataset: %s",
        f"{len(missing):,}",
        format_count(len(recordings), "recording"),
        in_python(named),
    )


def _report_unused(
    table: pl.DataFrame, windows: pl.DataFrame, covered: pl.DataFrame, length_s: float
) -> None:
    """Warn of annotations in known recordings that give no window a label."""
    known = table.filter(pl.col("filename").is_in(windows["filename"].unique().implode()))
    joined = known.with_row_index("row").join(covered, on=["filename", "label"], how="inner")
    offset_s = pl.col("recording_offset_in_file")
    used = joined.filter(offset_s < pl.col("end_s"), offset_s + length_s > pl.col("start_s"))[
        "row"
    ].n_unique()
    if used < len(known):
        _LOGGER.warning(
            "annotations: %s of %s label no window, because they are short or outside of all",
            f"{len(known) - used:,}",
            format_count(len(known), "row"),
        )
