"""Writes the content of ``files.parquet``; ``file_list`` reads it."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.file_bounds import BOUNDS
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.windows.partition import PartitionBy, period_value
from a20_parquet.windows.schema import KEYS


def files_content(files: Sequence[FileSummary], by: PartitionBy) -> Any:
    """Return the content of ``files.parquet`` as an Arrow buffer."""
    instant = pa.timestamp("us", tz="UTC")
    columns: dict[str, Any] = {
        "path": pa.array([file.path for file in files], pa.string()),
        "site": pa.array([file.site for file in files], KEYS["site"].type),
    }
    if by.period is not None:
        periods: list[Any] = [file.period for file in files]
        if by.period == "month":
            periods = [None if each is None else period_value(each, by) for each in periods]
        elif by.period == "date":
            periods = pa.array(periods, pa.int32())
        columns[by.period] = pa.array(periods).cast(KEYS[by.period].type)
    columns |= {
        "rows": pa.array([file.rows for file in files], pa.int64()),
        "bytes": pa.array([file.bytes for file in files], pa.int64()),
        "checksum": pa.array([file.checksum for file in files], pa.string()),
        "first_window_start": pa.array([file.first_window_us for file in files], instant),
        "last_window_start": pa.array([file.last_window_us for file in files], instant),
    }
    for name, kind in BOUNDS.items():
        values = [getattr(file.bounds, name, None) for file in files]
        columns[name] = pa.array(values, kind)
    sink = pa.BufferOutputStream()
    # Each query reads it: nearly all texts differ, so dictionaries of them cost time alone.
    dictionaries = ["site"] if by.period is None else ["site", by.period]
    pq.write_table(pa.table(columns), sink, use_dictionary=dictionaries, compression="lz4")
    return sink.getvalue()
