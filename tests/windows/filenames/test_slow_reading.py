"""Any names and patterns against a slow reading."""

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
from tests.helpers.filenames import parse, read_filename, reading

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
