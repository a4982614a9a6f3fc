"""Summarises a dataset from its manifest and its list of files alone."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.summaries import Assumption, Origin
from a20_parquet.dataset.taken import Taken, taken
from a20_parquet.query.describe import DatasetDescription, catalog_description
from a20_parquet.windows.half import Rounding, merge_roundings
from a20_parquet.windows.partition import PartitionBy, sparse_partitions_hint


@dataclass(frozen=True, slots=True)
class Partition:
    """One Hive folder."""

    keys: dict[str, str]
    """Values by Hive key, as in the folder's name."""
    files: int
    windows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Periods:
    """The values of the Hive key after ``site``."""

    key: str
    """``date``, ``month`` or ``year``."""
    count: int
    """Number of distinct values other than null."""
    first: str | None
    last: str | None
    windows_without: int
    """Number of windows whose recording has no date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """Result of ``info``."""

    dataset: str
    """An absolute path or a URL."""
    description: DatasetDescription
    """Model, windows, columns with units, and who wrote it."""
    windows: int
    """Number of rows."""
    records: int
    shards: int
    shard_bytes: int
    """Stored size of all shards."""
    dims: int
    """Floats per embedding."""
    window_seconds: float
    """Seconds from one window's start to the next."""
    compression: str
    store: str
    """How files store the floats of embeddings: ``float32`` or ``float16``."""
    rounding: Rounding | None
    """How stored halves differ from the shards' floats; None if files store float32."""
    partition_by: str
    sites: int
    first_site: str | None
    last_site: str | None
    periods: Periods | None
    """None if the dataset is partitioned by site alone."""
    first_window_start: datetime | None
    """Start of the earliest window, UTC; None if no recording has a date."""
    last_window_start: datetime | None
    """Start of the latest window, UTC; None if no recording has a date."""
    files: int
    bytes: int
    """Size of all data files."""
    median_file_bytes: float | None
    """None if there are no files."""
    largest: Partition | None
    """The first partition with the most bytes; None if there are no files."""
    smallest: Partition | None
    """The first partition with the fewest bytes; None if there are no files."""
    quarantine: dict[str, int]
    """Number of records and damaged ranges in quarantine by reason, the most frequent first."""
    assumptions: tuple[Assumption, ...]
    """Values that the conversions assumed because no input has them."""
    conversions: tuple[Taken, ...]
    """What each conversion selected, and what it left out; of a part, those of the whole."""
    origins: tuple[Origin, ...]
    """The dataset that this one is a part of, then the one which that is a part of, and so on."""
    hop_remarks: tuple[str, ...]
    """Why the hop of a conversion looks wrong, and which hop would fit."""
    hint: str | None
    """Advice on the Hive keys; None if at least half of the files are large enough."""


def info(dataset: str | Path) -> DatasetInfo:
    """Summarise a dataset.

    Args:
        dataset: its folder, or any fsspec URL of it.

    Raises:
        DatasetError: the path is not a complete dataset, or its list of files is damaged.
    """
    return catalog_info(Catalog.open(dataset))


def catalog_info(catalog: Catalog) -> DatasetInfo:
    """Summarise an opened dataset; see ``info``."""
    manifest, files, by = catalog.manifest, catalog.files, catalog.partition_by
    partitions = _partitions(files)
    sizes = files["bytes"].to_list()
    return DatasetInfo(
        dataset=catalog.location,
        description=catalog_description(catalog),
        windows=manifest.totals.windows,
        records=manifest.totals.records,
        shards=manifest.totals.shards,
        shard_bytes=sum(shard.bytes for shard in manifest.shards),
        dims=catalog.dims,
        window_seconds=manifest.options.window_seconds,
        compression=manifest.options.compression.value,
        store=catalog.store.value,
        rounding=merge_roundings(each.rounding for each in manifest.conversions),
        partition_by=by.value,
        sites=manifest.totals.sites,
        first_site=_text(files["site"].min()),
        last_site=_text(files["site"].max()),
        periods=_periods(files, by),
        first_window_start=_instant(files["first_window_start"].min()),
        last_window_start=_instant(files["last_window_start"].max()),
        files=manifest.totals.files,
        bytes=manifest.totals.bytes,
        median_file_bytes=float(median(sizes)) if sizes else None,
        largest=_partition(partitions, partitions["bytes"].arg_max()),
        smallest=_partition(partitions, partitions["bytes"].arg_min()),
        quarantine=manifest.count_reasons(),
        assumptions=manifest.assumptions,
        conversions=taken(manifest),
        origins=manifest.origins,
        hop_remarks=tuple(
            dict.fromkeys(each.hop_remark for each in manifest.conversions if each.hop_remark)
        ),
        hint=sparse_partitions_hint(
            ((file.site, file.period, file.bytes) for file in catalog.data_files()), by
        ),
    )


def _partitions(files: pl.DataFrame) -> pl.DataFrame:
    """Sum up each Hive folder, in order: ``folder``, ``files``, ``rows``, ``bytes``."""
    folder = pl.col("path").str.replace("/[^/]*$", "").alias("folder")
    return files.group_by(folder, maintain_order=True).agg(
        pl.len().alias("files"), pl.col("rows").sum(), pl.col("bytes").sum()
    )


def _partition(partitions: pl.DataFrame, row: int | None) -> Partition | None:
    if row is None:
        return None
    folder, files, windows, size = partitions.row(row)
    keys = dict(part.split("=", 1) for part in folder.split("/") if "=" in part)
    return Partition(keys=keys, files=files, windows=windows, bytes=size)


def _periods(files: pl.DataFrame, by: PartitionBy) -> Periods | None:
    if by.period is None:
        return None
    values = files[by.period]
    return Periods(
        key=by.period,
        count=values.drop_nulls().n_unique(),
        first=_text(values.min()),
        last=_text(values.max()),
        windows_without=int(files.filter(values.is_null())["rows"].sum()),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _instant(value: Any) -> datetime | None:
    return value if isinstance(value, datetime) else None
