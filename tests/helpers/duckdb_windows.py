"""Compares the windows that DuckDB reads with those that polars reads in the dataset's files."""

from pathlib import Path

import duckdb
import numpy as np
import polars as pl

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from tests.helpers.shards import make_record, random_tensor, write_shard

DIMS = 16
_NAMES = [
    "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac",
    "site_0285/20201015T235930+1030_Arkaba-Dry-A_49501.flac",
    "site_0286/20201014T010000+1030_Arkaba-Wet-A_49600.flac",
    "20210301T235900-0330_Site-3_7.wav",
    "20190630T013925Z_Toorale-National-Park-Dry-A_353483.flac",
]
_ORDER = ["filename", "recording_offset_in_file", "channel"]


def convert_odd_values(folder: Path) -> Path:
    """Convert 240 windows of several sites and dates, with NaN, infinity and negative zero."""
    records = []
    for number in range(40):
        tensor = random_tensor((6, 1, DIMS), number)
        tensor[0, 0, :5] = [np.nan, -0.0, 0.0, np.inf, -np.inf]
        records.append(make_record(tensor, _NAMES[number % len(_NAMES)], 60.0 * number))
    write_shard(folder / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(folder / "in", folder / "out")
    return folder / "out"


def opened(file: Path) -> duckdb.DuckDBPyConnection:
    """Open a database read-only, with UTC."""
    connection = duckdb.connect(str(file), read_only=True)
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def assert_windows(
    connection: duckdb.DuckDBPyConnection, dataset: Path, *, in_order: bool = False
) -> None:
    """Check that ``windows`` has the dataset's rows and types, bit for bit.

    Args:
        connection: to the database, with UTC.
        dataset: whose files polars reads.
        in_order: whether the rows are in the dataset's order.
    """
    relation = connection.sql("FROM windows")
    assert relation is not None
    found, expected = relation.pl(), _windows(dataset)
    if not in_order:
        found, expected = found.sort(_ORDER), expected.sort(_ORDER)
    assert dict(found.schema) == dict(expected.schema)
    assert found.columns == expected.columns
    assert found.drop("embedding").equals(expected.drop("embedding"), null_equal=True)
    bits, expected_bits = (
        frame["embedding"].to_numpy().view(np.uint32) for frame in (found, expected)
    )
    np.testing.assert_array_equal(bits, expected_bits)


def _windows(dataset: Path) -> pl.DataFrame:
    """All windows in the dataset's order, as polars reads them file by file."""
    catalog = Catalog.open(dataset)
    parts = []
    for file in catalog.files.iter_rows(named=True):
        part = pl.read_parquet(dataset / file["path"], hive_partitioning=False, glob=False)
        parts.append(
            part.with_columns(
                pl.lit(file[key], catalog.schema[key]).alias(key)
                for key in catalog.partition_by.keys
            )
        )
    return pl.concat(parts)
