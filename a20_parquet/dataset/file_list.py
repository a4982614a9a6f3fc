"""Reads and checks the content of ``files.parquet`` and ``sites.parquet``.

These bytes are not trusted: a dataset may come from anybody, with valid checksums.
"""

from collections.abc import Iterator
from typing import Any, Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.file_bounds import BOUNDS
from a20_parquet.dataset.layout import DATA_PATH
from a20_parquet.dataset.options import TableOptions
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import Compression
from a20_parquet.windows.partition import PartitionBy

_AGAIN: Final = "Copy the dataset again, or convert the shards again."
# Exceptions of pyarrow and polars for damage, such as names that are not text, or huge sizes.
_UNREADABLE: Final = (
    *(OSError, pa.ArrowException, LookupError, ValueError, TypeError, OverflowError, MemoryError),
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
)
_BOUNDS: Final = {
    name: pl.String() if kind == pa.string() else pl.Int64() for name, kind in BOUNDS.items()
}
_INSTANT: Final = pl.Datetime("us", "UTC")
_PERIODS: Final = {"date": pl.Date(), "month": pl.String(), "year": pl.Int64()}
# Keeps sums over a million files, and their products with _MOST_RATIO, within 64 bits.
_MOST_BYTES: Final = 1 << 43
_MOST_RATIO: Final = 1 << 16
"""No compression of this package stores fewer than one byte for so many."""
_FIRST_YEAR, _LAST_YEAR = 1, 9999


