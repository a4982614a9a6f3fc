"""Filenames of other archives: patterns and unknown sites."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.parse import FilenameRules
from a20_parquet.windows.filenames.patterns import GROUPS
from a20_parquet.windows.filenames.site_table import SiteTable
from tests.helpers.filenames import parse, reading

AUDIOMOTH = r"(?:^|/)(?P<site_name>[A-Z]\w+)/(?P<date>\d{8})_(?P<time>\d{6})\.(?i:wav)$"
START = datetime(2020, 10, 14, 1, 0, tzinfo=UTC)


def told(name: str, **rules: Any) -> dict[str, Any]:
    """The columns read from a name, without the nulls."""
    found = reading(parse(name, **rules)).columns
    return {key: value for key, value in found.items() if value is not None}


def problem(name: str, **rules: Any) -> str:
    """Why a name can't be taken."""
    recordings = parse(name, **rules)
    assert not recordings.valid[0]
    return str(recordings.problems[0])


def test_pattern_of_another_archive() -> None:
    """AudioMoth's names have place and time, which is UTC by default."""
    recordings = parse("x/KL9/20201014_010000.WAV", pattern=AUDIOMOTH)
    assert recordings.problems == (None,)
    assert recordings.site.to_pylist() == ["KL9"]
    assert told("x/KL9/20201014_010000.WAV", pattern=AUDIOMOTH) == {
        "site_name": "KL9",
        "file_timestamp": START,
        "file_seconds_since_midnight": 3600,
    }


def test_pattern_comes_before_the_usual_forms() -> None:
    """A name that both match is read by the pattern alone, one that it misses as the A2O's."""
    names = ["site_0285/20201014T010000Z_Arkaba-Dry-A_1.flac", "20201014T010000Z_KL9_1.flac"]
    pattern = r"/(?P<date>\d{8})T(?P<time>\d{6})Z_(?P<site_name>.*)_"
    recordings = parse(*names, pattern=pattern)
    assert recordings.site_name.to_pylist() == ["Arkaba-Dry-A", "KL9"]
    assert recordings.file_seq_id.to_pylist() == [None, 1]
    assert recordings.site_id.to_pylist() == [285, None]
    assert recordings.valid.all()


def test_pattern_id_wins_over_the_folder() -> None:
    """The folder gives the id only if the pattern gives none."""
    pattern = r"S(?P<site_id>\d*)-(?P<date>\d{8})T(?P<time>\d{6})"
    names = ["site_0007/S12-20201014T010000", "site_0007/S-20201014T010000"]
    assert parse(*names, pattern=pattern).site_id.to_pylist() == [12, 7]


FRONTIER_LABS = (
    r"(?:^|/)(?P<site_name>[^/]+)/S(?P<date>\d{8})T(?P<time>\d{6}\.?\d*)(?P<offset>[+-]\d{4})_E"
)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        (
            "SiteA/S20240815T091156.982648+1000_E20240815T091251.967555+1000_-12.34+078.98.wav",
            datetime(2024, 8, 14, 23, 11, 56, 982_648, tzinfo=UTC),
        ),
        (
            "SiteA/S20210205T035946676+1000_E20210205T040446501+1000_-08.0000+000.0000.wav",
            datetime(2021, 2, 4, 17, 59, 46, 676_000, tzinfo=UTC),
        ),
    ],
)
def test_names_with_start_and_end(name: str, start: datetime) -> None:
    """The start is the start, to its fraction; without a pattern no time is taken from anywhere."""
    found = told(name, pattern=FRONTIER_LABS)
    assert found["file_timestamp"] == start
    assert found["utc_offset_minutes"] == 600
    assert "can't be read" in problem(name)
    assert "file_timestamp" not in told(name, unknown_site="Elsewhere")


@pytest.mark.parametrize(
    "name",
    [
        "SiteA/S20240815T091156.98+1000_E20240815T091251.96+1000.wav",
        "S20240815T09115698+1000_E20240816T001251Z",
    ],
)
def test_the_end_is_never_the_start(name: str) -> None:
    """A pattern that finds the end of a recording does not make it the start, said or unsaid."""
    pattern = r".*(?P<date>\d{8})T(?P<time>\d{6})"
    expected = f"has its end taken for its start by {pattern!r}, expected the start"
    assert expected in problem(name, pattern=pattern)
    assert told(name, pattern=pattern, unknown_site="Elsewhere") == {}
    careful = r"S(?P<date>\d{8})T(?P<time>\d{6})"
    assert told(name, pattern=careful, unknown_site="Elsewhere")["file_timestamp"].minute == 11


