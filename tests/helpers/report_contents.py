"""Contents of reports without the files of their datasets."""

from pathlib import Path

import numpy as np
import polars as pl

from a20_parquet.query.info import DatasetInfo, catalog_info
from a20_parquet.reporting.contents import Contents
from a20_parquet.reporting.coverage import Coverage
from a20_parquet.reporting.picture import Picture
from a20_parquet.reporting.site_names import SiteName
from tests.helpers.large import FIRST_DAY, large_catalog


def make_contents(info: DatasetInfo, coverage: Coverage, name: str = "birds") -> Contents:
    """The least that a report shows: coverage, and sites without names or positions."""
    return Contents(
        name=name,
        info=info,
        coverage=coverage,
        sites=tuple(map(SiteName, coverage.sites)),
        picture=None,
        file_bytes=np.array([1000]),
        decisions=(),
        held=(),
    )


def large_contents(folder: Path, coverage: Coverage) -> Contents:
    """What a report would show of a dataset with this coverage, with positions and a picture."""
    catalog = large_catalog(folder, coverage)
    draw = np.random.default_rng(11)
    positions = np.stack([draw.uniform(-38, -15, 999), draw.uniform(116, 149, 999)], axis=1)
    sites = tuple(
        SiteName(site, f"Recorder-{number:03d}-Dry-A", tuple(positions[number].tolist()))
        for number, site in enumerate(coverage.sites)
    )
    of_site = draw.integers(0, len(sites), 2000)
    start_us = (FIRST_DAY + draw.integers(0, len(coverage.days), 2000)) * 86_400_000_000
    start_us += draw.integers(0, 17_280, 2000) * 5_000_000
    names = [
        f"{sites[site].site}/20200101T000000+1000_{sites[site].recorder}_{number}.flac"
        for number, site in enumerate(of_site)
    ]
    windows = pl.DataFrame(
        {
            "site": [sites[site].site for site in of_site],
            "filename": names,
            "recording_offset_in_file": draw.integers(0, 1440, 2000) * 5.0,
            "window_start_local": pl.Series(start_us).cast(pl.Datetime("us")),
            "channel": np.zeros(2000, np.int16),
        }
    )
    return Contents(
        name="archive",
        info=catalog_info(catalog),
        coverage=coverage,
        sites=sites,
        picture=Picture(windows, draw.random((2000, 2)), explained=0.3, broken=0),
        file_bytes=catalog.files["bytes"].to_numpy(),
        decisions=(("Selected", "374 shards: everything that can be converted"),),
        held=(),
    )
