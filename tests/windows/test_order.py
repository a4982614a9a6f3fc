"""The order of windows, against Python's ``sorted``."""

from collections import Counter
from itertools import groupby
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.order import SORT_KEYS, find_partitions, sort_order
from tests.helpers.metadata import make_keyed

Row = dict[str, Any]


def key(row: Row) -> tuple[Any, ...]:
    """The design's order for Python: null before all values, text by its UTF-8 bytes."""
    values = [row[name] for name in SORT_KEYS]
    return tuple(
        (value is not None, value.encode() if isinstance(value, str) else value or 0)
        for value in values
    )


TEXT = st.sampled_from(
    [
        "",
        "\0",
        "a",
        "a\0",
        "a\0b",
        "a\x01",
        "aa",
        "A",
        "b",
        "~",
        "a" * 31,
        "a" * 32,
        "a" * 33,
        "\x7f",
        "\N{LATIN SMALL LETTER E WITH ACUTE}",
        "\uffff",
        "\N{KOALA}",
        "\N{KOALA}\0",
    ]
) | st.text(max_size=4)
US = st.none() | st.sampled_from([-(2**53), -1, 0, 1, 10**15]) | st.integers(-(10**17), 10**17)

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "site": TEXT,
            "period": st.none() | st.integers(-2, 2) | st.integers(-(2**31), 2**31 - 1),
            "window_start": US,
            "filename": TEXT,
            "recording_offset_in_file": st.sampled_from([-1.0, -0.0, 0.0, 5.0, 1e300])
            | st.floats(allow_nan=False),
            "channel": st.integers(-1, 3) | st.integers(-(2**15), 2**15 - 1),
            "shard": st.integers(0, 3),
            "record": st.integers(0, 3) | st.integers(0, 2**40),
        }
    ),
    max_size=12,
)


@settings(max_examples=50)
@given(ROWS)
def test_any_rows(rows: list[Row]) -> None:
    """Any rows come in the order of Python's stable ``sorted``."""
    expected = sorted(range(len(rows)), key=lambda index: key(rows[index]))
    assert sort_order(make_keyed(rows)).tolist() == expected


FEW = st.lists(
    st.fixed_dictionaries(
        {
            "site": st.sampled_from(["a", "a\0", "b"]),
            "period": st.sampled_from([None, 0, 1]),
            "window_start": st.sampled_from([None, 0]),
            "filename": st.sampled_from(["x", "y"]),
            "recording_offset_in_file": st.sampled_from([-0.0, 0.0]),
            "channel": st.sampled_from([0, 1]),
            "shard": st.sampled_from([0, 1]),
            "record": st.sampled_from([0, 1]),
        }
    ),
    max_size=40,
)


@settings(max_examples=50)
@given(FEW)
def test_many_ties(rows: list[Row]) -> None:
    """Rows that are equal in all keys keep their order, and each key decides only among equals."""
    expected = sorted(range(len(rows)), key=lambda index: key(rows[index]))
    assert sort_order(make_keyed(rows)).tolist() == expected


def test_ties_keep_shard_then_record_order() -> None:
    """Windows that are otherwise equal keep the order of the shards."""
    places = [(2, 0), (0, 7), (1, 3), (0, 2), (1, 0), (0, 10)]
    order = sort_order(make_keyed([{"shard": s, "record": r} for s, r in places]))
    assert [places[index] for index in order] == sorted(places)


def test_equal_rows_keep_their_order() -> None:
    """Rows with equal shard and record, too, keep their order, however many."""
    assert sort_order(make_keyed([{}] * 5000)).tolist() == list(range(5000))


@pytest.mark.parametrize(
    "names",
    [
        ["", "\0", "\0\0", "a", "a\0", "a\0a", "aa"],
        ["Z", "a", "z", "\N{LATIN SMALL LETTER E WITH ACUTE}"],
        # UTF-16 would put the last one first.
        ["\ue000", "\uffff", "\U00010000"],
        ["a" * size for size in range(70)],
    ],
)
def test_names(names: list[str]) -> None:
    """Names are ordered by their UTF-8 bytes, NUL included and the shorter one first."""
    for column in ["filename", "site"]:
        order = sort_order(make_keyed([{column: name} for name in reversed(names)]))
        assert order.tolist() == list(reversed(range(len(names))))


def test_keys() -> None:
    """The keys are the design's."""
    keys = "site period window_start filename recording_offset_in_file channel shard record"
    assert keys.split() == list(SORT_KEYS)


@settings(max_examples=50)
@given(FEW | ROWS)
def test_find_partitions(rows: list[Row]) -> None:
    """The partitions of sorted rows are those of ``groupby``, with as many rows."""
    rows = sorted(rows, key=key)
    found = find_partitions(make_keyed(rows))
    groups = [
        (pair, len(list(group)))
        for pair, group in groupby(rows, lambda row: (row["site"], row["period"]))
    ]
    assert list(zip(found.site.to_pylist(), found.period.to_pylist(), strict=True)) == [
        pair for pair, _ in groups
    ]
    assert found.rows.tolist() == [count for _, count in groups]
    assert len(found) == len(Counter((row["site"], row["period"]) for row in rows))
    starts = [sum(count for _, count in groups[:index]) for index in range(len(groups))]
    assert found.starts.tolist() == starts


def test_partitions_of_a_slice() -> None:
    """A slice of a batch has the partitions of its own rows."""
    rows = [{"site": site, "period": period} for site in "ab" for period in (None, 1) * 2]
    rows = sorted(rows, key=lambda row: (row["site"], row["period"] is not None))
    found = find_partitions(make_keyed(rows).slice(1, 4))
    assert found.site.to_pylist() == ["a", "a", "b"]
    assert found.period.to_pylist() == [None, 1, None]
    assert found.rows.tolist() == [1, 2, 1]


TEXTS = st.sampled_from([None, "", "a", "a\0", "ab", "\u00e9", "\uffff", "\U0001f428"])
LARGEST = 2**63 - 1


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "site": TEXTS,
                "period": st.sampled_from([None, -(2**31), -1, 0, 2**31 - 1]),
                "window_start": st.sampled_from([None, -LARGEST - 1, -LARGEST, -1, 0, LARGEST]),
                "filename": TEXTS.filter(lambda text: text is not None),
                "recording_offset_in_file": st.sampled_from([-1e300, -5.0, -0.0, 0.0, 5e-324]),
                "channel": st.sampled_from([0, 1]),
                "shard": st.sampled_from([-1, 0]),
                "record": st.sampled_from([0, 1]),
            }
        ),
        max_size=40,
    ),
    st.integers(0, 40),
)
def test_order_is_that_of_polars(rows: list[Row], cut: int) -> None:
    """Extreme values, nulls and all kinds of ties sort as by another implementation."""
    keyed = make_keyed(rows)
    table = pa.Table.from_batches([keyed.slice(0, cut), keyed.slice(cut)])
    frame = pl.DataFrame(pl.from_arrow(keyed.select(list(SORT_KEYS))))
    expected = frame.select(
        pl.arg_sort_by(list(SORT_KEYS), nulls_last=False, maintain_order=True)
    ).to_series()
    assert sort_order(keyed).tolist() == expected.to_list()
    assert sort_order(table).tolist() == expected.to_list()
