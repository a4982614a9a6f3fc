"""Filenames of other archives: patterns, unknown sites, and both against a slow reading."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.parse import FilenameRules, Recordings, parse_filenames
from a20_parquet.windows.filenames.patterns import GROUPS
from a20_parquet.windows.filenames.site_table import SiteTable
from tests.helpers.filenames import Reading, read_filename

AUDIOMOTH = r"(?:^|/)(?P<site_name>[A-Z]\w+)/(?P<date>\d{8})_(?P<time>\d{6})\.(?i:wav)$"
START = datetime(2020, 10, 14, 1, 0, tzinfo=UTC)


def parse(*names: str, **rules: Any) -> Recordings:
    return parse_filenames(pa.array(names, pa.string()), FilenameRules(**rules))


def reading(recordings: Recordings, index: int = 0) -> Reading:
    """One name's columns as Python values."""
    columns = {name: getattr(recordings, name)[index].as_py() for name in Recordings.columns()}
    if columns["file_timestamp"] is not None:
        columns["file_timestamp"] = columns["file_timestamp"].astimezone(UTC)
    return Reading(columns, recordings.site[index].as_py(), bool(recordings.valid[index]))


def told(name: str, **rules: Any) -> dict[str, Any]:
    """The columns that a name tells, without the nulls."""
    found = reading(parse(name, **rules)).columns
    return {key: value for key, value in found.items() if value is not None}


def problem(name: str, **rules: Any) -> str:
    """Why a name can't be taken."""
    recordings = parse(name, **rules)
    assert not recordings.valid[0]
    return str(recordings.problems[0])


def test_pattern_of_another_archive() -> None:
    """AudioMoth's names tell place and time, which is UTC where nothing says otherwise."""
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
    """The folder tells the id only where the pattern tells none."""
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
    """A folder tells the site and a beginning the time; without the option neither is enough."""
    found = reading(parse(name, unknown_site="elsewhere"))
    assert (found.taken, found.site) == (True, site)
    expected = None if hour is None else START.replace(hour=hour)
    assert found.columns["file_timestamp"] == expected
    assert parse(name).valid.tolist() == [site == "KL9"]


def test_names_do_not_touch_each_other() -> None:
    """Each name of a batch tells what it tells alone, whatever stands beside it."""
    names = ["x", "site_1/x", "20201014T010000Z_A_1.wav", "A/20201014_010000.wav", "20209999T1"]
    rules = {"pattern": AUDIOMOTH, "unknown_site": "u"}
    together = parse(*names, **rules)
    assert [reading(together, i) for i in range(5)] == [reading(parse(n, **rules)) for n in names]


PIECES = [
    *["site_0285/", "site_7/", "20201014", "2020-10-14", "20211003", "T", "010000", "02:30:00"],
    *["+1030", "-0330", "Z", "+10:00", "_", "-", "/", "Arkaba", "Bon-Bon", "-Dry-A", "-Wet-B"],
    *["_49500", "_0000_5857", ".flac", ".WAV", "2020", "99", "00", "x", " ", "\n", "\0"],
    "\N{LATIN SMALL LETTER E WITH ACUTE}",
]
NAMES = st.one_of(
    st.text(max_size=30),
    st.lists(st.sampled_from(PIECES), max_size=7).map("".join),
    st.builds(
        "{}{}T{}{}_{}_{}.flac".format,
        st.sampled_from(["", "site_0285/", "a/site_7/b/"]),
        st.sampled_from(["20201014", "20211003", "20210404", "20201314"]),
        st.sampled_from(["010000", "023000", "163000", "240000"]),
        st.sampled_from(["Z", "+1000", "-0030", "+2400"]),
        st.sampled_from(["Arkaba-Dry-A", "ARKABA", "Bon-Bon-Station-Wet-B", "KL9", "-Wet-A"]),
        st.integers(0, 10**6),
    ),
)
GROUP_FORMS = {
    "site_id": [r"\d+", r"\w*", r"\d{1,4}"],
    "site_name": [r"[A-Za-z-]+", ".*", ".+?"],
    "subsite_name": ["(?:Wet|Dry)-[AB]", ".*?"],
    "file_seq_id": [r"\d+", r"[0-9_]*"],
    "date": [r"\d{8}", r"\d{4}-?\d\d-?\d\d", "[0-9. -]*"],
    "time": [r"\d{6}", r"\d\d:?\d\d:?\d\d", ".{0,8}", r"\d+[.,]?\d*"],
    "offset": ["Z|[+-][0-9]{4}", r"[+-]\d\d:?(?:\d\d)?", ".*?"],
}
GLUE = ["", "", "_", "T", "[-_ /]", ".*?", "(?:^|/)", r"[^/]*"]


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """Patterns that RE2 and Python's ``re`` understand alike."""
    groups = draw(st.lists(st.sampled_from(sorted(GROUPS)), min_size=1, max_size=4, unique=True))
    pattern = draw(st.sampled_from(["", "^", "/"]))
    for group in groups:
        text = f"(?P<{group}>{draw(st.sampled_from(GROUP_FORMS[group]))})"
        pattern += draw(st.sampled_from([text, text, f"(?:{text})?"]))
        pattern += draw(st.sampled_from(GLUE))
    return pattern


