"""Time zones, against ``zoneinfo``."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.time_zones import is_time_zone, offsets_at
from tests.helpers.filenames import parse, site_table

ZONES = [
    *["Australia/Sydney", "Australia/Adelaide", "Australia/Lord_Howe", "Australia/Darwin"],
    *["Pacific/Apia", "America/St_Johns", "Europe/London", "UTC"],
]


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def by_zoneinfo(seconds: int, zone: str, *, local: bool) -> int:
    """Minutes from UTC as the standard library has them."""
    moment = EPOCH + timedelta(seconds=seconds)
    if local:
        found = moment.replace(tzinfo=ZoneInfo(zone), fold=0)
    else:
        found = moment.astimezone(ZoneInfo(zone))
    return (found.utcoffset() or timedelta()) // timedelta(minutes=1)


def changes(zone: str) -> list[int]:
    """Hours from 2005 to 2030 at which the offset changes, in seconds since 1970."""
    hours = range(1_104_537_600, 1_893_456_000, 3600)
    offsets = [by_zoneinfo(hour, zone, local=False) for hour in hours[:: 24 * 7]]
    weeks = [i for i in range(1, len(offsets)) if offsets[i] != offsets[i - 1]]
    found = []
    for week in weeks:
        span = hours[(week - 1) * 168 : week * 168 + 1]
        found += [
            hour
            for hour in span[1:]
            if by_zoneinfo(hour, zone, local=False) != by_zoneinfo(hour - 3600, zone, local=False)
        ]
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_offsets_around_changes(zone: str) -> None:
    """Every quarter of an hour for a day and a half around changes, instants and local times."""
    near = changes(zone)[::5]
    assert bool(near) == (zone not in {"UTC", "Australia/Darwin"})
    quarters = [at + 900 * step for at in [0, *near] for step in range(-144, 145)]
    for local in (False, True):
        found = offsets_at(
            np.array(quarters),
            pa.array([zone] * len(quarters)),
            is_local=np.full(len(quarters), local),
        )
        assert found.tolist() == [by_zoneinfo(at, zone, local=local) for at in quarters]


@given(
    st.lists(
        st.tuples(st.integers(-(2**31), 2**31 - 1), st.sampled_from(ZONES), st.booleans()),
        max_size=8,
    )
)
def test_offsets_of_mixed_zones(asked: list[tuple[int, str, bool]]) -> None:
    """Times of different zones and kinds, in any order, each get the standard library's offset."""
    found = offsets_at(
        np.array([seconds for seconds, _, _ in asked], np.int64),
        pa.array([zone for _, zone, _ in asked], pa.string()),
        is_local=np.array([local for _, _, local in asked], np.bool_),
    )
    assert found.tolist() == [by_zoneinfo(at, zone, local=local) for at, zone, local in asked]


@pytest.mark.parametrize(
    ("written", "utc", "minutes"),
    [
        ("20211003_015959", "2021-10-02T15:59:59", 600),
        ("20211003_023000", "2021-10-02T16:30:00", 600),
        ("20211003_030000", "2021-10-02T16:00:00", 660),
        ("20210404_023000", "2021-04-03T15:30:00", 660),
        ("20210404_030000", "2021-04-03T17:00:00", 600),
    ],
)
def test_local_times_around_changes(written: str, utc: str, minutes: int) -> None:
    """A time that Sydney skipped counts as standard time, one it had twice as the earlier."""
    pattern = r"(?P<site_name>A)_(?P<date>\d{8})_(?P<time>\d{6})"
    found = parse(f"A_{written}", pattern=pattern, sites=site_table(("a", 1, "Australia/Sydney")))
    [moment] = found.file_timestamp.to_pylist()
    assert moment == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert found.utc_offset_minutes.to_pylist() == [minutes]
    clock = datetime.strptime(written, "%Y%m%d_%H%M%S")  # noqa: DTZ007
    seconds = clock.hour * 3600 + clock.minute * 60 + clock.second
    assert found.file_seconds_since_midnight.to_pylist() == [seconds]


@pytest.mark.parametrize(
    "name", ["", " ", "+10:00", "10", "Mars/Olympus", "australia/sydney", "Australia/Sydney "]
)
def test_what_is_no_time_zone(name: str) -> None:
    assert not is_time_zone(name)
    with pytest.raises(UsageError, match=r"row 2 .*'b'.* has time_zone"):
        site_table(("a", 1, "UTC"), ("b", 1, name))
