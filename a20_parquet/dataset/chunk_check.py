"""Checks column chunks as a data file's footer describes them, before pyarrow reads them.

Readers reserve memory for as many values as a footer claims; some abort the process without it.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

from a20_parquet.parquet import MAGIC
from a20_parquet.windows.schema import EMBEDDING, Feature, window_schema


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


@lru_cache
def stored_columns(
    dims: int, features: tuple[Feature, ...], names: tuple[str, ...]
) -> StoredColumns:
    """Look up columns by their names."""
    schema = window_schema(dims, features)
    fields = [schema.field(name) for name in names]
    return StoredColumns(
        len(schema),
        tuple(schema.get_field_index(name) for name in names),
        tuple(map(_values, fields)),
        pa.schema(fields),
    )


def _values(field: Any) -> tuple[int, int]:
    if not pa.types.is_fixed_size_list(field.type):
        return 1, 1
    length = field.type.list_size
    # A feature's list that is null counts as one value.
    return (length if field.name == EMBEDDING else 1), length


def check_chunks(
    footer: Any, columns: StoredColumns, groups: Sequence[int], rows: Sequence[int], size: int
) -> None:
    """Check the column chunks that are going to be read.

    Args:
        footer: as pyarrow has parsed it.
        columns: to read.
        groups: numbers of the row groups to read.
        rows: of each row group of the file.
        size: of the file, in bytes.

    Raises:
        ValueError: no file of this size and these rows has such chunks.
    """
    found, expected = (footer.num_columns, footer.num_row_groups), (columns.file_columns, len(rows))
    if found != expected:
        raise ValueError(f"it has columns and row groups {found}, expected {expected}")
    for group in groups:
        found_group, of_group = footer.row_group(group), rows[group]
        if found_group.num_rows != of_group:
            raise ValueError(
                f"row group {group} has {found_group.num_rows} rows, expected {of_group}"
            )
        for index, (fewest, most) in zip(columns.indices, columns.values, strict=True):
            chunk = found_group.column(index)
            count, stored_size = chunk.num_values, chunk.total_compressed_size
            start = chunk.data_page_offset
            if chunk.has_dictionary_page:
                start = min(start, chunk.dictionary_page_offset)
            if not (
                fewest * of_group <= count <= most * of_group
                and len(MAGIC) <= start < start + stored_size < size
            ):
                raise ValueError(
                    f"column {index} in row group {group} cannot have {count} values in "
                    f"{stored_size} bytes from byte {start} on"
                )
