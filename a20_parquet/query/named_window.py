"""Finds the window that a user names by its recording and its offset."""

import math
from typing import Any

import numpy.typing as npt
import polars as pl
import pyarrow as pa

from a20_parquet.checks import check_unicode
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import UsageError
from a20_parquet.query.scan import read_batches
from a20_parquet.windows.filenames.parse import parse_filenames
from a20_parquet.windows.schema import EMBEDDING

_SAME_OFFSET_S = 5e-4
# Longer than any recording, and short enough that adding it to an instant cannot overflow.
_LONGEST_S = 1e9
_SECOND_US = 1_000_000
_DAY_S = 86_400
_MAX_NAMED = 5


def window_embedding(catalog: Catalog, to: str, channel: int) -> npt.NDArray[Any]:
    """Look up the embedding of the window that starts nearest to an offset.

    Args:
        catalog: of the dataset.
        to: ``FILENAME@OFFSET``, in seconds.
        channel: of the window.

    Raises:
        UsageError: ``to`` has another form, or the dataset has no such window.
        DatasetError: a file is missing or damaged.
    """
    check_unicode("--to", to)
    filename, at, offset = to.rpartition("@")
    try:
        offset_s = float(offset)
    except ValueError:
        offset_s = math.nan
    if not at or not math.isfinite(offset_s):
        raise UsageError(
            f"{to!r} does not name a window. Write FILENAME@OFFSET, such as "
            "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac@600, or name a .npy file."
        )
    is_it = (
        (pl.col("filename") == filename)
        & (pl.col("channel") == channel)
        & ((pl.col("recording_offset_in_file") - offset_s).abs() < _tolerance(offset_s))
    )
    hint = _starts_between(filename, offset_s - 1, offset_s + 1)
    for predicate in [is_it] if hint is None else [hint & is_it, is_it]:
        columns = [EMBEDDING, "recording_offset_in_file"]
        nearest: npt.NDArray[Any] | None = None
        least_s = math.inf
        for found in read_batches(catalog, columns, predicate):
            away_s = (found["recording_offset_in_file"] - offset_s).abs()
            at_row = away_s.arg_min()
            if at_row is not None and away_s[at_row] < least_s:
                nearest, least_s = found[EMBEDDING][at_row].to_numpy(), away_s[at_row]
        if nearest is not None:
            return nearest
    raise UsageError(
        f"{catalog.location} has no window {to} in channel {channel}. {_have(catalog, filename)}"
    )


def _tolerance(offset_s: float) -> float:
    """Seconds by which a typed offset may differ from the window's: shards have float32 offsets."""
    return max(_SAME_OFFSET_S, 2.0**-23 * abs(offset_s))


def _starts_between(filename: str, first_s: float, last_s: float) -> pl.Expr | None:
    """Return a filter on ``window_start``, with which files of other times stay unopened.

    Args:
        filename: of the recording.
        first_s: seconds from the recording's start to the earliest window's start.
        last_s: seconds from the recording's start to the latest window's start.

    Returns:
        None if the filename has no time.
    """
    start_us = parse_filenames(pa.array([filename])).file_timestamp.cast(pa.int64())[0].as_py()
    if start_us is None or max(abs(first_s), abs(last_s)) > _LONGEST_S:
        return None
    earliest, latest = (
        pl.lit(start_us + round(each_s * _SECOND_US), pl.Int64).cast(pl.Datetime("us", "UTC"))
        for each_s in (first_s, last_s)
    )
    return pl.col("window_start").is_between(earliest, latest)


def _have(catalog: Catalog, filename: str) -> str:
    """Return a sentence on the windows that a recording has."""
    columns = ["recording_offset_in_file", "channel"]
    offsets = pl.concat(
        [
            pl.DataFrame(schema={name: catalog.schema[name] for name in columns}),
            *read_batches(catalog, columns, pl.col("filename") == filename),
        ]
    )
    if not len(offsets):
        return f"It has no such recording.{_alike(catalog, filename)}"
    starts_s = offsets["recording_offset_in_file"].unique().sort().to_list()
    named = ", ".join(f"{start_s:.8g}" for start_s in starts_s[:_MAX_NAMED])
    channels = ", ".join(map(str, offsets["channel"].unique().sort()))
    return (
        f"That recording's windows start at {named}, … up to {starts_s[-1]:.8g} s, in channel "
        f"{channels}."
    )


def _alike(catalog: Catalog, filename: str) -> str:
    """Return a sentence with recordings that have the same filename in other folders."""
    base = filename.rpartition("/")[2]
    if not base:
        return ""
    predicate = pl.col("filename").str.ends_with(base)
    hint = _starts_between(base, -_DAY_S, 2 * _DAY_S)
    if hint is not None:
        predicate &= hint
    found: set[str] = set()
    for frame in read_batches(catalog, ["filename"], predicate):
        names = frame["filename"].unique()
        found.update(name for name in names if name.rpartition("/")[2] == base)
        if len(found) > _MAX_NAMED:
            break
    if not found:
        return ""
    more = ", …" if len(found) > _MAX_NAMED else ""
    named = " or ".join(sorted(found)[:_MAX_NAMED])
    return f" Did you mean {named}{more}? Write the whole filename."
