"""Batches with columns of each type that the encoder takes."""

from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.windows.schema import Feature, window_schema
from tests.helpers.parquet_files import embedding_type, windows

ALL_TYPES = [
    pa.string(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.binary(),
    pa.float32(),
    pa.float64(),
    pa.timestamp("us"),
    pa.timestamp("us", tz="UTC"),
    pa.date32(),
    embedding_type(3),
    pa.list_(pa.field("element", pa.float16(), nullable=False), 3),
    pa.list_(pa.field("element", pa.int64(), nullable=False), 3),
]


def every_type(rows: int = 60) -> Any:
    """A batch with a column of each type that the encoder takes, nullable and not."""
    fields: list[Any] = []
    arrays: list[Any] = []
    numbers = np.arange(rows) * 7 % 31 - 5
    for kind in ALL_TYPES:
        for nullable in (True, False):
            mask = pa.array(np.arange(rows) % 5 == 1) if nullable else None
            if pa.types.is_fixed_size_list(kind):
                items = pa.array(np.arange(3 * rows).astype(np.float32)).cast(kind.value_type)
                array = pa.FixedSizeListArray.from_arrays(items, type=kind, mask=mask)
            elif kind in {pa.string(), pa.binary()}:
                array = pa.array([f"Ü{number}" for number in numbers]).cast(kind)
            elif kind == pa.date32():
                array = pa.array(numbers.astype(np.int32)).cast(kind)
            else:
                array = pa.array(numbers).cast(kind)
            if mask is not None and not pa.types.is_fixed_size_list(kind):
                array = pa.compute.if_else(mask, None, array)
            fields.append(pa.field(f"c{len(fields)}", kind, nullable))
            arrays.append(array)
    return pa.record_batch(arrays, schema=pa.schema(fields, metadata={"of": "the file"}))


def with_features() -> Any:
    """Windows as a conversion writes them, with a feature that some records lack."""
    batch = windows(60, 4)
    schema = window_schema(4, (Feature("logits", 2),))
    floats = np.arange(120, dtype=np.float32)
    (field,) = (f for f in schema if f.name == "logits")
    lacking = pa.array(np.arange(60) % 12 < 6)
    lists = pa.FixedSizeListArray.from_arrays(pa.array(floats), type=field.type, mask=lacking)
    columns = {name: batch[name] for name in batch.schema.names} | {"logits": lists}
    return pa.record_batch([columns[name] for name in schema.names], schema=schema)


BATCHES = {"windows": windows(60, 4), "features": with_features(), "every type": every_type()}