RECORDERS = [
    {"name": "arkaba-dry-a", "site_id": 285, "time_zone": "Australia/Adelaide"},
    {"name": "Arkaba", "site_id": 300, "time_zone": None},
    {"name": "Bon-&-Bon-Station-Wet-B", "site_id": None, "time_zone": "Australia/Lord_Howe"},
    {"name": "seven", "site_id": 7, "time_zone": "Australia/Sydney"},
    {"name": "sieben", "site_id": 7, "time_zone": "Australia/Sydney"},
]
CLOCKS = [
    {"name": "arkaba", "site_id": 285, "time_zone": "Australia/Adelaide", "clock": "local"},
    {"name": "KL9", "site_id": None, "time_zone": None, "clock": "UTC"},
    {"name": "seven", "site_id": 7, "time_zone": "Australia/Sydney", "clock": "UTC"},
    {"name": "sieben", "site_id": 7, "time_zone": "Australia/Sydney", "clock": "UTC"},
]


@pytest.mark.slow
@settings(max_examples=300)
@given(
    st.lists(NAMES, max_size=4),
    st.none() | patterns(),
    st.sampled_from([[], RECORDERS, CLOCKS]),
    st.sampled_from([None, "4E2", "Elsewhere"]),
)
def test_against_the_slow_reading(
    names: list[str],
    pattern: str | None,
    recorders: list[dict[str, Any]],
    unknown: str | None,
) -> None:
    """Whatever names, pattern and recorders: every column is what the slow reading finds."""
    sites = SiteTable.of(pl.DataFrame(recorders)) if recorders else None
    recordings = parse(*names, pattern=pattern, sites=sites, unknown_site=unknown)
    for index, name in enumerate(names):
        assert reading(recordings, index) == read_filename(name, pattern, recorders, unknown), name
        assert (recordings.problems[index] is None) == recordings.valid[index]
        if not recordings.valid[index]:
            assert repr(name) in str(recordings.problems[index])


VALUES = {
    "site_id": ["", "285", "7", "0012", "x", "1234567890"],
    "site_name": ["", "Arkaba", "ARKABA", "Bon-Bon-Station", "Seven", "4E2"],
    "subsite_name": ["", "Dry-A", "wet-b"],
    "file_seq_id": ["", "49500", "0", "1" * 19],
    "date": ["20201014", "2021-10-03", "2021 04 04", "20210229", ""],
    "time": ["010000", "02:30:00", "16:30:00.5", "235959123", "1:0:0", "23:59:60", ""],
    "offset": ["", "Z", "+1030", "-03:30", "+10", "+2400", "z"],
}
PARTS = st.tuples(
    *(st.just(good[1]) | st.sampled_from(good) | st.sampled_from(good) for good in VALUES.values())
)


@pytest.mark.slow
@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.sampled_from(["", "site_0285/"]), PARTS), min_size=1, max_size=4),
    st.sampled_from([[], RECORDERS, CLOCKS]),
    st.sampled_from([None, "Elsewhere"]),
)
def test_parts_against_the_slow_reading(
    names: list[tuple[str, tuple[str, ...]]], recorders: list[dict[str, Any]], unknown: str | None
) -> None:
    """Likewise where a pattern finds every part, and most of them are good."""
    pattern = "(?:^|/)" + "=".join(f"(?P<{group}>[^=/]*)" for group in VALUES) + "$"
    sites = SiteTable.of(pl.DataFrame(recorders)) if recorders else None
    texts = [folder + "=".join(values) for folder, values in names]
    recordings = parse(*texts, pattern=pattern, sites=sites, unknown_site=unknown)
    for index, name in enumerate(texts):
        assert reading(recordings, index) == read_filename(name, pattern, recorders, unknown), name


@settings(max_examples=200)
@given(st.text(st.sampled_from(r"(?P<date>\dwC|[a-]*+.{1,9})^$:/i_ " + "\0\n"), max_size=30))
def test_any_pattern(pattern: str) -> None:
    """Any text is either refused as a pattern or reads any name."""
    try:
        rules = FilenameRules(pattern=pattern)
    except UsageError:
        return
    recordings = parse_filenames(pa.array([pattern, "20201014T010000Z_A_1.wav", ""]), rules)
    for column in ("site", *Recordings.columns()):
        assert len(getattr(recordings, column).to_pylist()) == 3


@pytest.mark.parametrize("pattern", [r"(?P<site_name>(?:\w*|-)*)_", "(?P<date>(?:a*)*b)"])
def test_patterns_never_hang(pattern: str) -> None:
    """Nested repeats, which hang a backtracking engine, take time in proportion to the name."""
    names = ["a" * 200_000, "a-" * 100_000 + "!", "-" * 200_000]
    assert len(parse(*names, pattern=pattern).valid) == 3
