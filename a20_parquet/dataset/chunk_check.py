"""Checks what a data file's footer says of its column chunks, before a library goes by it.

Readers reserve memory for as many values as a footer tells of; some end the process without it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import pyarrow as pa

from a20_parquet.parquet import MAGIC
from a20_parquet.windows.schema import EMBEDDING, Feature, window_schema


class StoredColumn(NamedTuple):
    """What each file says of a column."""

    place: int
    """Among the columns, from 0."""
    field: Any
    """Arrow's."""
    values: int
    """Of a row, where it is not null."""


@lru_cache
def stored_columns(dims: int, features: tuple[Feature, ...]) -> Mapping[str, StoredColumn]:
    """What files say of their columns, by name."""
    return {
        field.name: StoredColumn(
            place,
            field,
            field.type.list_size if pa.types.is_fixed_size_list(field.type) else 1,
        )
        for place, field in enumerate(window_schema(dims, features))
    }


def check_chunks(  # noqa: PLR0913 - what the footer says, and what it must say
    footer: Any,
    stored: Mapping[str, StoredColumn],
    *,
    columns: Sequence[str],
    groups: Sequence[int],
    rows: Sequence[int],
    size: int,
) -> None:
    """Check the column chunks that are going to be read.

    Args:
        footer: as pyarrow has parsed it.
        stored: all columns.
        columns: names of those to read.
        groups: numbers of the row groups to read.
        rows: of each row group of the file.
        size: of the file, in bytes.

    Raises:
        ValueError: no file of this size and these rows has such chunks.
    """
    found, expected = (footer.num_columns, footer.num_row_groups), (len(stored), len(rows))
    if found != expected:
        raise ValueError(f"it has columns and row groups {found}, expected {expected}")
    for group in groups:
        found_group = footer.row_group(group)
        for name in columns:
            chunk = found_group.column(stored[name].place)
            most = stored[name].values
            # A feature's list that is null counts as one value.
            fewest = most if name == EMBEDDING else 1
            start, stored_size = chunk.data_page_offset, chunk.total_compressed_size
            if chunk.has_dictionary_page:
                start = min(start, chunk.dictionary_page_offset)
            if not (
                found_group.num_rows == rows[group]
                and fewest * rows[group] <= chunk.num_values <= most * rows[group]
                and len(MAGIC) <= start < start + stored_size < size
            ):
                raise ValueError(
                    f"{name} in row group {group} has {chunk.num_values} values in {stored_size} "
                    f"bytes from byte {start} on, which can't be"
                )