def parse_parquet(content: bytes) -> pl.DataFrame:
    """Parse a whole Parquet file that may be damaged or malicious.

    pyarrow reads it, because polars aborts the process at some damaged page headers.

    Raises:
        ValueError: the file is not Parquet, is damaged, or polars has no type for a column.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        table = file.read(use_threads=False)
        # polars does not check that strings are UTF-8 and that lists end after their start.
        table.validate(full=True)
        # Names that are not UTF-8 raise here and not in Rust, which would print a backtrace.
        _ = table.column_names
        return pl.DataFrame(table)
    except _UNREADABLE as error:
        raise ValueError(str(error)) from error


def read_table(content: bytes, where: str) -> pl.DataFrame:
    """Read a small Parquet file of a dataset; messages name it by ``where``.

    Raises:
        DatasetError: the file is not Parquet, or is damaged.
    """
    try:
        return parse_parquet(content)
    except ValueError as error:
        raise DatasetError(f"{where}: cannot be read as Parquet: {error}. {_AGAIN}") from error


def read_file_list(content: bytes, where: str, options: TableOptions) -> pl.DataFrame:
    """Parse ``files.parquet``; messages name it by ``where``.

    Columns that a later version of this package has added are left out.

    Returns:
        See ``Catalog.files``.

    Raises:
        DatasetError: it is not a list of files, or has a value that this package never writes.
    """
    found = read_table(content, where)
    # Lists of earlier versions have no bounds.
    unknown = [pl.lit(None, kind).alias(n) for n, kind in _BOUNDS.items() if n not in found.columns]
    found = found.with_columns(unknown)
    expected = _schema(options.partition_by)
    for name, kind in expected.items():
        if name not in found.columns:
            raise DatasetError(f"{where} has no column {name}, expected {kind}. {_AGAIN}")
        if found.schema[name] != kind:
            raise DatasetError(
                f"{where}: its column {name} is {found.schema[name]}, expected {kind}. {_AGAIN}"
            )
    files = found.select(expected.names())
    rules = _rules(options)
    # At once, on all cores.
    passed = files.select(
        is_good.fill_null(value=False).all().alias(str(number))
        for number, (_, is_good, _) in enumerate(rules)
    )
    for (name, is_good, wanted), is_passed in zip(rules, passed.row(0), strict=True):
        if not is_passed:
            bad = files.filter(~is_good.fill_null(value=False))
            # Timestamps may be outside of the range of Python's datetime.
            value = str(bad[name].head(1).cast(pl.String)[0])
            raise DatasetError(
                f"{where}: found the {name} {value[:200]!r}, expected {wanted}. {_AGAIN}"
            )
    return files


def _schema(by: PartitionBy) -> pl.Schema:
    kinds: dict[str, Any] = {"path": pl.String(), "site": pl.String()}
    if by.period is not None:
        kinds[by.period] = _PERIODS[by.period]
    kinds |= {"rows": pl.Int64(), "bytes": pl.Int64(), "checksum": pl.String()}
    kinds |= {"first_window_start": _INSTANT, "last_window_start": _INSTANT}
    return pl.Schema(kinds | _BOUNDS)


def _rules(options: TableOptions) -> list[tuple[str, pl.Expr, str]]:
    """Columns, a condition for each of their values, and its description for messages."""
    ratio = 1 if options.compression is Compression.NONE else _MOST_RATIO
    most_rows = pl.col("bytes") * ratio // (options.store.item_bytes * options.dims)
    rules = [
        ("path", pl.col("path").str.contains(DATA_PATH), "data/site=…/part-NNNN.parquet"),
        ("site", pl.col("site").str.contains(r"^[A-Za-z0-9_-]+$"), "letters, digits, _ and -"),
        ("bytes", pl.col("bytes").is_between(1, _MOST_BYTES), f"1 to {_MOST_BYTES:,}"),
        ("rows", pl.col("rows").is_between(1, most_rows), "1 to what its bytes can hold"),
        ("checksum", pl.col("checksum").str.contains("^[0-9a-f]{8}$"), "eight hexadecimal digits"),
    ]
    years = f"a time in the years {_FIRST_YEAR} to {_LAST_YEAR}"
    for name in ("first_window_start", "last_window_start"):
        is_good = pl.col(name).dt.year().is_between(_FIRST_YEAR, _LAST_YEAR)
        rules.append((name, pl.col(name).is_null() | is_good, years))
    period = options.partition_by.period
    if period is not None:
        key = pl.col(period)
        is_good = {
            "date": key.cast(pl.Date, strict=False).dt.year(),
            "month": key.cast(pl.String).str.extract(r"^(\d{4})-(?:0[1-9]|1[0-2])$").cast(pl.Int32),
            "year": key,
        }[period].is_between(_FIRST_YEAR, _LAST_YEAR)
        rules.append((period, key.is_null() | is_good, f"a {period} in the same years"))
    return [*rules, *_bounds_rules()]


def _bounds_rules() -> Iterator[tuple[str, pl.Expr, str]]:
    """See ``_rules``; each bound is known in a file if all are."""
    unknown = pl.col("null_site_ids").is_null()
    for name in ("null_site_ids", "null_file_seq_ids"):
        is_good = pl.col(name).is_between(0, pl.col("rows")).fill_null(value=False)
        yield name, pl.col(name).is_null() & unknown | is_good & ~unknown, "0 to the file's rows"
    first, last = pl.col("first_filename"), pl.col("last_filename")
    yield "first_filename", first.is_null() == unknown, "one in each file, or in none"
    in_order = (first <= last).fill_null(last.is_null())
    yield "last_filename", in_order, "one that is not before first_filename"
    first, last = pl.col("first_file_seq_id"), pl.col("last_file_seq_id")
    all_null = (pl.col("null_file_seq_ids") == pl.col("rows")).fill_null(value=True)
    yield "first_file_seq_id", first.is_null() == all_null, "one unless all rows have none"
    in_order = (first <= last).fill_null(first.is_null() & last.is_null())
    yield "last_file_seq_id", in_order, "one that is not before first_file_seq_id"


def summaries(files: pl.DataFrame, by: PartitionBy) -> list[FileSummary]:
    """Convert a list of files, see ``read_file_list``, to summaries."""
    if by.period is None:
        period = pl.lit(0)
    elif by.period == "date":
        period = pl.col("date").cast(pl.Int32)
    elif by.period == "month":
        month = pl.col("month").str.split("-").list
        since_year_0 = month.get(0).cast(pl.Int32) * 12 + month.get(1).cast(pl.Int32) - 1
        period = since_year_0 - 1970 * 12
    else:
        period = pl.col("year").cast(pl.Int32)
    rows = files.select(
        "path",
        "site",
        period.alias("period"),
        "rows",
        "bytes",
        "checksum",
        pl.col("first_window_start").cast(pl.Int64).alias("first_window_us"),
        pl.col("last_window_start").cast(pl.Int64).alias("last_window_us"),
        pl.when(pl.col("null_site_ids").is_not_null()).then(pl.struct(*_BOUNDS)).alias("bounds"),
    )
    return [FileSummary(**row) for row in rows.iter_rows(named=True)]