@pytest.mark.parametrize(
    ("time", "microseconds"),
    [
        ("010000", 0),
        ("010000.5", 500_000),
        ("01:00:00,25", 250_000),
        ("01-00-00.000001", 1),
        ("010000.1234569", 123_456),
        ("010000123", 123_000),
        ("01h00m00s", 0),
    ],
)
def test_fractions(time: str, microseconds: int) -> None:
    """What follows the seconds is their fraction; what is below a microsecond is cut."""
    found = told(f"A=20201014={time}", pattern=r"(?P<site_name>A)=(?P<date>\d+)=(?P<time>.*)")
    assert found["file_timestamp"] == START.replace(microsecond=microseconds)
    assert found["file_seconds_since_midnight"] == 3600


@pytest.mark.parametrize("time", ["1:00:00", "1:30:00.5", "010000_5", "01:00:00 (2)", "x"])
def test_times_that_are_none(time: str) -> None:
    """Pairs of digits are not taken apart, and not every number behind them is a fraction."""
    pattern = r"(?P<site_name>A)=(?P<date>\d+)=(?P<time>.*)"
    assert "has the time" in problem(f"A=20201014={time}", pattern=pattern)


def test_a_pattern_overrides_an_offset() -> None:
    """A pattern without the group leaves the name's offset out of account: the zone counts."""
    pattern = (
        r"(?P<date>\d{8})T(?P<time>\d{6})\+0000_(?P<site_name>[^/]+?)"
        r"(?:-(?P<subsite_name>(?:Wet|Dry)-[AB]))?_(?P<file_seq_id>\d+)\.flac$"
    )
    sites = SiteTable.of(pl.DataFrame({"name": ["Arkaba"], "time_zone": ["Australia/Adelaide"]}))
    names = [f"20201014T010000{offset}_Arkaba-Dry-A_1.flac" for offset in ("+0000", "+1000")]
    recordings = parse(*names, pattern=pattern, sites=sites)
    assert recordings.utc_offset_minutes.to_pylist() == [630, 600]
    assert recordings.site.to_pylist() == ["Arkaba-Dry-A"] * 2
    hours = [at.astimezone(UTC).hour for at in recordings.file_timestamp.to_pylist()]
    assert hours == [14, 15]


@pytest.mark.parametrize(
    "day", ["20201014", "2020-10-14", "2020.10.14", "2020_10 14", "20-20/1014"]
)
@pytest.mark.parametrize("time", ["010000", "01:00:00", "01-00-00", "01h00m00"])
@pytest.mark.parametrize(
    ("offset", "hour", "minutes"),
    [("", 1, None), ("Z", 1, None), ("+0030", 0.5, 30), ("-10:30", 11.5, -630), ("-02", 3, -120)],
)
def test_separators(day: str, time: str, offset: str, hour: float, minutes: int | None) -> None:
    """Dates, times and offsets may have anything between their digits."""
    pattern = r"^(?P<site_name>\w+)=(?P<date>.*)=(?P<time>.*)=(?P<offset>.*)$"
    found = reading(parse(f"A={day}={time}={offset}", pattern=pattern))
    start = START.replace(hour=int(hour), minute=int(hour % 1 * 60))
    assert found.taken
    assert found.columns["file_timestamp"] == start
    assert found.columns["utc_offset_minutes"] == minutes
    assert found.columns["file_seconds_since_midnight"] == 3600


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<site_id>", "missing"),
        ("(?P<site_id>a)(?=b)", "invalid perl operator"),
        (r"(?P<site_id>a)\1", "invalid escape sequence"),
        ("(?P<site_id>a)(b)", "unnamed groups"),
        ("(?P<site>a)", "names the group site[.]"),
        ("(?P<Date>a)", "names the group Date"),
        ("abc", "names no group"),
        ("", "names no group"),
        ("(?P<date>a)|(?P<date>b)", "cannot be used"),
        (r"(?P<site_name>\C)", "cuts characters"),
        ("(?P<date>\ud800)", "surrogates"),
    ],
)
def test_bad_patterns(pattern: str, message: str) -> None:
    """A pattern that is no RE2 expression or names other groups is refused at once."""
    with pytest.raises(UsageError, match=message):
        FilenameRules(pattern=pattern)


@pytest.mark.parametrize("group", GROUPS)
def test_every_documented_group_is_known(group: str) -> None:
    assert FilenameRules(pattern=f"(?P<{group}>a)").pattern
    assert FilenameRules(pattern=f"(?<{group}>a)").pattern


