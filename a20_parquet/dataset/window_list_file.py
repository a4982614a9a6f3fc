"""Reads lists of windows or of times in recordings from CSV files."""

import hashlib
import io
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from a20_parquet.dataset.options import ListedFile
from a20_parquet.errors import UsageError
from a20_parquet.formatting import first_names
from a20_parquet.storage.path import parse_path, read_whole
from a20_parquet.windows.schema import MAX_CHANNELS
from a20_parquet.windows.window_list import ListForm, WindowList, window_list

_EXPECTED: Final = (
    "expected a CSV file with a column filename and timestamp_s (of whole records), "
    "recording_offset_in_file (of windows), or start_s and end_s, in seconds"
)
_FILENAME, _CHANNEL = "filename", "channel"
_TIMES: Final = {
    ListForm.RECORDS: ("timestamp_s",),
    ListForm.WINDOWS: ("recording_offset_in_file",),
    ListForm.SPANS: ("start_s", "end_s"),
}
_MOST_NAMED: Final = 8
# Longer than any recording.
_LONGEST_S: Final = 1e9


def read_window_list(path: str | Path) -> tuple[WindowList, ListedFile]:
    """Read a list, by path or fsspec URL, in UTF-8 with or without a byte-order mark.

    Columns other than ``filename``, the times and, for single windows, ``channel`` are ignored.

    Returns:
        The list, and what a manifest keeps of it.

    Raises:
        UsageError: it cannot be read, a column is missing, or a value is not a time.
    """
    url = str(path)
    try:
        content = read_whole(parse_path(path))
    except (OSError, UsageError) as error:
        raise UsageError(f"{url}: the list cannot be read: {error}") from error
    try:
        listed = _parse(content)
    except UsageError as error:
        raise UsageError(f"{url}: {error.console_text}") from error
    name = url.rstrip("/").replace("\\", "/").rpartition("/")[2]
    checksum = hashlib.sha256(content).hexdigest()
    return listed, ListedFile(name=name, checksum=checksum, rows=len(listed))


def _parse(content: bytes) -> WindowList:
    table = _read_texts(content)
    form = _find_form(table.column_names)
    filename = table[_FILENAME].combine_chunks()
    if missing := pc.index(pc.equal(pc.binary_length(filename), 0), True).as_py() + 1:
        raise UsageError(f"row {missing} has no filename. Fill it in, or remove the row.")
    times = [_seconds(table, column) for column in _TIMES[form]]
    if form is ListForm.SPANS and (bad := np.flatnonzero(times[1] <= times[0])).size:
        row = int(bad[0])
        raise UsageError(
            f"row {row + 1} goes from {times[0][row]:g} to {times[1][row]:g} s, expected an end_s "
            "after start_s."
        )
    channel = None
    if form is ListForm.WINDOWS and _CHANNEL in table.column_names:
        channel = _channels(table)
    return window_list(form, filename, times[0], times[-1], channel)


def _read_texts(content: bytes) -> Any:
    """Parse the file, all values as texts; names of columns without spaces around them."""
    if not content.removeprefix(b"\xef\xbb\xbf").strip():
        raise UsageError(f"it is empty, {_EXPECTED}.")
    problem: str | None = None
    try:
        reader = csv.open_csv(io.BytesIO(content))
        names = reader.schema.names
        table = csv.read_csv(
            io.BytesIO(content),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError) as error:
        problem = str(error)
    if problem is not None:
        raise UsageError(f"it cannot be read: {problem}; {_EXPECTED}.")
    stripped = [name.strip() for name in table.column_names]
    used = {_FILENAME, _CHANNEL, *(name for names in _TIMES.values() for name in names)}
    if repeated := [name for name in used if stripped.count(name) > 1]:
        raise UsageError(f"it has several columns {min(repeated)}. Keep one of them.")
    return table.rename_columns(stripped)


def _find_form(names: list[str]) -> ListForm:
    found = [form for form, columns in _TIMES.items() if set(columns) <= set(names)]
    if _FILENAME not in names or not found:
        raise UsageError(f"it has the columns {first_names(names, _MOST_NAMED)}; {_EXPECTED}.")
    if len(found) > 1:
        several = " and ".join(",".join(_TIMES[form]) for form in found)
        raise UsageError(f"it has the columns {several}. Keep those that say what is meant.")
    return found[0]


def _seconds(table: Any, name: str) -> npt.NDArray[np.float64]:
    values = _numbers(table[name].combine_chunks(), name, pa.float64())
    seconds: npt.NDArray[np.float64] = values.to_numpy()
    with np.errstate(invalid="ignore"):
        bad = np.flatnonzero(~(np.abs(seconds) <= _LONGEST_S))
    if bad.size:
        raise UsageError(
            f"row {bad[0] + 1}: {name} is {seconds[bad[0]]}, expected seconds from the start of "
            "the recording."
        )
    return seconds


def _channels(table: Any) -> npt.NDArray[np.int64]:
    numbers: npt.NDArray[np.int64] = _numbers(
        table[_CHANNEL].combine_chunks(), _CHANNEL, pa.int64()
    ).to_numpy()
    bad = np.flatnonzero((numbers < 0) | (numbers >= MAX_CHANNELS))
    if bad.size:
        raise UsageError(
            f"row {bad[0] + 1}: {_CHANNEL} is {numbers[bad[0]]}, expected a channel's number."
        )
    return numbers


def _numbers(texts: Any, name: str, kind: Any) -> Any:
    trimmed = pc.utf8_trim_whitespace(texts)
    try:
        return trimmed.cast(kind)
    except pa.ArrowInvalid:
        row = next(row for row in range(len(trimmed)) if not _can_cast(trimmed[row], kind))
    what = "a number" if kind == pa.float64() else "a whole number"
    raise UsageError(f"row {row + 1}: {name} is {trimmed[row].as_py()!r}, expected {what}.")


def _can_cast(text: Any, kind: Any) -> bool:
    try:
        text.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True
