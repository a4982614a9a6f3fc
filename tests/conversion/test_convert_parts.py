"""Conversions of other archives' names, with a sites table, and of a part of the windows."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from tests.helpers.conversions import A2O_NAMES, digests, use_tiny_memory
from tests.helpers.shards import make_record, random_tensor, write_shard

UTC_NAME = "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac"


def shard_of(folder: Path, *names: str) -> Path:
    """A record of two windows for each name."""
    records = [make_record(random_tensor((2, 1, 8), n), name) for n, name in enumerate(names)]
    return write_shard(folder / "a-00000-of-00001", records)


def test_a_sites_table(tmp_path: Path) -> None:
    """It fills in ids and the local time of ``Z`` names, and is kept in the dataset."""
    table = tmp_path / "sites.csv"
    table.write_text(
        "name,site_id,time_zone\n"
        "Toorale-National-Park-Dry-A,77,Australia/Sydney\n"
        "Arkaba-Dry-A,5,Australia/Perth\n"
    )
    shard = shard_of(tmp_path, UTC_NAME, A2O_NAMES[0])
    a20_parquet.convert(shard, tmp_path / "out", sites=table)
    frame = a20_parquet.scan(tmp_path / "out").collect().sort("filename")
    first, other = frame.row(0, named=True), frame.row(2, named=True)
    assert (first["site"], first["site_id"], first["utc_offset_minutes"]) == ("site_0077", 77, 600)
    assert first["window_start"] == datetime(2019, 6, 30, 1, 39, 25, tzinfo=UTC)
    assert first["window_start_local"] == datetime(2019, 6, 30, 11, 39, 25)  # noqa: DTZ001
    assert first["file_seconds_since_midnight"] == 11 * 3600 + 39 * 60 + 25
    # What the name says itself wins.
    assert (other["site"], other["site_id"]) == ("site_0285", 285)
    assert other["utc_offset_minutes"] == 630
    kept = pl.read_parquet(tmp_path / "out" / "sites.parquet")
    assert sorted(kept["site_id"].to_list()) == [5, 77]
    # A later conversion need not be given it again.
    later = shard_of(tmp_path / "b", UTC_NAME.replace("20190630", "20190701"))
    assert a20_parquet.convert(later, tmp_path / "out").new_windows == 2
    assert set(a20_parquet.scan(tmp_path / "out").collect()["site"]) == {"site_0077", "site_0285"}


def test_a_filename_pattern(tmp_path: Path) -> None:
    """Names of another form tell what the groups say; the A2O's are read as ever."""
    names = ["ARU7_20201014_010203.wav", A2O_NAMES[0], "nothing.wav"]
    pattern = r"(?P<site_name>ARU\d+)_(?P<date>\d{8})_(?P<time>\d{6})"
    conversion = a20_parquet.convert(
        shard_of(tmp_path, *names), tmp_path / "out", filename_pattern=pattern
    )
    assert conversion.quarantine == {"bad_filename": 1}
    frame = a20_parquet.scan(tmp_path / "out").collect()
    row = frame.filter(pl.col("site_name") == "ARU7").row(0, named=True)
    assert row["window_start"] == datetime(2020, 10, 14, 1, 2, 3, tzinfo=UTC)
    assert (row["site"], row["utc_offset_minutes"]) == ("ARU7", None)
    assert set(frame["site"]) == {"ARU7", "site_0285"}


def test_a_pattern_with_an_unknown_group(tmp_path: Path) -> None:
    """It is refused before anything is written."""
    with pytest.raises(UsageError, match="place"):
        a20_parquet.convert(
            shard_of(tmp_path, UTC_NAME), tmp_path / "out", filename_pattern="(?P<place>x)"
        )
    assert not (tmp_path / "out").exists()


def in_dates(first: date | None, last: date | None) -> pl.Expr:
    """Windows of these local days."""
    day = pl.col("window_start_local").dt.date()
    return (day >= (first or date.min)) & (day <= (last or date.max))


PARTS: list[tuple[dict[str, Any], pl.Expr]] = [
    ({"site": ["site_0285"]}, pl.col("site") == "site_0285"),
    ({"site": ["285", "Site-3"]}, pl.col("site").is_in(["site_0285", "Site-3"])),
    ({"from_date": "2020-10-15"}, in_dates(date(2020, 10, 15), None)),
    ({"until_date": "2020-10-14"}, in_dates(None, date(2020, 10, 14))),
    (
        {"from_date": "2020-10-15", "until_date": "2021-03-01", "site": ["site_0285"]},
        (pl.col("site") == "site_0285") & in_dates(date(2020, 10, 15), date(2021, 3, 1)),
    ),
    ({"site": ["site_0285"], "channels": [1, 2]}, pl.col("channel").is_in([1, 2])),
]


@pytest.mark.slow
@pytest.mark.parametrize(("options", "wanted"), PARTS, ids=lambda value: str(value)[:60])
def test_a_part(
    shuffled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    wanted: pl.Expr,
) -> None:
    """It holds what polars filters from the whole; what was left out is counted."""
    whole = a20_parquet.convert(shuffled, tmp_path / "whole")
    everything = a20_parquet.scan(tmp_path / "whole").collect()
    if "channels" in options:
        wanted = wanted & (pl.col("site") == "site_0285")
    part = a20_parquet.convert(shuffled, tmp_path / "part", **options)
    expected = everything.filter(wanted)
    found = a20_parquet.scan(tmp_path / "part").collect()
    assert found.equals(expected)
    assert part.new_windows == len(expected)
    assert part.left_out == whole.new_windows - len(expected)
    use_tiny_memory(monkeypatch)
    a20_parquet.convert(shuffled, tmp_path / "tiny", **options)
    assert digests(tmp_path / "tiny") == digests(tmp_path / "part")


def test_undated_recordings_are_in_no_dates(tmp_path: Path) -> None:
    """Where dates are asked for they are left out, and counted."""
    shard = shard_of(tmp_path, UTC_NAME, "no-date.wav")
    conversion = a20_parquet.convert(
        shard, tmp_path / "out", unknown_site="x", until_date="2030-01-01"
    )
    assert (conversion.new_windows, conversion.left_out, conversion.quarantine) == (2, 2, {})
