"""Reads metadata columns of many small local files at once.

pyarrow takes longer to open a small file than to decode its columns. So the pages of many files are
joined to one Parquet file in memory, in which each file is a row group. Only files as this program
writes them are joined; column chunks are checked first, and pages keep their checksums.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.footer_check import StoredColumns, check_group, stored_columns
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import (
    MAGIC,
    TAIL_BYTES,
    Compression,
    FooterFrame,
    LocalInput,
    MovableChunk,
    ParquetLayout,
    WrittenGroup,
    read_known_group,
)

# Metadata, page index and footer of most small files.
_FIRST_READ: Final = 16 << 10


class SmallFile(NamedTuple):
    """A data file of one row group."""

    path: str
    """Relative to the dataset."""
    rows: int
    bytes: int


def read_joined(catalog: Catalog, files: Sequence[SmallFile], names: Sequence[str]) -> Any:
    """Read columns other than the embedding of several local files.

    Args:
        catalog: of the dataset.
        files: at least one.
        names: of the columns, at least one.

    Returns:
        A ``pyarrow.Table`` of all rows, whose values are not checked; None if a file is missing,
        damaged or has another form, so that each must be read by itself.
    """
    stored = [name for name in catalog.metadata_columns if name in names]
    columns = stored_columns(
        catalog.dims, catalog.features, tuple(stored), catalog.store, catalog.file_keys
    )
    try:
        content = _join(catalog, files, columns)
        reader = pq.ParquetReader()
        reader.open(pa.BufferReader(content), page_checksum_verification=True)
        table = reader.read_all(use_threads=False)
    except (OSError, ValueError, DatasetError, pa.ArrowException):
        return None
    if len(table) != sum(file.rows for file in files) or table.schema != columns.schema:
        return None
    return table.select(list(names))


def _join(catalog: Catalog, files: Sequence[SmallFile], columns: StoredColumns) -> bytes:
    """Return a Parquet file with a row group for each file, of these columns alone.

    Raises:
        OSError: a file cannot be read.
        DatasetError: a file ends too early.
        ValueError: a file has another size or form than this program's files.
    """
    frame = _frame(columns.schema)
    parts, size, groups = [MAGIC], len(MAGIC), []
    for file in files:
        start, moved = size, []
        for chunk, pages in _read(catalog, file, columns):
            moved.append(chunk.moved(size - chunk.place.start))
            parts.append(pages)
            size += len(pages)
        group = WrittenGroup(file.rows, start, size - start, size - start)
        groups.append(frame.row_group(group, len(moved), moved))
    parts.append(frame.encode(sum(file.rows for file in files), groups))
    return b"".join(parts)


@lru_cache
def _frame(schema: Any) -> FooterFrame:
    return ParquetLayout(schema, Compression.NONE).footer


def _read(
    catalog: Catalog, file: SmallFile, columns: StoredColumns
) -> list[tuple[MovableChunk, bytes]]:
    """Read column chunks and their pages; see ``_join`` on the errors."""
    source = LocalInput(catalog.path(file.path))
    try:
        if source.size != file.bytes:
            raise ValueError(f"it has {source.size} bytes")
        begin = max(0, file.bytes - _FIRST_READ)
        content = _bytes(source, begin, file.bytes)
        length = int.from_bytes(content[-TAIL_BYTES : -len(MAGIC)], "little")
        if length + TAIL_BYTES > len(content):
            raise ValueError("its footer is long")
        found, chunks = read_known_group(
            content[-TAIL_BYTES - length : -TAIL_BYTES],
            columns.footer,
            rows=file.rows,
            columns=columns.file_columns,
            wanted=columns.indices,
        )
        check_group(found, columns, group=0, rows=file.rows, size=file.bytes)
        first = min(place.start for place in found.chunks.values())
        if first < begin:
            content = _bytes(source, first, begin) + content
            begin = first
    finally:
        source.close()
    pages = []
    for chunk in chunks:
        place = chunk.place
        pages.append(content[place.start - begin : place.start - begin + place.stored_size])
    return list(zip(chunks, pages, strict=True))


def _bytes(source: LocalInput, start: int, end: int) -> bytes:
    content = bytearray(end - start)
    source.read_into([memoryview(content)], start)
    return bytes(content)
