"""A list of data files as large as the whole archive's, without the files."""

from pathlib import Path

import crc32c
import numpy as np
import numpy.typing as npt
import polars as pl

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.manifest import Manifest, Totals
from a20_parquet.dataset.options import TableOptions
from a20_parquet.parquet import Compression
from a20_parquet.reporting.coverage import Coverage
from a20_parquet.windows.partition import PartitionBy

WINDOW_S = 5.0
FULL_DAY = 17_280
FIRST_DAY = 18_109  # 2019-08-01
_ROW_BYTES = 5200


def large_windows(sites: int, days: int) -> npt.NDArray[np.int64]:
    """Windows by site and day, shape (sites, days): whole days, partial ones and gaps."""
    draw = np.random.default_rng(7)
    windows = np.full((sites, days), FULL_DAY, np.int64)
    for row in windows:
        begin = int(draw.integers(0, 1 + days // 3)) if draw.random() < 0.7 else 0
        end = days - (int(draw.integers(0, 1 + days // 4)) if draw.random() < 0.4 else 0)
        if draw.random() < 0.15:  # records at dawn and dusk only
            row[:] = draw.normal(FULL_DAY / 3, FULL_DAY / 90, days).astype(np.int64)
        day = begin
        while day < end:  # the card is full or the battery flat before the next visit
            visit = day + int(draw.integers(60, 200))
            gap = int(draw.exponential(12)) if draw.random() < 0.75 else 0
            stop = max(day + 1, min(visit, end) - gap)
            row[day] //= 2
            row[stop - 1] = row[stop - 1] * int(draw.integers(1, 90)) // 100 + 1
            row[stop : min(visit, end)] = 0
            lost = day + draw.integers(0, max(visit - day, 1), int(draw.integers(0, 3)))
            row[lost[lost < end]] = 0
            day = visit
        row[:begin] = 0
        row[end:] = 0
    return windows


def large_coverage(sites: int = 340, days: int = 1100) -> Coverage:
    """What a tally of those windows would be."""
    windows = large_windows(sites, days)
    share = 1 + 0.25 * np.cos((np.arange(24) - 6) / 24 * 2 * np.pi)
    dates = np.arange(FIRST_DAY, FIRST_DAY + days)
    return Coverage(
        sites=tuple(f"site_{200 + site:04d}" for site in range(sites)),
        days=dates,
        windows=windows,
        undated=np.zeros(sites, np.int64),
        by_hour=(windows.sum(axis=0)[:, None] * share / share.sum()).astype(np.int64),
        local_unknown=0,
        channels=1,
    )


def large_catalog(folder: Path, coverage: Coverage) -> Catalog:
    """A dataset with the coverage's files, but for the files themselves."""
    site, day = np.nonzero(coverage.windows)
    rows = coverage.windows[site, day]
    start = pl.col("date").cast(pl.Datetime("us", "UTC"))
    files = pl.DataFrame(
        {
            "site": np.array(coverage.sites)[site],
            "date": pl.Series(coverage.days[day]).cast(pl.Int32).cast(pl.Date),
            "rows": rows,
            "bytes": rows * _ROW_BYTES,
            "checksum": "00000000",
        }
    ).select(
        pl.format("data/site={}/date={}/part-0000.parquet", "site", "date").alias("path"),
        pl.all(),
        start.alias("first_window_start"),
        (start + pl.duration(hours=23)).alias("last_window_start"),
    )
    folder.mkdir(parents=True, exist_ok=True)
    files.write_parquet(folder / "files.parquet")
    manifest = Manifest(
        options=TableOptions(
            partition_by=PartitionBy.SITE_DATE,
            compression=Compression.NONE,
            max_file_size=512_000_000,
            row_group_rows=2048,
            window_seconds=WINDOW_S,
            dims=1280,
        ),
        totals=Totals(
            shards=1,
            records=coverage.total // 12,
            windows=coverage.total,
            sites=len(coverage.sites),
            dates=len(coverage.days),
            files=len(files),
            bytes=int(files["bytes"].sum()),
        ),
        files_checksum=f"{crc32c.crc32c((folder / 'files.parquet').read_bytes()):08x}",
        shards=(),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return Catalog.open(folder)
