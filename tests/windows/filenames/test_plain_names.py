"""Names that are taken without being read."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.filenames.parse import FilenameRules, parse_filenames
from a20_parquet.windows.filenames.patterns import PLAIN
from a20_parquet.windows.filenames.site_table import SiteTable

PLACE = "20201014T010000+1030_Arkaba-Dry-A_49500.flac"
RECORDERS = SiteTable.of(
    pl.DataFrame({"name": ["Arkaba", "a"], "site_id": [7, 8], "time_zone": [None, "Asia/Tokyo"]})
)
RULES = [
    FilenameRules(),
    FilenameRules(unknown_site="unknown"),
    FilenameRules(sites=RECORDERS),
]


@pytest.mark.slow
@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=40)
@given(names=st.lists(st.from_regex(PLAIN, fullmatch=True), min_size=1, max_size=20))
def test_plain_names_can_be_taken(rules: FilenameRules, names: list[bytes]) -> None:
    """Whatever the pattern of plain names matches is found to be good when it is read."""
    recordings = parse_filenames(pa.array(names, pa.binary()).cast(pa.string()), rules)
    assert recordings.problems == (None,) * len(names)
    assert recordings.valid.all()
    assert not recordings.site.null_count
    assert not recordings.file_timestamp.null_count


def test_real_names_are_plain(real_data: Path) -> None:
    """All names of the A2O's own list are."""
    names = (real_data / "a2o-filenames.txt").read_bytes().splitlines()
    assert len(names) == 400
    assert [name for name in names if not PLAIN.fullmatch(name)] == []


def test_every_day_of_a_century() -> None:
    """Days that exist are plain but for 29 February, which is left to those who read the name."""
    day = datetime(1960, 1, 1, tzinfo=UTC)
    while day.year < 2060:
        name = f"{day:%Y%m%d}T000000Z_A_1.flac".encode()
        assert bool(PLAIN.fullmatch(name)) is (f"{day:%m%d}" != "0229")
        day += timedelta(days=1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("20201014", "20201131"),
        ("20201014", "20210229"),
        ("20201014", "20200014"),
        ("T010000", "T240000"),
        ("T010000", "T016000"),
        ("T010000", "T010060"),
        ("+1030", "+1060"),
        ("+1030", "+2400"),
        ("+1030", ""),
        ("Arkaba-Dry-A_", ""),
        ("49500", ""),
        ("49500", "1234567890123456789"),
        (".flac", ".json"),
        (".flac", ".flac\n"),
        ("20201014T", "neg/bar_neg"),
    ],
)
def test_bad_names_are_not_plain(old: str, new: str) -> None:
    """Names that cannot be converted are parsed, to find out why."""
    assert PLAIN.fullmatch(PLACE.encode())
    name = PLACE.replace(old, new)
    assert not PLAIN.fullmatch(name.encode())
    assert not parse_filenames(pa.array([name])).valid[0]


def test_a_long_name_is_no_trap() -> None:
    """Names that would make a backtracking pattern hang are matched at once."""
    names: list[Any] = [
        start + piece * 1_000_000 for start in (b"", PLACE[:21].encode()) for piece in (b"-", b"a_")
    ]
    assert not any(map(PLAIN.fullmatch, names))
