"""Metadata of records and keyed rows, made by hand for tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.windows.order import keyed_schema
from a20_parquet.windows.records import RecordMetadata
from a20_parquet.windows.window_table import RECORDING_COLUMNS, WindowTable


def make_metadata(
    records: Sequence[tuple[str | bytes, float, tuple[int, int, int]]],
    position: int = 0,
    first: int = 0,
    shard: str = "shard",
) -> RecordMetadata:
    """Metadata of records given as filename, timestamp and shape; 1000 bytes a record."""
    names = [name if isinstance(name, bytes) else name.encode() for name, _, _ in records]
    return RecordMetadata(
        shard=shard,
        position=position,
        numbers=np.arange(first, first + len(records)),
        offsets=[1000 * (first + index) for index in range(len(records))],
        filenames=names,
        timestamps_s=np.array([timestamp for _, timestamp, _ in records], np.float64),
        shapes=[shape for _, _, shape in records],
    )


def make_keyed(rows: Sequence[dict[str, Any]]) -> Any:
    """A record batch of ``keyed_schema()``; columns that a row leaves out are null or zero."""
    schema = keyed_schema()
    defaults = {
        "filename": "f",
        "recording_offset_in_file": 0.0,
        "channel": 0,
        "site": "s",
        "shard": 0,
        "record": 0,
    }
    full = [defaults | row for row in rows]
    arrays = [
        pa.array([row.get(field.name) for row in full], field.type)
        if not pa.types.is_timestamp(field.type)
        else pa.array([row.get(field.name) for row in full], pa.int64()).cast(field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)


def window_table(keyed: Any) -> WindowTable:
    """The rows of a record batch or table of ``keyed_schema()``, each a recording of its own."""
    table = pa.table(keyed)
    columns = [column.combine_chunks() for column in table.columns]
    batch = pa.record_batch(columns, table.schema)
    others = [name for name in batch.schema.names if name not in RECORDING_COLUMNS]
    return WindowTable(
        batch.schema,
        batch.select(list(RECORDING_COLUMNS)),
        np.arange(len(batch), dtype=np.int32),
        batch.select(others),
    )
