"""The sites table: what it refuses, how recorders are found in it, and time zones."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.parse import FilenameRules, Recordings, parse_filenames
from a20_parquet.windows.filenames.site_table import SCHEMA, SiteTable, merged
from a20_parquet.windows.filenames.time_zones import is_time_zone, offsets_at

ZONES = [
    *["Australia/Sydney", "Australia/Adelaide", "Australia/Lord_Howe", "Australia/Darwin"],
    *["Pacific/Apia", "America/St_Johns", "Europe/London", "UTC"],
]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def table(*rows: tuple[Any, ...]) -> SiteTable:
    """A table of rows that may leave out their last columns."""
    full = [(*row, *[None] * (len(SCHEMA) - len(row))) for row in rows]
    return SiteTable(pl.DataFrame(full, schema=SCHEMA, orient="row"))


def parse(sites: SiteTable, *names: str, **rules: Any) -> Recordings:
    return parse_filenames(pa.array(names, pa.string()), FilenameRules(sites=sites, **rules))


def ids(sites: SiteTable, *recorders: str) -> list[int | None]:
    """The ids that names of recorders get, without a folder."""
    names = [f"20201014T010000Z_{recorder}_1.flac" for recorder in recorders]
    found: list[int | None] = parse(sites, *names).site_id.to_pylist()
    return found


def test_every_real_filename_gets_its_id(real_data: Path) -> None:
    """All names of the A2O's list have the id that its own map has for their recorder."""
    known = json.loads((real_data / "a2o-sites.json").read_text())
    sites = SiteTable.of(
        pl.DataFrame(list(known.items()), schema=["name", "site_id"], orient="row")
    )
    names = (real_data / "a2o-filenames.txt").read_text().split()
    expected = [int(known[name.split("_")[1].lower()]) for name in names]
    recordings = parse(sites, *names)
    assert recordings.site_id.to_pylist() == expected
    assert recordings.site.to_pylist() == [f"site_{number:04d}" for number in expected]
    ampersands = {name: int(number) for name, number in known.items() if "&" in name}
    assert len(ampersands) == 8
    written = [name.title().replace("-&-", "-") for name in ampersands]
    assert ids(sites, *written) == list(ampersands.values())


def test_the_full_name_comes_first() -> None:
    """A recorder is found by its full name, else by its place; a place has no subsite's id."""
    sites = table(("ARKABA", 1), ("Arkaba-Dry-A", 2), ("Kl9-Wet-A", 3), ("Ü-&-ß-Dry-B", 4))
    recorders = ["Arkaba-Dry-A", "arkaba-Dry-B", "Arkaba", "Kl9", "Kl9-Wet-A", "ü-ß-Dry-B", "x"]
    assert ids(sites, *recorders) == [2, 1, 1, None, 3, 4, None]


def test_a_folder_wins() -> None:
    """The table fills in ids where the folder is missing, and changes none."""
    names = ["site_0007/20201014T010000Z_Arkaba_1.flac", "20201014T010000Z_Arkaba_1.flac"]
    assert parse(table(("Arkaba", 285)), *names).site_id.to_pylist() == [7, 285]


def test_a_name_without_id_in_the_table() -> None:
    """A row without an id for the full name leaves that to the place's row."""
    sites = table(("Arkaba-Dry-A", None, "Australia/Adelaide"), ("Arkaba", 9))
    recordings = parse(sites, "20201014T010000Z_Arkaba-Dry-A_1.flac")
    assert recordings.site_id.to_pylist() == [9]
    assert recordings.utc_offset_minutes.to_pylist() == [630]


def test_a_zone_by_id_needs_agreement() -> None:
    """Recorders that are not in the table have their site's zone, where its rows agree."""
    sites = table(
        ("a", 1, "Australia/Perth"),
        ("b", 1, "Australia/Perth"),
        ("c", 1),
        ("d", 2, "Australia/Perth"),
        ("e", 2, "Australia/Sydney"),
        ("f", 3),
    )
    names = [f"site_{number}/20201014T010000Z_x_1.flac" for number in (1, 2, 3, 4)]
    assert parse(sites, *names).utc_offset_minutes.to_pylist() == [480, None, None, None]


def test_zones_change_what_z_leaves_open() -> None:
    """``Z`` gets local time and offset, the instant stays; an offset in the name wins."""
    sites = table(("A", 1, "Australia/Adelaide"))
    names = [f"20201003T163000{zone}_A_1.flac" for zone in ("Z", "+1000", "+0000")]
    for rules in ({}, {"unknown_site": "x"}):
        found = parse(sites, *names, **rules)
        assert found.utc_offset_minutes.to_pylist() == [630, 600, 0]
        assert found.file_seconds_since_midnight.to_pylist() == [3 * 3600, 59_400, 59_400]
        instants = [moment.astimezone(UTC).hour for moment in found.file_timestamp.to_pylist()]
        assert instants == [16, 6, 16]


