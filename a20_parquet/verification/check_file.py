"""Checks one data file: size, checksum, schema and every row."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import crc32c
import numpy as np
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.dataset.embedding_buffer import EmbeddingBuffer
from a20_parquet.dataset.file_bounds import FileBounds
from a20_parquet.dataset.find_bounds import bound_groups, merge_bounds
from a20_parquet.dataset.mend import Footer, Mend
from a20_parquet.dataset.problem import Problem
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import DatasetError
from a20_parquet.storage.locate import check_regular
from a20_parquet.storage.path import parse_path
from a20_parquet.verification.check_rows import RowChecker
from a20_parquet.windows.fingerprint import BlockSink, WindowBlock
from a20_parquet.windows.partition import key_arrays
from a20_parquet.windows.schema import file_schema, key_columns, metadata_schema

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileCheck:
    """Result of checking one file."""

    problems: tuple[Problem, ...]
    windows: int
    """Rows that were checked."""
    is_outdated: bool = False
    """Whether ``repair`` must correct the file or its row in ``files.parquet``."""


class FileChecker:
    """Checks data files of one dataset; thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        advance: Callable[[int], None],
        sink: BlockSink | None = None,
    ) -> None:
        """Prepare to check.

        Args:
            catalog: of the dataset.
            advance: called with the number of bytes read.
            sink: gets the windows in blocks, with the file's path; None to drop them.
        """
        self._catalog = catalog
        self._root = parse_path(catalog.location)
        self._advance = advance
        self._sink = sink
        self._schema = file_schema(catalog.dims, catalog.features, catalog.store, catalog.file_keys)

    def check(self, file: FileSummary) -> FileCheck:
        """Check one file; rows are checked only if the file's bytes are as written."""
        found = list(self._bytes(file))
        windows = 0
        outdated = self._outdated(file, is_damaged=bool(found))
        if outdated:
            found = []
        if not found:
            try:
                with DataFile(self._catalog, file.path, rows=file.rows, size=file.bytes) as opened:
                    found += self._footer(file, opened)
                    if not found:
                        found += self._rows(file, opened)
                        windows = file.rows
            except DatasetError as error:
                found.append(error.console_text)
        problems = tuple(Problem(file.path, message) for message in found)
        return FileCheck(problems, windows, outdated)

    def _bytes(self, file: FileSummary) -> Iterator[str]:
        read = 0
        checksum = 0
        buffer = memoryview(bytearray(min(_READ_BYTES, file.bytes + 1)))
        try:
            with open_file(self._catalog, file.path) as content:
                while count := content.readinto(buffer):
                    checksum = crc32c.crc32c(buffer[:count], checksum)
                    read += count
                    self._advance(count)
        except FileNotFoundError:
            yield "is missing, though files.parquet names it"
            self._advance(file.bytes)
            return
        except OSError as error:
            yield f"cannot be read: {error}"
            self._advance(file.bytes - read)
            return
        if read != file.bytes:
            yield f"has {read:,} bytes, expected {file.bytes:,} as in files.parquet"
            self._advance(file.bytes - read)
        elif f"{checksum:08x}" != file.checksum:
            yield (
                f"its CRC32C is {checksum:08x}, expected {file.checksum} as in files.parquet: it "
                "is damaged or was changed"
            )

    def _outdated(self, file: FileSummary, *, is_damaged: bool) -> bool:
        """Return whether a file is intact, but from an earlier version or half repaired."""
        path = self._root / file.path
        try:
            if is_damaged:
                return Mend.of(path, file, lambda _: None).is_sound
            return not Footer.read(path, file.bytes).is_right
        except (DatasetError, OSError):
            return False

    def _footer(self, file: FileSummary, opened: DataFile) -> Iterator[str]:
        found = opened.schema
        if not found.equals(self._schema):
            yield f"its columns are not the dataset's: {_schema_difference(found, self._schema)}"
        if opened.stored_rows != file.rows:
            yield f"has {opened.stored_rows:,} rows, expected {file.rows:,} as in files.parquet"

    def _keys(self, file: FileSummary, opened: DataFile) -> Iterator[str]:
        """Check the columns that repeat the Hive keys."""
        keys = self._catalog.file_keys
        if not keys:
            return
        site, period = file.key
        by = self._catalog.partition_by
        columns = key_columns(keys)
        expected = key_arrays(pa.array([site]), pa.array([period], pa.int32()), by)
        table = opened.metadata(range(len(opened.rows)), [column.name for column in columns])
        for column, value in zip(columns, expected, strict=True):
            if table[column.name].unique().to_pylist() != value.to_pylist():
                yield f"its column {column.name} is not {value[0]} in each row, as its folder says"

    def _rows(self, file: FileSummary, opened: DataFile) -> Iterator[str]:
        options = self._catalog.head.options
        checker = RowChecker(*file.key, options.partition_by, options.site_tokens)
        sink = None if self._sink is None else partial(self._sink, file.path)
        bounds = []
        for metadata in _read_groups(opened, self._catalog, sink):
            if len(metadata):
                yield from checker.check(metadata)
                batch = metadata.combine_chunks().to_batches()[0]
                bounds += bound_groups(batch, [len(metadata)])
        yield from self._keys(file, opened)
        for name, found, expected in (
            ("first", checker.first_us, file.first_window_us),
            ("last", checker.last_us, file.last_window_us),
        ):
            if found != expected:
                yield (
                    f"its {name} window starts at {_instant(found)}, expected "
                    f"{_instant(expected)} as in files.parquet"
                )
        if bounds and file.bounds is not None:
            yield from _differing_bounds(merge_bounds(bounds), file.bounds)


