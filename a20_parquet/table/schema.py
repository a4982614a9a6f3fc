"""The columns of a dataset: one row a window."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa

EMBEDDING = "embedding"


@dataclass(frozen=True, slots=True)
class Column:
    """One column, with what it means."""

    name: str
    type: Any
    """Arrow type."""
    nullable: bool
    meaning: str

    @property
    def field(self) -> Any:
        """The Arrow field."""
        return pa.field(self.name, self.type, nullable=self.nullable)


_UTC = pa.timestamp("us", tz="UTC")

METADATA = (
    Column("filename", pa.string(), nullable=False, meaning="the recording, as the shard names it"),
    Column("site_id", pa.int32(), nullable=True, meaning="285 of the folder site_0285"),
    Column("site_name", pa.string(), nullable=True, meaning="the recorder's place"),
    Column("subsite_name", pa.string(), nullable=True, meaning="Wet-A, Wet-B, Dry-A or Dry-B"),
    Column("file_seq_id", pa.int64(), nullable=True, meaning="the A2O's id of the recording"),
    Column("file_timestamp", _UTC, nullable=True, meaning="start of the recording"),
    Column(
        "utc_offset_minutes",
        pa.int16(),
        nullable=True,
        meaning="of the recording's local time; null where the name says Z",
    ),
    Column(
        "file_seconds_since_midnight",
        pa.int32(),
        nullable=True,
        meaning="time of day at which the recording starts, local",
    ),
    Column(
        "recording_offset_in_file",
        pa.float64(),
        nullable=False,
        meaning="seconds from the recording's start to the window's",
    ),
    Column("window_start", _UTC, nullable=True, meaning="start of the window"),
    Column(
        "window_start_local",
        pa.timestamp("us"),
        nullable=True,
        meaning="the same on the recorder's wall clock; UTC where that is unknown",
    ),
    Column("channel", pa.int16(), nullable=False, meaning="0, or others where audio was separated"),
)
"""Every column but the embedding, in their order."""


def columns(dims: int) -> tuple[Column, ...]:
    """All columns of a dataset with ``dims`` floats an embedding."""
    embedding = Column(
        EMBEDDING,
        pa.list_(pa.field("element", pa.float32(), nullable=False), dims),
        nullable=False,
        meaning="the model's embedding of the window",
    )
    return (embedding, *METADATA)


@lru_cache
def metadata_schema() -> Any:
    """The Arrow schema of all columns but the embedding."""
    return pa.schema([column.field for column in METADATA])


@lru_cache
def window_schema(dims: int) -> Any:
    """The Arrow schema of windows with ``dims`` floats an embedding."""
    return pa.schema([column.field for column in columns(dims)])


@lru_cache
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
