"""Which recordings and windows a selection takes, against plain comparisons."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.parse import FilenameRules, parse_filenames
from a20_parquet.windows.selection import Selection

DAY = date(2020, 10, 14)
NAMES = [
    "site_0285/20201014T233000+1030_Arkaba-Dry-A_1.flac",
    "20201014T233000Z_Kl9_1.flac",
    "site_0285/x.wav",
    "site_0286/20201014T233000+1030_Arkaba-Dry-A_1.flac",
    "x.wav",
]


def takes(selection: Selection, site: list[str | None], start: list[datetime | None]) -> list[bool]:
    """Which windows, given as Python values."""
    found: list[bool] = selection.takes(
        pa.array(site, pa.string()), pa.array(start, pa.timestamp("us"))
    ).tolist()
    return found


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), [True, True, True, True, True]),
        (Selection.of(285), [True, False, True, False, False]),
        (Selection.of(["0285", "Kl9", "none"]), [True, True, True, False, False]),
        (Selection.of("unknown"), [False, False, False, False, True]),
        (Selection(first=DAY), [True, True, False, True, False]),
        (Selection(last=date(1999, 1, 1)), [True, True, False, True, False]),
        (Selection.of([285, 286], DAY, DAY), [True, False, False, True, False]),
    ],
)
def test_recordings(selection: Selection, expected: list[bool]) -> None:
    """Sites decide for whole recordings; dates only for those that have none."""
    recordings = parse_filenames(pa.array(NAMES), FilenameRules(unknown_site="unknown"))
    assert selection.may_take(recordings).tolist() == expected


def test_recordings_that_can_not_be_taken() -> None:
    """A name that cannot be read is of the site in its folder's name, or of none."""
    recordings = parse_filenames(pa.array(NAMES))
    assert Selection.of(285).may_take(recordings).tolist() == [True, False, True, False, False]
    assert Selection().may_take(recordings).all()


LOCAL = st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001
SITES = st.sampled_from(["site_0285", "Kl9", "a", None])
DATES = st.none() | st.dates()


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.lists(st.tuples(SITES, LOCAL), max_size=6),
    st.lists(st.sampled_from(["site_0285", "a"]), max_size=2),
    DATES,
    DATES,
)
def test_windows(
    windows: list[tuple[str | None, datetime | None]],
    sites: list[str],
    first: date | None,
    last: date | None,
) -> None:
    """A window is taken where its site is one of those wanted and its day is in between."""
    if first is not None and last is not None and last < first:
        first, last = last, first
    expected = [
        (not sites or site in sites)
        and (first is None or (start is not None and start.date() >= first))
        and (last is None or (start is not None and start.date() <= last))
        for site, start in windows
    ]
    selection = Selection(tuple(sites), first, last)
    assert takes(selection, [w[0] for w in windows], [w[1] for w in windows]) == expected


def test_days_are_whole() -> None:
    """Both dates belong to the selection, from midnight to the last microsecond."""
    midnight = datetime(2020, 10, 14)  # noqa: DTZ001
    steps = [timedelta(microseconds=-1), timedelta(), timedelta(days=1, microseconds=-1)]
    starts: list[datetime | None] = [midnight + step for step in (*steps, timedelta(days=1))]
    assert takes(Selection.of((), DAY, DAY), ["a"] * 4, starts) == [False, True, True, False]
    before = datetime(1969, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001
    assert takes(Selection.of((), None, "1969-12-31"), ["a"], [before]) == [True]
    assert takes(Selection.of((), "1970-01-01"), ["a"], [before]) == [False]


def test_no_rows() -> None:
    found = Selection.of(285, DAY).takes(
        pa.array([], pa.string()), pa.array([], pa.timestamp("us"))
    )
    assert found.dtype == np.bool_
    assert not len(found)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (285, ("site_0285",)),
        ("7", ("site_0007",)),
        ("12345", ("site_12345",)),
        ("site_0285", ("site_0285",)),
        (["Arkaba-Dry-A", 0], ("Arkaba-Dry-A", "site_0000")),
        ([], ()),
    ],
)
def test_sites(written: str | int | list[str | int], read: tuple[str, ...]) -> None:
    """Numbers are padded as the key has them, other words stay."""
    assert Selection.of(written).sites == read


def test_dates() -> None:
    """Dates may be text, and both limits may be one day."""
    assert Selection.of((), "2020-10-14", DAY) == Selection((), DAY, DAY)
    assert Selection.of((), datetime(2020, 10, 14, 23, tzinfo=UTC)) == Selection((), DAY)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("2020-13-01", None, "'2020-13-01' is not a date, expected YYYY-MM-DD"),
        (None, "yesterday", "'yesterday' is not a date"),
        ("2020-10-15", "2020-10-14", "from 2020-10-15 until 2020-10-14"),
    ],
)
def test_bad_dates(first: str | None, last: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Selection.of((), first, last)