ADELAIDE = "Australia/Adelaide"


@pytest.mark.parametrize(
    ("clock", "utc_hours", "local_hours", "minutes"),
    [
        # 16:30 on 3 October: half an hour before clocks are put forward.
        (None, [16, 6, 16], [3, 16, 16], [630, 600, 0]),
        ("UTC", [16, 16, 16], [3, 3, 3], [630, 630, 630]),
        ("local", [7, 7, 7], [16, 16, 16], [570, 570, 570]),
    ],
)
def test_a_clock_overrides_offsets_in_names(
    clock: str | None, utc_hours: list[int], local_hours: list[int], minutes: list[int]
) -> None:
    """Where the table says what a clock showed, ``Z`` and offsets in names do not count."""
    by_name = table(("A", None, ADELAIDE, None, None, clock))
    by_id = table(
        ("B", 7, ADELAIDE, None, None, clock), ("C", 7, None, None, None, clock and "UTC")
    )
    names = [f"20201003T163000{zone}_A_1.flac" for zone in ("Z", "+1000", "+0000")]
    found = parse(by_name, *names)
    assert [at.astimezone(UTC).hour for at in found.file_timestamp.to_pylist()] == utc_hours
    assert [s // 3600 for s in found.file_seconds_since_midnight.to_pylist()] == local_hours
    assert found.utc_offset_minutes.to_pylist() == minutes
    assert not found.taken_for_utc.any()
    numbered = parse(by_id, *(f"site_0007/{name}" for name in names))
    agreed = clock == "UTC"
    assert numbered.utc_offset_minutes.to_pylist() == (minutes if agreed else [630, 600, 0])


def test_a_clock_of_utc_needs_no_zone() -> None:
    """The instant is known then, and is no guess; the local time is not."""
    pattern = r"(?P<site_name>\w+)/(?P<date>\d{8})_(?P<time>\d{6})"
    sites = table(("A", None, None, None, None, "UTC"), ("B", None, ADELAIDE))
    names = [f"{recorder}/20201003_163000" for recorder in "ABC"]
    found = parse(sites, *names, pattern=pattern)
    assert found.taken_for_utc.tolist() == [False, False, True]
    assert found.utc_offset_minutes.to_pylist() == [None, 570, None]
    hours = [at.astimezone(UTC).hour for at in found.file_timestamp.to_pylist()]
    assert hours == [16, 7, 16]


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
    found = parse(table(("a", 1, "Australia/Sydney")), f"A_{written}", pattern=pattern)
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
        table(("a", 1, "UTC"), ("b", 1, name))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", 1), ("b", -1)], r"row 2 .*\('b'\) has site_id -1, expected .* from 0 to"),
        ([("a", 1_000_000_000)], "has site_id 1000000000"),
        ([("a", 1, None, 90.1)], "has latitude 90.1, expected degrees from -90 to 90"),
        ([("a", 1, None, float("nan"))], "has latitude nan"),
        ([("a", 1, None, -90, -180.5)], "has longitude -180.5, expected degrees from -180"),
        ([("a", 1), (None, 2)], "row 2 .* has name None, expected a recorder's name"),
        ([(" ", 1)], "has name ' '"),
        (
            [("a", 1, *[None] * 3, "GMT")],
            "has clock 'GMT', expected UTC, or local with a time_zone",
        ),
        ([("a", 1, *[None] * 3, "local")], "has clock 'local', expected UTC, or local with a t"),
        ([("\u00e5", 1), ("a\u030a", 1)], "one recorder twice"),
        ([("a", 1), ("A", 1)], "one recorder twice: 'a' and 'A'"),
        ([("x-&-y", 1), ("z", 2), ("X-Y", 3)], "one recorder twice: 'x-&-y' and 'X-Y'"),
    ],
)
def test_bad_rows(rows: list[tuple[Any, ...]], message: str) -> None:
    """A bad value is refused, with its row and what was expected."""
    with pytest.raises(UsageError, match=message):
        table(*rows)


def test_bounds_are_good() -> None:
    edges = table(("a", 0, None, -90, -180), ("b", 999_999_999, "UTC", 90, 180), ("c",))
    assert ids(edges, "a", "b", "c") == [0, 999_999_999, None]
    assert len(parse(table(), "20201014T010000Z_A_1.flac").valid) == 1


