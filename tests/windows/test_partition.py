"""Hive folders, as polars, DuckDB and pyarrow read them."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.windows.filenames.parse import FilenameRules, parse_filenames
from a20_parquet.windows.filenames.site_token import chosen_token, name_tokens
from a20_parquet.windows.partition import (
    HIVE_NULL,
    PartitionBy,
    hive_folder,
    period_value,
    periods,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DATED = [PartitionBy.SITE_DATE, PartitionBy.SITE_MONTH, PartitionBy.SITE_YEAR]
WORDS = """
    true false TRUE True t F yes no Y n on off null NULL Null none None NA nan NaN inf
    Inf INF infinity Infinity inf- nan- epoch Epoch EPOCH now today tomorrow yesterday
    noon midnight allballs current_date Jan January Mon May-2020 utc Z bc AD 4E2 4e-2
    0x10 0b1 0o7 1_000 1 -1 +1 1.5 .5 -0 00 1e5 e5 E e f1 d1 x10 u8 1d 2020-01-01 2020-10
    2020 20201014 2020-01-01T00:00:00Z 12:30 P1D 1 2 .. . a/b a=b a%20b a%2Fb ~ # ? * [a]
    {a} $HOME - _ -- __ -inf -infinity +inf
"""
NASTY = [
    *WORDS.split(),
    HIVE_NULL,
    "",
    " ",
    " null",
    "true ",
    "a\nb",
    "\n",
    "a\0b",
    "a\\b",
    '"',
    "'",
    "\N{KOALA}",
    "\N{GREEK SMALL LETTER OMEGA}",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE}",
    "\N{ARABIC-INDIC DIGIT ONE}",
]


def read_polars(folder: Path) -> Any:
    """The dataset as polars takes it, types inferred."""
    return pl.scan_parquet(folder).collect().to_arrow()


def read_duckdb(folder: Path) -> Any:
    """The dataset as DuckDB takes it, types inferred."""
    files = f"{folder}/**/*.parquet"
    query = "select * from read_parquet($files, hive_partitioning = true)"
    with duckdb.connect() as connection:
        cursor = connection.execute(query, {"files": files})
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return pa.Table.from_pylist(rows)


def read_pyarrow(folder: Path) -> Any:
    """The dataset as pyarrow takes it, types inferred."""
    return ds.dataset(folder, format="parquet", partitioning="hive").to_table()


READERS: list[Callable[[Path], Any]] = [read_polars, read_duckdb, read_pyarrow]


def write_hive(root: Path, folders: list[str]) -> Path:
    """A dataset with one row in each folder."""
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        pq.write_table(pa.table({"number": [number]}), root / folder / "part-0000.parquet")
    return root


def values(table: Any, column: str) -> list[Any]:
    """A column in the order in which the rows were written."""
    found: list[Any] = table.sort_by("number")[column].to_pylist()
    return found


def tokens(*names: str | None) -> list[str | None]:
    found: list[str | None] = name_tokens(pa.array(names, pa.string())).to_pylist()
    return found


def sites(*filenames: str) -> list[str | None]:
    found: list[str | None] = parse_filenames(pa.array(filenames)).site.to_pylist()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NASTY, *map(str.title, WORDS.split()), "x" * 300])
def test_readers_take_tokens_for_strings(name: str, tmp_path: Path) -> None:
    """Every reader gives the token of a nasty name back as the string that it is."""
    [token] = tokens(name)
    write_hive(tmp_path, [hive_folder(str(token), 0, PartitionBy.SITE)])
    assert [values(read(tmp_path), "site") for read in READERS] == [[token]] * 3


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NASTY if re.search("[A-Za-z0-9]", name)])
def test_readers_take_unknown_sites_for_strings(name: str, tmp_path: Path) -> None:
    """Whatever name recordings of unknown sites are given, every reader reads a string."""
    rules = FilenameRules(unknown_site=name)
    recordings = parse_filenames(pa.array(["x.wav", "site_0007/x.wav"]), rules)
    token, numbered = recordings.site.to_pylist()
    assert numbered == "site_0007"
    assert token == chosen_token(name)
    write_hive(tmp_path, [hive_folder(token, None, PartitionBy.SITE_DATE)])
    assert [values(read(tmp_path), "site") for read in READERS[:2]] == [[token]] * 2


@pytest.mark.parametrize("read", READERS)
def test_readers_take_numbered_sites_for_strings(
    read: Callable[[Path], Any], tmp_path: Path
) -> None:
    """Numbered sites are strings, alone and beside names."""
    names = ["site_0285", "site_12345", "Arkaba-Dry-A", "name_true"]
    for folders in [names[:1], names]:
        root = tmp_path / str(len(folders))
        write_hive(root, [hive_folder(name, 0, PartitionBy.SITE) for name in folders])
        assert values(read(root), "site") == folders


def test_readers_guess_at_words_without_a_prefix(tmp_path: Path) -> None:
    """Without the prefix a name is taken for a number by some reader: it is there for a reason."""
    write_hive(tmp_path, ["site=4E2"])
    assert any(not isinstance(values(read(tmp_path), "site")[0], str) for read in READERS)


@pytest.mark.parametrize(
    ("by", "period", "expected"),
    [
        (PartitionBy.SITE_DATE, 18_549, [date(2020, 10, 14)] * 2 + ["2020-10-14"]),
        (PartitionBy.SITE_MONTH, 609, ["2020-10"] * 3),
        (PartitionBy.SITE_YEAR, 2020, [2020] * 3),
    ],
)
def test_readers_infer_the_period(
    by: PartitionBy, period: int, expected: list[Any], tmp_path: Path
) -> None:
    """Dates are dates but for pyarrow, months are strings and years are integers."""
    write_hive(tmp_path, [hive_folder("site_0285", period, by)])
    assert by.period is not None
    assert [values(read(tmp_path), by.period)[0] for read in READERS] == expected


@pytest.mark.parametrize("by", DATED)
def test_readers_take_hive_null_for_null(by: PartitionBy, tmp_path: Path) -> None:
    """A period that is unknown is null to every reader, and those beside it keep their type."""
    known = {"date": 18_549, "month": 609, "year": 2020}[str(by.period)]
    write_hive(tmp_path, [hive_folder("a", None, by), hive_folder("a", known, by)])
    for read in READERS:
        first, second = values(read(tmp_path), str(by.period))
        assert first is None
        assert str(second) == period_value(known, by)


def test_recording_sites() -> None:
    """The id wins over the name, and a name keeps its subsite."""
    start = "20201014T010000+1030_"
    assert sites(
        f"site_0285/{start}Arkaba-Dry-A_1.flac",
        f"site_7/{start}Arkaba_1.flac",
        f"site_12345/{start}Arkaba_1.flac",
        f"{start}Arkaba-Dry-A_1.flac",
        f"{start}Arkaba_1.flac",
        f"{start}4E2_1.flac",
        f"{start}4E2-Wet-B_1.flac",
        f"{start}a b-Wet-B_1.flac",
        "bad.flac",
        "site_0007/bad.flac",
    ) == [
        "site_0285",
        "site_0007",
        "site_12345",
        "Arkaba-Dry-A",
        "Arkaba",
        "name_4E2",
        "name_4E2-Wet-B",
        "a_b-Wet-B_55a63dd23e",
        None,
        "site_0007",
    ]


def expected_period(instant: datetime, by: PartitionBy) -> tuple[int, str]:
    """The period that ``datetime`` finds, and its Hive value."""
    if by is PartitionBy.SITE_DATE:
        return (instant.date() - EPOCH.date()).days, instant.date().isoformat()
    if by is PartitionBy.SITE_MONTH:
        return (instant.year - 1970) * 12 + instant.month - 1, instant.date().isoformat()[:7]
    return instant.year, instant.date().isoformat()[:4]


@pytest.mark.parametrize("by", DATED)
@settings(max_examples=60)
@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_periods(by: PartitionBy, instant: datetime) -> None:
    """Periods and their values are the calendar's, before 1970 too."""
    instant = instant.replace(microsecond=0)
    period, value = expected_period(instant, by)
    seconds = (instant - EPOCH) // timedelta(seconds=1)
    found = periods(np.array([seconds]), by)
    assert found.dtype == np.int32
    assert found.tolist() == [period]
    assert period_value(period, by) == value
    assert hive_folder("s", period, by) == f"site=s/{by.period}={value}"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, ("1969-12-31", "1969-12", "1969")),
        (0, ("1970-01-01", "1970-01", "1970")),
        (86_399, ("1970-01-01", "1970-01", "1970")),
        (86_400, ("1970-01-02", "1970-01", "1970")),
        (-86_400, ("1969-12-31", "1969-12", "1969")),
        (-86_401, ("1969-12-30", "1969-12", "1969")),
    ],
)
def test_period_bounds(seconds: int, expected: tuple[str, str, str]) -> None:
    """A day begins at midnight, on both sides of 1970."""
    assert (
        tuple(period_value(int(periods(np.array([seconds]), by)[0]), by) for by in DATED)
        == expected
    )


def test_no_period() -> None:
    """Without a second key there is one period and no folder for it."""
    assert periods(np.array([-1, 10**9]), PartitionBy.SITE).tolist() == [0, 0]
    assert hive_folder("site_0285", 0, PartitionBy.SITE) == "site=site_0285"
    assert hive_folder("site_0285", None, PartitionBy.SITE) == "site=site_0285"


@pytest.mark.parametrize("by", DATED)
def test_null_period(by: PartitionBy) -> None:
    """An unknown period has the value that means null."""
    assert hive_folder("a", None, by) == f"site=a/{by.period}=__HIVE_DEFAULT_PARTITION__"


def test_keys() -> None:
    """The keys are what the option's words say."""
    assert [(str(by), by.keys, by.period) for by in PartitionBy] == [
        ("site,date", ("site", "date"), "date"),
        ("site,month", ("site", "month"), "month"),
        ("site,year", ("site", "year"), "year"),
        ("site", ("site",), None),
    ]
