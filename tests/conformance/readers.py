"""All readers, by the names under which they are tested."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.conformance import arrow_readers, hyparquet, other_readers
from tests.conformance.arrow_readers import Where

Read = Callable[[Path, Sequence[str], Where], Any]


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError as error:
        raise ImportError(f"{package} is not installed") from error


@dataclass(frozen=True, slots=True)
class Reader:
    """A way to read a dataset."""

    read: Read
    version: Callable[[], str]
    """Raises ImportError where it is not installed."""


def _spark_version() -> str:
    if shutil.which("java") is None:
        raise ImportError("there is no java")
    return _installed("pyspark")


def _python(package: str, read: Read) -> Reader:
    return Reader(read, partial(_installed, package))


READERS = {
    "pyarrow": _python("pyarrow", arrow_readers.read_pyarrow),
    "pyarrow/typed": _python("pyarrow", arrow_readers.read_pyarrow_typed),
    "polars": _python("polars", arrow_readers.read_polars),
    "DuckDB": _python("duckdb", arrow_readers.read_duckdb),
    "pandas": _python("pandas", other_readers.read_pandas),
    "pandas/typed": _python("pandas", other_readers.read_pandas_typed),
    "fastparquet": _python("fastparquet", other_readers.read_fastparquet),
    "DataFusion": _python("datafusion", arrow_readers.read_datafusion),
    "DataFusion/nulls": _python("datafusion", arrow_readers.read_datafusion_text),
    "Daft": _python("daft", arrow_readers.read_daft),
    "datasets": _python("datasets", arrow_readers.read_datasets),
    "arro3": _python("arro3-io", arrow_readers.read_arro3),
    "ClickHouse": _python("chdb-core", other_readers.read_chdb),
    "ClickHouse/nulls": _python("chdb-core", other_readers.read_chdb_typed),
    "Spark": Reader(other_readers.read_spark, _spark_version),
    "hyparquet": Reader(hyparquet.read_hyparquet, hyparquet.hyparquet_version),
    "hyparquet/micros": Reader(hyparquet.read_hyparquet_micros, hyparquet.hyparquet_version),
}
"""Behind a slash: the way around a reader's limits that ``docs/readers.md`` shows."""
