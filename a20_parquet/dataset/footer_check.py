"""Checks a data file's footer before pyarrow reads column chunks by it.

Readers reserve memory for as many values as a footer claims; some abort the process without it.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

from a20_parquet.parquet import (
    MAGIC,
    TAIL_BYTES,
    Compression,
    FooterFrame,
    ParquetLayout,
    RowGroup,
    RowGroups,
)
from a20_parquet.windows.schema import EMBEDDING, Feature, Store, file_schema


class StoredColumns(NamedTuple):
    """Some columns of the data files, as every file must store them."""

    file_columns: int
    """How many columns a file has."""
    indices: tuple[int, ...]
    """Of these columns among the file's, from 0."""
    values: tuple[tuple[int, int], ...]
    """The fewest and the most values that a row has in each of them."""
    schema: Any
    """The Arrow schema of these columns."""
    footer: FooterFrame
    """What footers of this program's files begin with."""


@lru_cache
def stored_columns(
    dims: int,
    features: tuple[Feature, ...],
    names: tuple[str, ...],
    store: Store,
    keys: tuple[str, ...],
) -> StoredColumns:
    """Look up columns by their names; ``keys`` are the Hive keys that the files repeat."""
    schema = file_schema(dims, features, store, keys)
    fields = [schema.field(name) for name in names]
    return StoredColumns(
        len(schema),
        tuple(schema.get_field_index(name) for name in names),
        tuple(map(_values, fields)),
        pa.schema(fields),
        ParquetLayout(schema, Compression.NONE).footer,
    )


def _values(field: Any) -> tuple[int, int]:
    if not pa.types.is_fixed_size_list(field.type):
        return 1, 1
    length = field.type.list_size
    # A feature's list that is null counts as one value.
    return (length if field.name == EMBEDDING else 1), length


def read_row_groups(source: Any, size: int, known: FooterFrame) -> RowGroups:
    """Find the row groups of a file.

    Args:
        source: the file, opened for reading.
        size: of the file, in bytes.
        known: see ``StoredColumns``.

    Raises:
        ValueError: its footer is damaged.
        OSError: it cannot be read.
    """
    source.seek(max(0, size - TAIL_BYTES))
    length = int.from_bytes(source.read(TAIL_BYTES)[: -len(MAGIC)], "little")
    source.seek(max(0, size - TAIL_BYTES - length))
    return RowGroups(source.read(length), known)


def check_group(
    found: RowGroup, columns: StoredColumns, *, group: int, rows: int, size: int
) -> None:
    """Check column chunks that are going to be read.

    Args:
        found: of a row group.
        columns: to read.
        group: its number.
        rows: that it must have.
        size: of the file, in bytes.

    Raises:
        ValueError: no file of this size and these rows has such chunks.
    """
    if (found.rows, found.columns) != (rows, columns.file_columns):
        raise ValueError(
            f"row group {group} has rows and columns {found.rows, found.columns}, expected "
            f"{rows, columns.file_columns}"
        )
    for index, (fewest, most) in zip(columns.indices, columns.values, strict=True):
        count, start, stored_size, *_ = found.chunks[index]
        if not (
            fewest * rows <= count <= most * rows
            and len(MAGIC) <= start < start + stored_size < size
        ):
            raise ValueError(
                f"column {index} in row group {group} cannot have {count} values in "
                f"{stored_size} bytes from byte {start} on"
            )
