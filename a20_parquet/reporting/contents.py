"""Reads what a report shows of a dataset."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.progress import Progress
from a20_parquet.query.info import DatasetInfo, catalog_info
from a20_parquet.query.window_query import Batch, WindowQuery
from a20_parquet.reporting.coverage import TIME_COLUMNS, Coverage, Tally
from a20_parquet.reporting.picture import Picture, read_picture
from a20_parquet.reporting.provenance import provenance
from a20_parquet.reporting.quarantine_examples import Held, read_held
from a20_parquet.reporting.site_names import SiteName, read_site_names
from a20_parquet.resources import default_workers
from a20_parquet.windows.partition import HIVE_NULL

# Threads wait for a store's answers most of the time.
_REMOTE_WORKERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a report shows.

    Raises:
        ValueError: ``sites`` are not those of ``coverage``.
    """

    name: str
    """Of the dataset, for the title."""
    info: DatasetInfo
    coverage: Coverage
    sites: tuple[SiteName, ...]
    """In the order of ``coverage.sites``."""
    picture: Picture | None
    """None if the dataset has no windows."""
    file_bytes: npt.NDArray[np.int64]
    """Size of each data file, shape (files,)."""
    decisions: tuple[tuple[str, str], ...]
    """See ``provenance``."""
    held: tuple[Held, ...]
    """What is in quarantine."""

    def __post_init__(self) -> None:
        """Check the order of the sites."""
        if tuple(site.site for site in self.sites) != self.coverage.sites:
            raise ValueError("the sites are not those of the coverage")


def read_contents(catalog: Catalog, name: str, progress: Progress) -> Contents:
    """Read all that a report shows.

    Three small columns of all data files are read, and the embeddings of a few.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    coverage = read_coverage(catalog, progress)
    return Contents(
        name=name,
        info=catalog_info(catalog),
        coverage=coverage,
        sites=read_site_names(catalog),
        picture=read_picture(catalog, progress) if coverage.total and catalog.dims else None,
        file_bytes=catalog.files["bytes"].to_numpy(),
        decisions=tuple(provenance(catalog.manifest)),
        held=read_held(catalog),
    )


def read_coverage(catalog: Catalog, progress: Progress) -> Coverage:
    """Count the windows of all data files by site, day and hour.

    Raises:
        DatasetError: a data file is missing or damaged.
    """
    sites = sorted(set(catalog.files["site"].fill_null(HIVE_NULL)))
    numbers = pl.Enum(sites)
    query = WindowQuery(catalog, ["site", *TIME_COLUMNS])

    def tally(batch: Batch) -> Tally:
        windows = query.read(batch)
        of_site = windows["site"].fill_null(HIVE_NULL).cast(numbers).to_physical()
        return Tally.of(of_site.to_numpy().astype(np.int64), windows)

    workers = default_workers() if catalog.is_local else _REMOTE_WORKERS
    tallies = query.map(tally, name="reading times", progress=progress, workers=workers)
    return Coverage.of(sites, Tally.sum(tallies))
