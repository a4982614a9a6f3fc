"""Readers that hand over Arrow data: the types are their own.

Each takes the dataset's ``data`` folder, its Hive keys, and for each key to filter by the value, as
text. It returns a ``pyarrow.Table`` with all columns.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

Where = Mapping[str, str]
"""Values by key, as the folders' names have them; all rows where there is none."""

KEY_TYPES = {"site": pa.string(), "date": pa.date32(), "month": pa.string(), "year": pa.int64()}


def literal(key: str, text: str) -> Any:
    """The value of a key as a Python value of the key's type."""
    if key == "date":
        return date.fromisoformat(text)
    return int(text) if key == "year" else text


def sql_condition(where: Where) -> str:
    """SQL's ``WHERE`` clause, empty without a condition; keys are quoted as the standard has it."""
    texts = [
        f'"{key}" = {f"DATE {text!r}" if key == "date" else repr(literal(key, text))}'
        for key, text in where.items()
    ]
    return f" WHERE {' AND '.join(texts)}" if texts else ""


def read_pyarrow(data: Path, keys: Sequence[str], where: Where) -> Any:
    """pyarrow, which infers the keys' types: dates stay text."""
    import pyarrow.parquet as pq

    del keys
    conditions = [(key, "==", int(text) if key == "year" else text) for key, text in where.items()]
    return pq.read_table(data, filters=conditions or None)


def read_pyarrow_typed(data: Path, keys: Sequence[str], where: Where) -> Any:
    """pyarrow, told the keys' types, and to compare pages with their checksums."""
    import pyarrow.dataset as ds

    schema = pa.schema([(key, KEY_TYPES[key]) for key in keys])
    checking = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    dataset = ds.dataset(
        data,
        format=ds.ParquetFileFormat(default_fragment_scan_options=checking),
        partitioning=ds.partitioning(schema, flavor="hive"),
    )
    for fragment in dataset.get_fragments():
        for group in fragment.row_groups:
            _check_indexes(fragment.metadata.row_group(group.id))
    condition = None
    for key, text in where.items():
        term = ds.field(key) == literal(key, text)
        condition = term if condition is None else condition & term
    return dataset.to_table(filter=condition)


def _check_indexes(group: Any) -> None:
    """Check that each column chunk of a row group has an offset index, and those with bounds more.

    Raises:
        ValueError: one has none.
    """
    for number in range(group.num_columns):
        chunk = group.column(number)
        has_bounds = chunk.is_stats_set and chunk.statistics.has_min_max
        if not chunk.has_offset_index or (has_bounds and not chunk.has_column_index):
            raise ValueError(f"{chunk.path_in_schema} has no page index")


def read_datasets(data: Path, keys: Sequence[str], where: Where) -> Any:
    """Hugging Face's ``datasets``: all by the dataset's card, a part file by file."""
    import os
    from tempfile import TemporaryDirectory

    # It would ask the Hub, which has none of these.
    os.environ["HF_HUB_OFFLINE"] = "1"
    from datasets import load_dataset

    del keys
    with TemporaryDirectory() as cache:
        if where:
            files = [str(path) for path in files_where(data, where)]
            loaded = load_dataset("parquet", data_files=files, split="train", cache_dir=cache)
        else:
            loaded = load_dataset(str(data.parent), split="train", cache_dir=cache)
        table = loaded.data.table
        # The rows are mapped from a file of the cache.
        return pa.ipc.open_stream(_copied(table)).read_all()


def _copied(table: Any) -> Any:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def read_polars(data: Path, keys: Sequence[str], where: Where) -> Any:
    """polars' lazy scan."""
    import polars as pl

    del keys
    conditions = [pl.col(key) == literal(key, text) for key, text in where.items()]
    scan = pl.scan_parquet(data / "**/*.parquet", hive_partitioning=True)
    return (scan.filter(*conditions) if conditions else scan).collect().to_arrow()


def read_duckdb(data: Path, keys: Sequence[str], where: Where) -> Any:
    """DuckDB's SQL."""
    import duckdb

    del keys
    files = f"read_parquet('{data}/**/*.parquet', hive_partitioning = true)"
    connection = duckdb.connect()
    return connection.sql(f"SELECT * FROM {files}{sql_condition(where)}").to_arrow_table()


def read_datafusion(data: Path, keys: Sequence[str], where: Where) -> Any:
    """DataFusion, which is told the keys and their types."""
    return _datafusion(data, {key: KEY_TYPES[key] for key in keys}, "*", where)


def read_datafusion_text(data: Path, keys: Sequence[str], where: Where) -> Any:
    """DataFusion, told that keys are text, and which text is null."""
    casts = {"date": "DATE", "year": "BIGINT"}
    columns = [
        f"CAST(NULLIF(\"{key}\", '__HIVE_DEFAULT_PARTITION__') AS {casts.get(key, 'VARCHAR')})"
        f' AS "{key}"'
        for key in keys
    ]
    named = ", ".join(f'"{key}"' for key in keys)
    columns_sql = f"* EXCLUDE ({named}), {', '.join(columns)}"
    return _datafusion(data, dict.fromkeys(keys, pa.string()), columns_sql, where)


def _datafusion(data: Path, keys: Mapping[str, Any], columns: str, where: Where) -> Any:
    from datafusion import SessionContext

    context = SessionContext()
    context.register_parquet("files", str(data), table_partition_cols=list(keys.items()))
    query = f"SELECT * FROM (SELECT {columns} FROM files){sql_condition(where)}"
    return context.sql(query).to_arrow_table()


def read_daft(data: Path, keys: Sequence[str], where: Where) -> Any:
    """Daft, which infers the keys' types."""
    import daft

    del keys
    frame = daft.read_parquet(f"{data}/**/*.parquet", hive_partitioning=True)
    for key, text in where.items():
        frame = frame.where(daft.col(key) == literal(key, text))
    return frame.to_arrow()


def read_arro3(data: Path, keys: Sequence[str], where: Where) -> Any:
    """The Rust implementation of Arrow, file by file: it knows no folders."""
    from arro3.io import read_parquet

    del keys
    return pa.concat_tables(
        pa.table(read_parquet(str(path)).read_all()) for path in files_where(data, where)
    )


def files_where(data: Path, where: Where) -> list[Path]:
    """The data files below the folders of these keys, for readers that know no folders."""
    wanted = {f"{key}={text}" for key, text in where.items()}
    return [path for path in sorted(data.rglob("*.parquet")) if wanted <= set(path.parts)]