@pytest.mark.parametrize(
    ("column", "made"),
    [
        ([" 285 ", "", None], [285, None, None]),
        (["285.0", "0007", "1e2"], [285, 7, 100]),
        ([285.0, None, 7.0], [285, None, 7]),
        ([5, 6, 7], [5, 6, 7]),
    ],
)
def test_ids_of_other_types(column: list[Any], made: list[int | None]) -> None:
    """Ids may be text or floats, as spreadsheets and pandas leave them."""
    frame = pl.DataFrame({"site_id": column, "other": [1, 2, 3], "name": ["a", "b", "c"]})
    sites = SiteTable.of(frame)
    assert sites.frame.schema == SCHEMA
    assert sites.frame["site_id"].to_list() == made


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"site": ["a"]}, "has the columns site, expected name"),
        ({}, "has the columns none, expected name"),
        ({"name": ["a", "b"], "site_id": ["1", "x"]}, r"row 2 .*\('b'\) has site_id 'x'"),
        ({"name": ["a"], "site_id": [1.5]}, "has site_id 1.5, expected a whole number"),
        ({"name": ["a"], "site_id": [2**40]}, "has site_id 1099511627776"),
        ({"name": ["a"], "site_id": [float("nan")]}, "has site_id nan"),
        ({"name": ["a"], "site_id": [True]}, "site_id holds Boolean"),
        ({"name": [["a"]]}, "name holds List"),
        ({"name": ["a"], "latitude": ["south"]}, "has latitude 'south'"),
    ],
)
def test_columns_that_are_no_table(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SiteTable.of(pl.DataFrame(columns))


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("clok", "clock"),
        ("Clock", "clock"),
        ("timezone", "time_zone"),
        ("Time Zone", "time_zone"),
        ("time-zone", "time_zone"),
        ("tz", "time_zone"),
        ("lat", "latitude"),
        ("siteid", "site_id"),
    ],
)
def test_a_column_that_is_misspelt(column: str, meant: str) -> None:
    """It is refused, not ignored: times may depend on it."""
    with pytest.raises(UsageError, match=rf"a column '{column}', did you mean {meant}\?"):
        SiteTable.of(pl.DataFrame({"name": ["a"], column: ["x"]}))
    # Where there is one that is called so, the other one is something else.
    value = {"time_zone": "Asia/Tokyo", "clock": "UTC"}.get(meant, "1")
    assert SiteTable.of(pl.DataFrame({"name": ["a"], column: ["x"], meant: [value]})).ignored == (
        column,
    )
    with pytest.raises(UsageError, match="did you mean name"):
        SiteTable.of(pl.DataFrame({"names": ["a"]}))


def test_other_columns_are_named() -> None:
    """They are kept as names, and make no other table of it."""
    plain = {"name": ["a"], "site_id": [1]}
    found = SiteTable.of(pl.DataFrame({**plain, "habitat": ["x"], "altitude": [3]}))
    assert found.ignored == ("altitude", "habitat")
    assert found == SiteTable.of(pl.DataFrame(plain))


def test_fingerprint_is_of_the_rows() -> None:
    """The order of rows does not count, every value does."""
    rows = [("a", 1, "UTC", 1.0, 2.0), ("b", None, None, None, None)]
    first = table(*rows)
    assert first == table(*reversed(rows))
    assert first.fingerprint == table(*reversed(rows)).fingerprint
    assert hash(first) == hash(table(*rows))
    others: list[tuple[Any, ...]] = [
        ("A", 1, "UTC", 1, 2),
        ("a", 2, "UTC", 1, 2),
        ("a", 1, None, 1, 2),
    ]
    others += [("a", 1, "UTC", 1.5, 2), ("a", 1, "UTC", 1, None)]
    fingerprints = {table(row, rows[1]).fingerprint for row in others} | {first.fingerprint}
    assert len(fingerprints) == 6
    assert FilenameRules(sites=first) == FilenameRules(sites=table(*rows))


def test_merged() -> None:
    """An append's table adds recorders; those of the dataset stay, however they are spelled."""
    old = table(("a-&-b", 1, "UTC"), ("c", 2))
    assert merged(old, table(("d", 3), ("A-B", 1, "UTC"))) == table(
        ("a-&-b", 1, "UTC"), ("c", 2), ("d", 3)
    )
    assert merged(old, table()) == merged(table(), old) == merged(old, old) == old


@pytest.mark.parametrize("row", [("C", 3), ("C", 2, "UTC"), ("C",), ("C", 2, None, 0.0)])
def test_merged_with_another_row(row: tuple[Any, ...]) -> None:
    """A recorder whose values differ is refused, with both."""
    with pytest.raises(UsageError, match=r"of 'c', but the dataset's says .*'site_id': 2"):
        merged(table(("c", 2)), table(("e", 1), row))