def _differing_bounds(found: FileBounds, expected: FileBounds) -> Iterator[str]:
    for name, value in found:
        if (listed := getattr(expected, name)) != value:
            yield f"its {name} is {value!r}, expected {listed!r} as in files.parquet"


def read_file(catalog: Catalog, file: FileSummary, sink: BlockSink) -> None:
    """Read all windows of a file that was checked before.

    Raises:
        DatasetError: the file cannot be read.
    """
    with DataFile(catalog, file.path, rows=file.rows, size=file.bytes) as opened:
        for _ in _read_groups(opened, catalog, partial(sink, file.path)):
            pass


def _read_groups(
    opened: DataFile, catalog: Catalog, sink: Callable[[WindowBlock], None] | None
) -> Iterator[Any]:
    """Yield each row group's metadata, then pass its windows to the sink, page by page."""
    columns = metadata_schema(catalog.features).names
    buffer = EmbeddingBuffer()
    for group in range(len(opened.rows)):
        metadata = opened.metadata([group], columns)
        yield metadata
        batch = metadata.combine_chunks().to_batches()[0] if sink and len(metadata) else None
        for pages, page in opened.pages(group):
            embeddings = buffer.rows(page.rows, catalog.dims)
            opened.read_page(pages, page, embeddings)
            if sink is not None and batch is not None:
                sink(WindowBlock(batch.slice(page.first, page.rows), embeddings))


def open_file(catalog: Catalog, path: str) -> Any:
    """Open a file of a dataset without a buffer.

    Raises:
        OSError: the file cannot be opened, or is a named pipe, a socket or a device.
    """
    if catalog.is_local:
        check_regular(catalog.path(path))
        return open(catalog.path(path), "rb", buffering=0)
    return catalog.filesystem.open(catalog.path(path), "rb")


def _schema_difference(found: Any, expected: Any) -> str:
    for index, field in enumerate(expected):
        other = found.field(index) if index < len(found) else None
        if other is None or not other.equals(field):
            return f"column {index} is {_field(other)}, expected {_field(field)}"
    return f"found {len(found)} columns, expected {len(expected)}"


def _field(field: Any) -> str:
    if field is None:
        return "missing"
    return f"{field.name} ({field.type}{'' if field.nullable else ', not null'})"


def _instant(us: int | None) -> str:
    return "no time" if us is None else f"{np.datetime64(us, 'us')} UTC"
