"""The sites table: what it refuses, and how recorders are found in it."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.filenames.site_table import SCHEMA, SiteTable, merged
from tests.helpers.filenames import parse, site_table


def ids(sites: SiteTable, *recorders: str) -> list[int | None]:
    """The ids that names of recorders get, without a folder."""
    names = [f"20201014T010000Z_{recorder}_1.flac" for recorder in recorders]
    found: list[int | None] = parse(*names, sites=sites).site_id.to_pylist()
    return found


def test_every_real_filename_gets_its_id(real_data: Path) -> None:
    """All names of the A2O's list have the id that its own map has for their recorder."""
    known = json.loads((real_data / "a2o-sites.json").read_text())
    sites = SiteTable.of(
        pl.DataFrame(list(known.items()), schema=["name", "site_id"], orient="row")
    )
    names = (real_data / "a2o-filenames.txt").read_text().split()
    expected = [int(known[name.split("_")[1].lower()]) for name in names]
    recordings = parse(*names, sites=sites)
    assert recordings.site_id.to_pylist() == expected
    assert recordings.site.to_pylist() == [f"site_{number:04d}" for number in expected]
    ampersands = {name: int(number) for name, number in known.items() if "&" in name}
    assert len(ampersands) == 8
    written = [name.title().replace("-&-", "-") for name in ampersands]
    assert ids(sites, *written) == list(ampersands.values())


def test_the_full_name_comes_first() -> None:
    """A recorder is found by its full name, else by its place; a place has no subsite's id."""
    sites = site_table(("ARKABA", 1), ("Arkaba-Dry-A", 2), ("Kl9-Wet-A", 3), ("Ü-&-ß-Dry-B", 4))
    recorders = ["Arkaba-Dry-A", "arkaba-Dry-B", "Arkaba", "Kl9", "Kl9-Wet-A", "ü-ß-Dry-B", "x"]
    assert ids(sites, *recorders) == [2, 1, 1, None, 3, 4, None]


def test_a_folder_wins() -> None:
    """The table fills in ids where the folder is missing, and changes none."""
    names = ["site_0007/20201014T010000Z_Arkaba_1.flac", "20201014T010000Z_Arkaba_1.flac"]
    assert parse(*names, sites=site_table(("Arkaba", 285))).site_id.to_pylist() == [7, 285]


def test_a_name_without_id_in_the_table() -> None:
    """A row without an id for the full name leaves that to the place's row."""
    sites = site_table(("Arkaba-Dry-A", None, "Australia/Adelaide"), ("Arkaba", 9))
    recordings = parse("20201014T010000Z_Arkaba-Dry-A_1.flac", sites=sites)
    assert recordings.site_id.to_pylist() == [9]
    assert recordings.utc_offset_minutes.to_pylist() == [630]


def test_a_zone_by_id_needs_agreement() -> None:
    """Recorders that are not in the table have their site's zone, where its rows agree."""
    sites = site_table(
        ("a", 1, "Australia/Perth"),
        ("b", 1, "Australia/Perth"),
        ("c", 1),
        ("d", 2, "Australia/Perth"),
        ("e", 2, "Australia/Sydney"),
        ("f", 3),
    )
    names = [f"site_{number}/20201014T010000Z_x_1.flac" for number in (1, 2, 3, 4)]
    assert parse(*names, sites=sites).utc_offset_minutes.to_pylist() == [480, None, None, None]


def test_zones_change_what_z_leaves_open() -> None:
    """``Z`` gets local time and offset, the instant stays; an offset in the name wins."""
    sites = site_table(("A", 1, "Australia/Adelaide"))
    names = [f"20201003T163000{zone}_A_1.flac" for zone in ("Z", "+1000", "+0000")]
    for rules in ({}, {"unknown_site": "x"}):
        found = parse(*names, sites=sites, **rules)
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
    by_name = site_table(("A", None, ADELAIDE, None, None, clock))
    by_id = site_table(
        ("B", 7, ADELAIDE, None, None, clock), ("C", 7, None, None, None, clock and "UTC")
    )
    names = [f"20201003T163000{zone}_A_1.flac" for zone in ("Z", "+1000", "+0000")]
    found = parse(*names, sites=by_name)
    assert [at.astimezone(UTC).hour for at in found.file_timestamp.to_pylist()] == utc_hours
    assert [s // 3600 for s in found.file_seconds_since_midnight.to_pylist()] == local_hours
    assert found.utc_offset_minutes.to_pylist() == minutes
    assert not found.taken_for_utc.any()
    numbered = parse(*(f"site_0007/{name}" for name in names), sites=by_id)
    agreed = clock == "UTC"
    assert numbered.utc_offset_minutes.to_pylist() == (minutes if agreed else [630, 600, 0])


def test_a_clock_of_utc_needs_no_zone() -> None:
    """The instant is known then, and is no guess; the local time is not."""
    pattern = r"(?P<site_name>\w+)/(?P<date>\d{8})_(?P<time>\d{6})"
    sites = site_table(("A", None, None, None, None, "UTC"), ("B", None, ADELAIDE))
    names = [f"{recorder}/20201003_163000" for recorder in "ABC"]
    found = parse(*names, sites=sites, pattern=pattern)
    assert found.taken_for_utc.tolist() == [False, False, True]
    assert found.utc_offset_minutes.to_pylist() == [None, 570, None]
    hours = [at.astimezone(UTC).hour for at in found.file_timestamp.to_pylist()]
    assert hours == [16, 7, 16]


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
        site_table(*rows)


def test_bounds_are_good() -> None:
    edges = site_table(("a", 0, None, -90, -180), ("b", 999_999_999, "UTC", 90, 180), ("c",))
    assert ids(edges, "a", "b", "c") == [0, 999_999_999, None]
    assert len(parse("20201014T010000Z_A_1.flac", sites=site_table()).valid) == 1


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
    first = site_table(*rows)
    assert first == site_table(*reversed(rows))
    assert first.fingerprint == site_table(*reversed(rows)).fingerprint
    assert hash(first) == hash(site_table(*rows))
    others: list[tuple[Any, ...]] = [
        ("A", 1, "UTC", 1, 2),
        ("a", 2, "UTC", 1, 2),
        ("a", 1, None, 1, 2),
    ]
    others += [("a", 1, "UTC", 1.5, 2), ("a", 1, "UTC", 1, None)]
    fingerprints = {site_table(row, rows[1]).fingerprint for row in others} | {first.fingerprint}
    assert len(fingerprints) == 6
    assert FilenameRules(sites=first) == FilenameRules(sites=site_table(*rows))


def test_merged() -> None:
    """An append's table adds recorders; those of the dataset stay, however they are spelled."""
    old = site_table(("a-&-b", 1, "UTC"), ("c", 2))
    assert merged(old, site_table(("d", 3), ("A-B", 1, "UTC"))) == site_table(
        ("a-&-b", 1, "UTC"), ("c", 2), ("d", 3)
    )
    assert merged(old, site_table()) == merged(site_table(), old) == merged(old, old) == old


@pytest.mark.parametrize("row", [("C", 3), ("C", 2, "UTC"), ("C",), ("C", 2, None, 0.0)])
def test_merged_with_another_row(row: tuple[Any, ...]) -> None:
    """A recorder whose values differ is refused, with both."""
    with pytest.raises(UsageError, match=r"of 'c', but the dataset's says .*'site_id': 2"):
        merged(site_table(("c", 2)), site_table(("e", 1), row))
