"""The columns of a dataset: one row a window."""

from typing import Any

import pyarrow as pa

EMBEDDING = "embedding"


def embedding_type(dims: int) -> Any:
    """``fixed_size_list<float32 not null>[dims]``."""
    return pa.list_(pa.field("element", pa.float32(), nullable=False), dims)


def metadata_schema() -> Any:
    """Every column but the embedding, in their order."""
    return pa.schema(
        [
            pa.field("filename", pa.string(), nullable=False),
            pa.field("site_id", pa.int32()),
            pa.field("site_name", pa.string()),
            pa.field("subsite_name", pa.string()),
            pa.field("file_seq_id", pa.int64()),
            pa.field("file_timestamp", pa.timestamp("us", tz="UTC")),
            pa.field("utc_offset_minutes", pa.int16()),
            pa.field("file_seconds_since_midnight", pa.int32()),
            pa.field("recording_offset_in_file", pa.float64(), nullable=False),
            pa.field("window_start", pa.timestamp("us", tz="UTC")),
            pa.field("window_start_local", pa.timestamp("us")),
            pa.field("channel", pa.int16(), nullable=False),
        ]
    )


def window_schema(dims: int) -> Any:
    """The Arrow schema of windows with ``dims`` floats an embedding."""
    embedding = pa.field(EMBEDDING, embedding_type(dims), nullable=False)
    return pa.schema([embedding, *metadata_schema()])


def keyed_schema() -> Any:
    """The metadata with what else windows are sorted by; only runs hold these columns."""
    return pa.schema(
        [
            *metadata_schema(),
            pa.field("site", pa.string(), nullable=False),
            pa.field("period", pa.int32()),
            pa.field("shard", pa.int32(), nullable=False),
            pa.field("record", pa.int64(), nullable=False),
        ]
    )
