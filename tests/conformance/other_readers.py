"""Readers that hand over something else than Arrow data, which is brought into that form here."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tests.conformance.arrow_readers import KEY_TYPES, Where, literal, sql_condition


def read_pandas(data: Path, keys: Sequence[str], where: Where) -> Any:
    """pandas with its defaults: integers with nulls become floats, dates in folders stay text."""
    import pandas as pd

    del keys
    conditions = [(key, "==", int(text) if key == "year" else text) for key, text in where.items()]
    return _from_pandas(pd.read_parquet(data, filters=conditions or None))


def read_pandas_typed(data: Path, keys: Sequence[str], where: Where) -> Any:
    """pandas, told the keys' types, with Arrow's types in the frame."""
    import pandas as pd
    import pyarrow.dataset as ds

    schema = pa.schema([(key, KEY_TYPES[key]) for key in keys])
    frame = pd.read_parquet(
        data,
        dtype_backend="pyarrow",
        partitioning=ds.partitioning(schema, flavor="hive"),
        filters=[(key, "==", literal(key, text)) for key, text in where.items()] or None,
    )
    return pa.Table.from_pandas(frame, preserve_index=False)


def read_fastparquet(data: Path, keys: Sequence[str], where: Where) -> Any:
    """fastparquet by itself."""
    import pandas as pd
    from fastparquet import ParquetFile

    del keys
    # What looks like a time is one for it.
    conditions = [
        (key, "==", pd.Timestamp(text) if key in {"date", "month"} else literal(key, text))
        for key, text in where.items()
    ]
    return _from_pandas(ParquetFile(str(data)).to_pandas(filters=conditions))


def _from_pandas(frame: Any) -> Any:
    """A frame's columns with the types that pandas has given them."""
    names, columns = list(frame.columns), []
    for name in names:
        series = frame[name]
        filled = series.dropna()
        if len(filled) and isinstance(filled.iloc[0], (list, np.ndarray)):
            columns.append(list_array(list(series)))
        else:
            columns.append(pa.Array.from_pandas(series))
    return pa.table(columns, names=names)


def list_array(rows: Sequence[Any]) -> Any:
    """Lists of numbers, None for null; one at least is none."""
    given = [np.asarray(row) for row in rows if row is not None]
    arrays = [given[0][:0] if row is None else np.asarray(row) for row in rows]
    offsets = [0, *accumulate(map(len, arrays))]
    # A null offset says that the list which begins there is null.
    begins = [None if row is None else at for row, at in zip(rows, offsets, strict=False)]
    values = pa.array(np.concatenate(arrays))
    return pa.ListArray.from_arrays(pa.array([*begins, offsets[-1]], pa.int32()), values)


def read_spark(data: Path, keys: Sequence[str], where: Where) -> Any:
    """Spark in this process's Java, with its defaults but for the console."""
    from pyspark.sql import SparkSession, functions

    del keys
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    session = builder.config("spark.log.level", "ERROR").getOrCreate()
    frame = session.read.parquet(str(data))
    for key, text in where.items():
        frame = frame.where(functions.col(key) == literal(key, text))
    if not hasattr(frame, "toArrow"):  # before version 4
        return pa.Table.from_batches(frame._collect_as_arrow())  # noqa: SLF001
    return frame.toArrow()


def read_chdb(data: Path, keys: Sequence[str], where: Where) -> Any:
    """ClickHouse in this process, which infers the keys' types."""
    del keys
    return _chdb(data, "*", where)


def read_chdb_typed(data: Path, keys: Sequence[str], where: Where) -> Any:
    """ClickHouse, told which text is null, and that local times have no zone."""
    casts = {"date": "toDate32", "year": "toInt64"}
    columns = [
        f"{casts.get(key, 'toString')}(nullIf(toString({key}), '__HIVE_DEFAULT_PARTITION__'))"
        f" AS {key}"
        for key in keys
    ]
    return _chdb(data, f"* REPLACE ({', '.join(columns)})", where)


def _chdb(data: Path, columns: str, where: Where) -> Any:
    import chdb

    query = f"SELECT {columns} FROM file('{data}/**/*.parquet', Parquet)"
    query = f"SELECT * FROM ({query}){sql_condition(where)}"
    return pa.ipc.open_stream(chdb.query(query, "ArrowStream").bytes()).read_all()
