"""Finds the windows that a user names by their recordings and offsets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from a20_parquet.checks import check_unicode
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import Rows
from a20_parquet.errors import UsageError
from a20_parquet.query.matching_files import with_site_ids
from a20_parquet.query.name_hints import hint_of_names
from a20_parquet.query.prune import may_match
from a20_parquet.query.read_rows import NUMBER, find_rows
from a20_parquet.query.scan import read_batches
from a20_parquet.query.window_list import offset_tolerance
from a20_parquet.windows.filenames.parse import parse_filenames

# Longer than any recording, and short enough that adding it to an instant cannot overflow.
_LONGEST_S = 1e9
_SECOND_US = 1_000_000
_DAY_S = 86_400
_MAX_NAMED = 5
_COLUMNS = ("filename", "recording_offset_in_file", "channel")


@dataclass(frozen=True, slots=True)
class WindowName:
    """A window as a user names it."""

    filename: str
    offset_s: float
    """Seconds from the recording's start."""
    channel: int

    def __str__(self) -> str:
        return f"{self.filename}@{self.offset_s:.15g}"

    @classmethod
    def parse(cls, text: str, channel: int) -> Self:
        """Parse ``FILENAME@OFFSET``, split at the last ``@``.

        Raises:
            UsageError: the text has another form.
        """
        check_unicode("--to", text)
        filename, at, offset = text.rpartition("@")
        try:
            offset_s = float(offset)
        except ValueError:
            offset_s = math.nan
        if not at or not math.isfinite(offset_s):
            raise UsageError(
                f"{text!r} does not name a window. Write FILENAME@OFFSET, such as "
                "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac@600, or name a .npy file."
            )
        return cls(filename, offset_s, channel)


def find_windows(catalog: Catalog, names: Sequence[WindowName]) -> Rows:
    """Find the windows that start nearest to the named offsets.

    Returns:
        Their numbers in the dataset, shape ``(len(names),)``.

    Raises:
        UsageError: the dataset has no such window.
        DatasetError: a file is missing or damaged.
    """
    numbers = np.full(len(names), -1, np.int64)
    # A recording may have many files: where names and offsets tell times, few are read at first.
    for choose in (_files_of_times, _files_of_names):
        missing = np.flatnonzero(numbers < 0)
        if not len(missing):
            break
        wanted = [names[int(at)] for at in missing]
        found = find_rows(catalog, choose(catalog, wanted), _COLUMNS, _is_of(wanted))
        numbers[missing] = _nearest(found, wanted)
    if (numbers < 0).any():
        name = names[int(np.argmin(numbers))]
        raise UsageError(
            f"{catalog.location} has no window {name} in channel {name.channel}. "
            f"{_have(catalog, name.filename)}"
        )
    return numbers


def find_recordings(catalog: Catalog, names: Sequence[WindowName]) -> tuple[Rows, Rows]:
    """Find all windows of the recordings of named windows, in all channels.

    Args:
        catalog: of the dataset.
        names: of windows.

    Returns:
        Numbers of windows, and for each the position in ``names`` of a window of its recording.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    wanted = pl.DataFrame(
        {"filename": [name.filename for name in names], "query": np.arange(len(names))}
    )
    found = find_rows(catalog, _files_of_names(catalog, names), ["filename"], _is_of(names))
    pairs = found.join(wanted, on="filename", how="inner")
    return pairs[NUMBER].to_numpy(), pairs["query"].to_numpy()


def _is_of(names: Sequence[WindowName]) -> pl.Expr:
    """Return a filter on windows of the recordings."""
    return pl.col("filename").is_in(sorted({name.filename for name in names}))


def _files_of_names(catalog: Catalog, names: Sequence[WindowName]) -> list[int]:
    """Return the files that may have windows of the recordings."""
    is_of = _is_of(names)
    files = with_site_ids(catalog.files).with_row_index(NUMBER)
    files = files.filter(may_match(is_of, catalog.partition_by.keys))
    hint = hint_of_names(catalog, is_of)
    chosen = files if hint is None else files.filter(hint)
    return chosen[NUMBER].to_list()


def _nearest(found: pl.DataFrame, names: Sequence[WindowName]) -> Rows:
    """Return the number of the window nearest to each name, -1 if there is none."""
    numbers = np.full(len(names), -1, np.int64)
    wanted = pl.DataFrame(
        {
            "filename": [name.filename for name in names],
            "channel": pl.Series([name.channel for name in names], dtype=pl.Int64),
            "offset_s": [name.offset_s for name in names],
            "most_s": [offset_tolerance(name.offset_s) for name in names],
            "at": np.arange(len(names)),
        }
    )
    away_s = (pl.col("recording_offset_in_file") - pl.col("offset_s")).abs()
    near = (
        found.with_columns(pl.col("channel").cast(pl.Int64))
        .join(wanted, on=["filename", "channel"], how="inner")
        .with_columns(away_s=away_s)
        .filter(pl.col("away_s") < pl.col("most_s"))
        .sort("at", "away_s", NUMBER)
        .unique("at", keep="first", maintain_order=True)
    )
    numbers[near["at"].to_numpy()] = near[NUMBER].to_numpy()
    return numbers


def _files_of_times(catalog: Catalog, names: Sequence[WindowName]) -> list[int]:
    """Return the files in which the named windows lie if their filenames tell the right times.

    A name without a time adds all files.
    """
    starts_us = _recording_starts(names)
    offsets_us = np.array([name.offset_s for name in names]) * _SECOND_US
    first, last = (
        catalog.files[f"{which}_window_start"].to_physical().to_numpy(allow_copy=True)
        for which in ("first", "last")
    )
    chosen = np.zeros(catalog.files.height, np.bool_)
    for start_us, offset_us in zip(starts_us, offsets_us, strict=True):
        if math.isnan(start_us) or abs(offset_us) > _LONGEST_S * _SECOND_US:
            chosen[:] = True
            break
        at_us = start_us + offset_us
        chosen |= (first <= at_us + _SECOND_US) & (last >= at_us - _SECOND_US)
    return [int(file) for file in np.flatnonzero(chosen)]


def _recording_starts(names: Sequence[WindowName]) -> npt.NDArray[np.float64]:
    """Return the start of each recording in microseconds since 1970, NaN if that is unknown."""
    parsed = parse_filenames(pa.array([name.filename for name in names], pa.string()))
    return np.asarray(
        parsed.file_timestamp.cast(pa.int64())
        .cast(pa.float64(), safe=False)
        .to_numpy(zero_copy_only=False)
    )


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
