"""Checks of a data file's rows, fed in pieces."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.verification.check_rows import RowChecker
from a20_parquet.windows.order import first_out_of_order
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import metadata_schema
from tests.helpers.metadata import make_keyed

DAY_US = 86_400 * 10**6


def rows_of(rows: list[dict[str, Any]]) -> pa.Table:
    """A table of metadata."""
    return pa.Table.from_batches([make_keyed(rows)]).select(metadata_schema().names)


def order_key(row: dict[str, Any]) -> tuple[Any, ...]:
    """What rows of one partition are sorted by, null first."""
    start = row["window_start"]
    return (start is not None, start or 0, row["filename"].encode(), row["channel"])


ROW = st.fixed_dictionaries(
    {
        "window_start": st.sampled_from([None, 0, 1]),
        "filename": st.sampled_from(["b", "a\0", "\N{KOALA}"]),
        "channel": st.integers(0, 1),
    }
)


@given(rows=st.lists(ROW, min_size=1, max_size=12), in_order=st.booleans(), step=st.integers(1, 5))
def test_the_first_row_out_of_order(
    rows: list[dict[str, Any]], step: int, *, in_order: bool
) -> None:
    """It is the first one that is smaller than the one before it, wherever pieces end."""
    if in_order:
        rows.sort(key=order_key)
    keys = [order_key(row) for row in rows]
    wrong = [row for row in range(1, len(keys)) if keys[row] < keys[row - 1]]
    table = rows_of(rows)
    assert first_out_of_order(table) == next(iter(wrong), None)
    checker = RowChecker("x", None, PartitionBy.SITE_DATE)
    told = [
        message
        for start in range(0, len(rows), step)
        for message in checker.check(table.slice(start, step))
    ]
    expected = []
    for start in range(0, len(rows), step):
        here = [row for row in wrong if start <= row < start + step]
        expected += [f"row {row} should come before row {row - 1}" for row in here[:1]]
    assert [message.partition(":")[0] for message in told] == expected
    starts = [row["window_start"] for row in rows if row["window_start"] is not None]
    bounds = (min(starts), max(starts)) if starts else (None, None)
    assert (checker.first_us, checker.last_us) == bounds


PLACES: list[tuple[dict[str, Any], str, int | None, str, list[str]]] = [
    ({"site_id": 7, "window_start_local": DAY_US}, "site_0007", 1, "site,date", []),
    ({"site_id": 7, "site_name": "A"}, "A", None, "site,date", ["belongs to site=site_0007"]),
    ({"site_name": "A b", "subsite_name": "Dry-A"}, "A_b-Dry-A_5f07e4cde2", 0, "site", []),
    ({"site_name": "True"}, "name_True", None, "site,year", []),
    ({"site_name": "B"}, "A", 0, "site", ["belongs to site=B, but the file is in site=A"]),
    ({}, "anything", None, "site,month", []),
    ({"window_start_local": -1}, "s", -1, "site,date", []),
    ({"window_start_local": -1}, "s", 1969, "site,year", []),
    ({"window_start_local": -1}, "s", 0, "site,month", ["belongs to month=1969-12, but the file"]),
    ({"window_start_local": 0}, "s", None, "site,date", ["belongs to date=1970-01-01, but"]),
    ({}, "s", 0, "site,date", ["belongs to date=__HIVE_DEFAULT_PARTITION__, but the file is in"]),
]


@pytest.mark.parametrize(("row", "site", "period", "by", "expected"), PLACES)
def test_hive_keys(
    row: dict[str, Any], site: str, period: int | None, by: str, expected: list[str]
) -> None:
    """The folder must be the one that the row's own columns tell, where they tell one."""
    told = list(RowChecker(site, period, PartitionBy(by)).check(rows_of([row])))
    assert len(told) == len(expected)
    for message, part in zip(told, expected, strict=True):
        assert part in message
