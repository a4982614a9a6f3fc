"""Reads metadata columns of many local files at once.

pyarrow takes longer to open a file than to decode its columns. So the pages of many files are
joined to one Parquet file in memory. Only files as this program writes them are joined; column
chunks are checked first, and pages keep their checksums.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from threading import Lock
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
    KnownGroups,
    LocalInput,
    MovableChunk,
    ParquetLayout,
    WrittenGroup,
)

# Metadata, page index and footer of most files of one row group.
_FIRST_READ: Final = 16 << 10
_WAITING_S, _WAITING_RATIO = 0.02, 3


class Turn:
    """Lets one thread at a time read footers, as long as none waits for a disk.

    That is short reads and Python between them. Threads that hand over the interpreter's lock at
    each read take longer together than one of them alone.
    """

    def __init__(self) -> None:
        """Begin without a thread that reads."""
        self._lock = Lock()
        self._waits = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for this thread's turn, and hold it."""
        if self._waits:
            yield
            return
        with self._lock:
            begun_s, cpu_s = time.perf_counter(), time.thread_time()
            yield
            wall_s, cpu_s = time.perf_counter() - begun_s, time.thread_time() - cpu_s
            # Other threads also take a part of the time, but hardly as much.
            self._waits = wall_s > _WAITING_S + _WAITING_RATIO * cpu_s


class WholeFile(NamedTuple):
    """A data file, of which all rows are read."""

    path: str
    """Relative to the dataset."""
    rows: int
    bytes: int


def read_joined(
    catalog: Catalog, files: Sequence[WholeFile], names: Sequence[str], turn: Turn
) -> Any:
    """Read columns other than the embedding of several local files.

    Args:
        catalog: of the dataset.
        files: at least one.
        names: of the columns, at least one.
        turn: shared by the threads of a query.

    Returns:
        A ``pyarrow.Table`` of all rows, whose values are not checked; None if a file is missing,
        damaged or has another form, so that each must be read by itself.
    """
    stored = [name for name in catalog.metadata_columns if name in names]
    columns = stored_columns(
        catalog.dims, catalog.features, tuple(stored), catalog.store, catalog.file_keys
    )
    try:
        with turn.taken():
            content = _join(catalog, files, columns)
        reader = pq.ParquetReader()
        reader.open(pa.BufferReader(content), page_checksum_verification=True)
        table = reader.read_all(use_threads=False)
    except (OSError, ValueError, DatasetError, pa.ArrowException):
        return None
    if len(table) != sum(file.rows for file in files) or table.schema != columns.schema:
        return None
    return table.select(list(names))


def _join(catalog: Catalog, files: Sequence[WholeFile], columns: StoredColumns) -> bytes:
    """Return a Parquet file with a row group for each file, of these columns alone.

    Raises:
        OSError: a file cannot be read.
        DatasetError: a file ends too early.
        ValueError: a file has another size or form than this program's files.
    """
    frame, known = _frame(columns.schema), _known_groups(columns)
    parts, size, groups = [MAGIC], len(MAGIC), []
    for file in files:
        for rows, chunks in _read(catalog, file, columns, known):
            start, moved = size, []
            for chunk, pages in chunks:
                moved.append(chunk.moved(size - chunk.place.start))
                parts.append(pages)
                size += len(pages)
            group = WrittenGroup(rows, start, size - start, size - start)
            groups.append(frame.row_group(group, len(moved), moved))
    parts.append(frame.encode(sum(file.rows for file in files), groups))
    return b"".join(parts)


@lru_cache
def _frame(schema: Any) -> FooterFrame:
    return ParquetLayout(schema, Compression.NONE).footer


@lru_cache
def _known_groups(columns: StoredColumns) -> KnownGroups:
    return KnownGroups(columns.footer, columns.file_columns, columns.indices)


def _read(
    catalog: Catalog, file: WholeFile, columns: StoredColumns, known: KnownGroups
) -> Iterator[tuple[int, list[tuple[MovableChunk, bytes]]]]:
    """Yield the rows of each row group, its column chunks and their pages; see ``_join``."""
    source = LocalInput(catalog.path(file.path))
    try:
        if source.size != file.bytes:
            raise ValueError(f"it has {source.size} bytes")
        begin = max(0, file.bytes - _FIRST_READ)
        tail = source.read(begin, file.bytes)
        length = int.from_bytes(tail[-TAIL_BYTES : -len(MAGIC)], "little")
        footer_start = file.bytes - TAIL_BYTES - length
        if footer_start < begin:
            tail = source.read(max(0, footer_start), begin) + tail
            begin = max(0, footer_start)
        found = known.read(tail[footer_start - begin : -TAIL_BYTES], file.rows)
        unread = file.bytes
        for number, (group, chunks) in enumerate(found):
            check_group(group, columns, group=number, rows=group.rows, size=file.bytes)
            places = group.chunks.values()
            first = min(place.start for place in places)
            end = max(place.start + place.stored_size for place in places)
            # A forged footer may ask for the whole file again for each of its thousands of groups.
            unread -= max(end - first, sum(place.stored_size for place in places))
            if unread < 0:
                raise ValueError("its row groups or columns overlap")
            content, start = tail, begin
            if first < begin:
                content, start = source.read(first, min(begin, end)), first
                if end > begin:
                    content += tail
            pages = [
                content[place.start - start : place.start - start + place.stored_size]
                for place in places
            ]
            yield group.rows, list(zip(chunks, pages, strict=True))
    finally:
        source.close()
