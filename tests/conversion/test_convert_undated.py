"""Recordings without a date or a site, read back by everyone, by all Hive keys."""

from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

import a20_parquet
from tests.helpers.conversions import as_bits, assert_same_windows, digests, use_tiny_memory
from tests.helpers.shards import make_record, random_tensor, write_shard

NAMES = [
    "site_0285/20201014T235950+1030_Arkaba-Dry-A_49500.flac",
    "tests/files/audio/100sec.wav",
    "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
    "site_0285/no date.wav",
]
KEYS = ["site,date", "site,month", "site,year", "site"]
ORDER = ["filename", "recording_offset_in_file", "channel"]
DAYS = {
    (NAMES[0], 0.0): date(2020, 10, 14),
    (NAMES[0], 5.0): date(2020, 10, 14),
    (NAMES[0], 10.0): date(2020, 10, 15),
    **{(NAMES[2], 5.0 * n): date(2019, 6, 30) for n in range(3)},
}
"""By filename and offset; recordings that are not named have none."""


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    """A record of three windows of each recording."""
    records = [make_record(random_tensor((3, 1, 8), n), name) for n, name in enumerate(NAMES)]
    return write_shard(tmp_path / "a-00000-of-00001", records)


def key_of(day: date | None, by: str) -> Any:
    """The value of the second key."""
    if day is None:
        return None
    return {"site,date": day, "site,month": f"{day:%Y-%m}", "site,year": day.year}[by]


def expected(by: str) -> list[tuple[Any, ...]]:
    """Site and second key of each window, in the order of ``ORDER``."""
    sites = ["site_0285", "elsewhere", "Toorale-National-Park-Dry-A", "site_0285"]
    rows = []
    for name, site in zip(NAMES, sites, strict=True):
        for offset_s in (0.0, 5.0, 10.0):
            keys = () if by == "site" else (key_of(DAYS.get((name, offset_s)), by),)
            rows.append((name, offset_s, site, *keys))
    return sorted(rows, key=lambda row: row[:2])


@pytest.mark.parametrize("by", KEYS)
def test_every_reader(shard: Path, tmp_path: Path, by: str) -> None:
    """All give the same rows and keys, and null where a recording has no date."""
    out = tmp_path / "out"
    conversion = a20_parquet.convert(shard, out, partition_by=by, unknown_site="elsewhere")
    assert (conversion.totals.windows, conversion.quarantine) == (12, {})
    keys = by.split(",")
    columns = [*ORDER[:2], *keys]
    by_scan = a20_parquet.scan(out).collect().sort(ORDER)
    assert by_scan.select(columns).rows() == expected(by)
    # What looks like a number or a text decides how others read months and years.
    kinds = {"date": pa.date32(), "month": pa.string(), "year": pa.int64(), "site": pa.string()}
    schema = pa.schema([(key, kinds[key]) for key in keys])
    hive = ds.partitioning(schema, flavor="hive")
    by_arrow = pl.DataFrame(ds.dataset(out / "data", partitioning=hive).to_table()).sort(ORDER)
    by_polars = pl.read_parquet(out / "data").sort(ORDER)
    relation = duckdb.sql(f"from read_parquet('{out}/data/**/*.parquet', hive_partitioning=true)")
    assert relation is not None
    by_duckdb = relation.pl().sort(ORDER)
    connection = a20_parquet.connect(out)
    by_connect = connection.sql("from windows").pl().sort(ORDER)
    for frame in (by_arrow, by_polars, by_duckdb, by_connect):
        assert [tuple(map(str, row)) for row in frame.select(columns).rows()] == [
            tuple(map(str, row)) for row in expected(by)
        ]
        bits = as_bits(frame.with_columns(pl.col("embedding").cast(pl.Array(pl.Float32, 8))))
        assert_same_windows(bits, as_bits(by_scan))
        undated = frame.filter(pl.col("filename").is_in([NAMES[1], NAMES[3]]))
        for name in ("file_timestamp", "window_start", "window_start_local", "utc_offset_minutes"):
            assert undated[name].null_count() == 6
        assert undated["recording_offset_in_file"].null_count() == 0


@pytest.mark.parametrize("by", KEYS)
def test_no_recording_has_a_date(tmp_path: Path, by: str) -> None:
    """Then too ``scan`` and ``connect`` know the key's type, and all rows are there."""
    records = [make_record(random_tensor((2, 1, 8), n), f"{n}.wav") for n in range(3)]
    shard = write_shard(tmp_path / "a-00000-of-00001", records)
    out = tmp_path / "out"
    a20_parquet.convert(shard, out, partition_by=by, unknown_site="elsewhere")
    frame = a20_parquet.scan(out).collect()
    assert len(frame) == 6
    key = by.rsplit(",", maxsplit=1)[-1]
    kinds = {"date": pl.Date, "month": pl.String, "year": pl.Int64, "site": pl.String}
    assert frame.schema[key] == kinds[key]
    assert frame[key].null_count() == (0 if key == "site" else 6)
    relation = a20_parquet.connect(out).sql(f"select {key}, count(*) as n from windows group by 1")
    assert relation.fetchall() == [("elsewhere" if key == "site" else None, 6)]
    folder = out / "data" / "site=elsewhere"
    assert (folder / f"{key}=__HIVE_DEFAULT_PARTITION__").exists() == (key != "site")


def test_undated_come_first_and_memory_does_not_matter(
    shard: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By site alone they lie before all dated ones in one file; tiny buffers give the same."""
    for name in ("large", "tiny"):
        a20_parquet.convert(shard, tmp_path / name, partition_by="site", unknown_site="elsewhere")
        use_tiny_memory(monkeypatch)
    assert digests(tmp_path / "tiny") == digests(tmp_path / "large")
    path = tmp_path / "large" / "data" / "site=site_0285" / "part-0000.parquet"
    names = pl.read_parquet(path, hive_partitioning=False)["filename"].to_list()
    assert names == [NAMES[3]] * 3 + [NAMES[0]] * 3
