"""Tells names and positions of a dataset's sites, for people who do not know them by their ids."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.sites import KeptSites
from a20_parquet.query.read_rows import take_rows
from a20_parquet.storage.concurrent import AT_ONCE, map_at_once
from a20_parquet.windows.filenames.site_token import recorder_names
from a20_parquet.windows.partition import HIVE_NULL

_COLUMNS = {"site_id": pa.int32(), "site_name": pa.string(), "subsite_name": pa.string()}


@dataclass(frozen=True, slots=True)
class SiteName:
    """A site as people know it."""

    site: str
    """The value of the Hive key."""
    recorder: str | None = None
    """Name of the recorder in the site's first filename; None if that does not tell it."""
    position: tuple[float, float] | None = None
    """Latitude and longitude in degrees from the sites table; None if that does not tell both."""

    @property
    def has_recorder(self) -> bool:
        """Whether the recorder has another name than the site."""
        return self.recorder not in {None, self.site}

    def __str__(self) -> str:
        return f"{self.site} {self.recorder}" if self.has_recorder else self.site


def read_site_names(catalog: Catalog) -> tuple[SiteName, ...]:
    """Read names and positions of all sites, in the order of their keys.

    One row group of one file is read for each site, without embeddings.

    Raises:
        DatasetError: a data file or the sites table is missing or damaged.
    """
    files = catalog.files.select(
        pl.col("site").fill_null(HIVE_NULL),
        start=(pl.col("rows").cum_sum() - pl.col("rows")).cast(pl.Int64),
    )
    first = files.group_by("site").agg(pl.col("start").min()).sort("site")
    found = pl.concat(
        map_at_once(
            lambda part: take_rows(catalog, part, list(_COLUMNS)),
            np.array_split(first["start"].to_numpy(), AT_ONCE),
            is_remote=not catalog.is_local,
        )
    )
    columns = [found[name].to_arrow().cast(kind) for name, kind in _COLUMNS.items()]
    recorders = recorder_names(*columns[1:]).to_pylist()
    positions = _positions(catalog, columns)
    return tuple(
        SiteName(*values) for values in zip(first["site"], recorders, positions, strict=True)
    )


def _positions(catalog: Catalog, columns: list[Any]) -> list[tuple[float, float] | None]:
    kept = KeptSites.read(catalog)
    if kept is None:
        return [None] * len(columns[0])
    latitude, longitude = kept.until(len(catalog.manifest.conversions)).positions(*columns)
    pairs = zip(latitude.to_pylist(), longitude.to_pylist(), strict=True)
    return [None if north is None else (north, east) for north, east in pairs]
