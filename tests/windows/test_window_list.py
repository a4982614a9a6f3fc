"""Which windows a list names, against a loop over all pairs."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.window_list import (
    ListForm,
    WindowMatcher,
    WindowTimes,
    count_marked,
    marked_rows,
    merge_marked,
    window_list,
)

WINDOW_S = 5.0
NAMES = st.sampled_from(["a.wav", "b.wav", "c/é.wav", ""])
SECONDS = st.integers(-4, 26).map(lambda n: n * 2.5)
CHANNELS = st.integers(0, 2)
ROWS = st.lists(st.tuples(NAMES, SECONDS, SECONDS, CHANNELS), max_size=12)
WINDOWS = st.lists(st.tuples(NAMES, SECONDS, st.integers(0, 3), CHANNELS), max_size=20)


def column(rows: list[Any], index: int, kind: Any) -> Any:
    return np.array([row[index] for row in rows], kind)


def is_named(form: ListForm, row: Any, window: Any, *, channels: bool, records: bool) -> bool:
    """Whether a row names a window, as the documentation says it."""
    name, start_s, end_s, channel = row
    its_name, offset_s, in_record, its_channel = window
    if name != its_name or (channels and channel != its_channel):
        return False
    if form is ListForm.SPANS:
        return bool(offset_s < end_s and offset_s + WINDOW_S > start_s)
    if form is ListForm.WINDOWS:
        return bool(offset_s == start_s)
    if records:
        return bool(offset_s - WINDOW_S * in_record == start_s)
    return bool(start_s <= offset_s < start_s + 60)


@pytest.mark.parametrize("form", ListForm)
@pytest.mark.parametrize("channels", [False, True])
@pytest.mark.parametrize("records", [False, True])
@settings(max_examples=20)
@given(rows=ROWS, windows=WINDOWS)
def test_names_what_each_pair_says(
    form: ListForm, rows: list[Any], windows: list[Any], *, channels: bool, records: bool
) -> None:
    """Windows that a row names, and rows that name one, are those of all pairs."""
    if form is ListForm.SPANS:
        rows = [(n, min(s, e), max(s, e) + 1, c) for n, s, e, c in rows]
    listed = window_list(
        form,
        pa.array([row[0] for row in rows], pa.string()),
        column(rows, 1, np.float64),
        column(rows, 2, np.float64) if form is ListForm.SPANS else None,
        column(rows, 3, np.int64) if channels else None,
    )
    offset_s = column(windows, 1, np.float64)
    times = WindowTimes(
        pa.array([window[0] for window in windows], pa.string()),
        column(windows, 3, np.int64),
        offset_s,
        offset_s - WINDOW_S * column(windows, 2, np.int64) if records else None,
    )
    matcher = WindowMatcher(listed, WINDOW_S, knows_records=records)
    pairs = np.array(
        [
            [is_named(form, row, window, channels=channels, records=records) for window in windows]
            for row in rows
        ],
        np.bool_,
    ).reshape(len(rows), len(windows))
    assert matcher.match(times).tolist() == pairs.any(axis=0).tolist()
    assert matcher.used(times).tolist() == pairs.any(axis=1).tolist()


def test_written_times_are_those_of_float32() -> None:
    """A shard has float32 seconds: the time that was written is the nearest one."""
    at_s = 86_399.98
    listed = window_list(ListForm.WINDOWS, pa.array(["a"]), np.array([at_s]))
    times = WindowTimes(pa.array(["a"]), np.zeros(1, np.int64), np.array([float(np.float32(at_s))]))
    assert WindowMatcher(listed, 5.0, knows_records=False).match(times).all()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_marks_merge(rows: list[tuple[bool, bool]]) -> None:
    """Marks of the same rows are merged as sets."""
    one, other = (np.array(each, np.bool_) for each in zip(*rows, strict=True))
    merged = merge_marked(marked_rows(one), marked_rows(other))
    assert merged == marked_rows(one | other)
    assert count_marked(merged) == np.count_nonzero(one | other)
