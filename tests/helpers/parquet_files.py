"""Windows, Parquet files of them, and values that compare by their bits."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.parquet import Compression, GroupEncoder, ParquetLayout, ParquetWriter
from a20_parquet.windows.schema import window_schema

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("small", pa.int16()),
        pa.field("number", pa.int32(), nullable=False),
        pa.field("big", pa.int64()),
        pa.field("float", pa.float64(), nullable=False),
        pa.field("instant", pa.timestamp("us", tz="UTC")),
        pa.field("day", pa.date32()),
    ]
)
"""A column of each flat type."""

START_US = 1_602_633_600_000_000


def embedding_type(dims: int) -> Any:
    """Lists of ``dims`` floats that are never null."""
    return pa.list_(pa.field("element", pa.float32(), nullable=False), dims)


def windows(rows: int, dims: int = 8, *, seed: int = 0) -> Any:
    """Windows of recordings with 12 windows each, some of unknown local time."""
    random = np.random.default_rng(seed)
    schema = window_schema(dims)
    floats = pa.array(random.standard_normal(rows * dims, dtype=np.float32))
    recording, window = np.divmod(np.arange(rows), 12)
    start = START_US + recording * 60_000_000
    local = recording % 3 > 0
    columns = {
        "embedding": pa.FixedSizeListArray.from_arrays(floats, type=schema.field(0).type),
        "filename": [f"site_0285/Arkaba-Dry-A_{9_998 + i}.flac" for i in recording.tolist()],
        "site_id": np.full(rows, 285),
        "site_name": ["Arkaba"] * rows,
        "subsite_name": [None] * rows,
        "file_seq_id": 9_998 + recording,
        "file_timestamp": start,
        "utc_offset_minutes": pa.array(np.full(rows, 600), pa.int16(), mask=~local),
        "file_seconds_since_midnight": pa.array(recording * 60 % 86_400, mask=~local),
        "recording_offset_in_file": window * 5.0,
        "window_start": start + window * 5_000_000,
        "window_start_local": start + window * 5_000_000 + local * 36_000_000_000,
        "channel": np.zeros(rows, np.int16),
    }
    arrays = [
        column if field.name == "embedding" else pa.array(column).cast(field.type)
        for field, column in zip(schema, columns.values(), strict=True)
    ]
    return pa.record_batch(arrays, schema=schema)


def encoder_of(schema: Any, compression: Compression = Compression.NONE) -> GroupEncoder:
    """An encoder of files with a schema."""
    return GroupEncoder(ParquetLayout(schema, compression))


def write(file: Any, batches: list[Any], compression: Compression) -> ParquetWriter:
    """Writes one row group a batch."""
    encoder = encoder_of(batches[0].schema, compression)
    with ParquetWriter(file, encoder) as writer:
        for batch in batches:
            writer.put(encoder.encode(batch))
    return writer


def encode(batches: list[Any], compression: Compression = Compression.NONE) -> bytes:
    """The bytes of a file with one row group a batch."""
    file = io.BytesIO()
    write(file, batches, compression)
    return file.getvalue()


def saved(folder: Path, batches: list[Any], compression: Compression = Compression.NONE) -> Path:
    """A file on disk, written through its descriptor."""
    path = folder / "windows.parquet"
    with path.open("wb", buffering=0) as file:
        write(file, batches, compression)
    return path


def bits(array: Any) -> Any:
    """Floats as integers, so that NaN payloads and signs of zeros count."""
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        floats = array.flatten()
        return array.is_valid().to_pylist(), floats.view(pa.int32()).to_pylist()
    if pa.types.is_float64(kind):
        return array.view(pa.int64()).to_pylist()
    return array.to_pylist()


def same(table: Any, batches: list[Any]) -> bool:
    """Whether all rows are the same to the bit."""
    expected = pa.Table.from_batches(batches)
    return table.schema.equals(expected.schema) and all(
        bits(found.combine_chunks()) == bits(wanted.combine_chunks())
        for found, wanted in zip(table.columns, expected.columns, strict=True)
    )


def files_of(layout: ParquetLayout, batch: Any, sizes: Sequence[int]) -> list[bytes]:
    """Files with one row group each, whose rows lie one behind the other."""
    encoder = GroupEncoder(layout)
    files = []
    for group in encoder.encode_many(batch, sizes):
        file = io.BytesIO()
        with ParquetWriter(file, encoder) as writer:
            writer.put(group)
        files.append(file.getvalue())
    return files