@pytest.mark.parametrize("name", ["", " ", "-", "_-_", "\N{SNOWMAN}", "\N{ARABIC-INDIC DIGIT ONE}"])
def test_unknown_site_needs_a_letter(name: str) -> None:
    with pytest.raises(UsageError, match="unknown site"):
        FilenameRules(unknown_site=name)


FULL = r"^(?P<site_id>.*?)\|(?P<file_seq_id>.*?)\|(?P<date>.*?)\|(?P<time>.*?)\|(?P<offset>.*?)$"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.wav", r"'a\.wav' can't be read, expected .*, or what '\^.*' matches"),
        ("x|1|20201014|010000|Z", "has the site_id 'x', expected .* up to 9 digits"),
        ("1234567890|1|20201014|010000|Z", "has the site_id '1234567890'"),
        ("1|-1|20201014|010000|Z", "has the file_seq_id '-1'"),
        ("1|1|2020-10-32|010000|Z", "has the date '2020-10-32'"),
        ("1|1|2020-10|010000|Z", "has the date '2020-10'"),
        ("1|1|20201014|0100|Z", "has the time '0100'"),
        ("1|1|20201014|240000|Z", "has the time '240000'"),
        ("1|1|20201014|010000|z", "has the offset 'z'"),
        ("1|1|20201014|010000|+2400", r"has the offset '\+2400'"),
        ("1|1|20201014|010000|+1", r"has the offset '\+1'"),
        ("1|1|20201014||Z", "tells no date and time"),
        ("1|1||010000|Z", "tells no date and time"),
        ("|1|20201014|010000|Z", "tells no site"),
    ],
)
def test_problems(name: str, message: str) -> None:
    """A problem names the filename, what was found and what was expected."""
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(problem(name, pattern=FULL))
    recordings = parse(name, pattern=FULL, unknown_site="elsewhere")
    assert recordings.valid.tolist() == [True]
    assert recordings.problems == (None,)
    assert recordings.site[0].is_valid
    for column in ("utc_offset_minutes", "file_seconds_since_midnight"):
        if getattr(recordings, column)[0].is_valid:
            assert recordings.file_timestamp[0].is_valid


@pytest.mark.parametrize(
    ("start", "part"),
    [
        ("20201314T010000Z", "date"),
        ("20201014T016000Z", "time"),
        ("20201014T010000+2500", "offset"),
    ],
)
def test_impossible_times_name_their_part(start: str, part: str) -> None:
    """Of the A2O's form too; with a place for unknown sites the recording has no time."""
    name = f"site_0285/{start}_Arkaba-Dry-A_49500.flac"
    assert f"has the {part} '" in problem(name)
    assert told(name, unknown_site="x") == {
        "site_id": 285,
        "site_name": "Arkaba",
        "subsite_name": "Dry-A",
        "file_seq_id": 49500,
    }


@pytest.mark.parametrize(
    ("name", "site", "hour"),
    [
        ("neg/bar_neg.wav", "elsewhere", None),
        ("", "elsewhere", None),
        ("site_0007/bar.wav", "site_0007", None),
        ("site_0007/20201014T010000Z.wav", "site_0007", 1),
        ("20201014T010000Z", "elsewhere", 1),
        ("a/20201014T110000+1000_x y", "elsewhere", 1),
        ("20201014T010000Zx.wav", "elsewhere", None),
        ("20201014T010000Z_/x.wav", "elsewhere", None),
        ("20201014T010000Z_KL9_1.flac", "KL9", 1),
        ("20201014T010000_KL9_1.flac", "elsewhere", None),
    ],
)
def test_unknown_site_takes_what_a_name_tells(name: str, site: str, hour: int | None) -> None:
    """A folder gives the site and a beginning the time; without the option neither is enough."""
    found = reading(parse(name, unknown_site="elsewhere"))
    assert (found.taken, found.site) == (True, site)
    expected = None if hour is None else START.replace(hour=hour)
    assert found.columns["file_timestamp"] == expected
    assert parse(name).valid.tolist() == [site == "KL9"]


def test_names_do_not_touch_each_other() -> None:
    """Each name of a batch is parsed as if it were alone."""
    names = ["x", "site_1/x", "20201014T010000Z_A_1.wav", "A/20201014_010000.wav", "20209999T1"]
    rules = {"pattern": AUDIOMOTH, "unknown_site": "u"}
    together = parse(*names, **rules)
    assert [reading(together, i) for i in range(5)] == [reading(parse(n, **rules)) for n in names]
