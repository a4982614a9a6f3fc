"""Writes selected windows as one Parquet file, or as a ``.npy`` file with its metadata."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.summaries import Origin
from a20_parquet.errors import DatasetError
from a20_parquet.exporting.select_rows import SelectedRows
from a20_parquet.exporting.source_rows import open_cursor, selected_partitions
from a20_parquet.progress import Progress
from a20_parquet.runs.run import Rows
from a20_parquet.storage.files import TEMPORARY
from a20_parquet.windows.build import with_embeddings
from a20_parquet.windows.half import to_halves
from a20_parquet.windows.schema import EMBEDDING, KEYS, Store, window_schema

_STAGING_ROWS: Final = 2048
_COMPRESSIONS: Final = {"none": "NONE", "lz4": "LZ4", "zstd": "ZSTD"}
_ORIGIN: Final = b"a20_parquet.origin"
"""Key of a Parquet file's metadata whose value is the export's ``Origin`` as JSON."""


def write_parquet(
    catalog: Catalog, rows: SelectedRows, origin: Origin, file: Path, progress: Progress
) -> None:
    """Write one Parquet file: all columns, then the Hive keys, in the dataset's order.

    Raises:
        DatasetError: a file cannot be read or written.
    """
    with _replaced([file]) as (temporary,):
        schema = _schema(catalog, origin, [EMBEDDING, *catalog.metadata_columns])
        compression = _COMPRESSIONS[catalog.head.options.compression.value]
        with pq.ParquetWriter(str(temporary), schema, compression=compression) as writer:
            for windows, keys, embeddings in _batches(catalog, rows, progress):
                stored = to_halves(embeddings) if catalog.store is Store.FLOAT16 else embeddings
                columns = [*with_embeddings(windows, stored).columns, *keys]
                writer.write_batch(pa.record_batch(columns, schema=schema))


def write_npy(
    catalog: Catalog, rows: SelectedRows, origin: Origin, files: Sequence[Path], progress: Progress
) -> None:
    """Write the embeddings as a ``.npy`` file, and all other columns as a Parquet file.

    Row i of one belongs to row i of the other.

    Args:
        catalog: the dataset.
        rows: the selected ones.
        origin: which part it is.
        files: the ``.npy`` and the Parquet file.
        progress: of the bytes written.

    Raises:
        DatasetError: a file cannot be read or written.
    """
    schema = _schema(catalog, origin, catalog.metadata_columns)
    header = {
        "descr": "<f4",
        "fortran_order": False,
        "shape": (int(rows.counts.sum()), catalog.dims),
    }
    with _replaced(files) as (npy, metadata), ExitStack() as opened:
        array = cast("BinaryIO", opened.enter_context(npy.open("wb")))
        np.lib.format.write_array_header_1_0(array, header)
        writer = opened.enter_context(pq.ParquetWriter(str(metadata), schema, compression="ZSTD"))
        for windows, keys, embeddings in _batches(catalog, rows, progress):
            array.write(embeddings.astype("<f4", copy=False).data.cast("B"))
            columns = [*windows.columns, *keys]
            writer.write_batch(pa.record_batch(columns, schema=schema))


def _schema(catalog: Catalog, origin: Origin, columns: Sequence[str]) -> Any:
    every = window_schema(catalog.dims, catalog.features, catalog.store)
    fields = [every.field(name) for name in columns]
    fields += [KEYS[key].field for key in catalog.partition_by.keys]
    return pa.schema(fields, metadata={_ORIGIN: origin.model_dump_json().encode()})


def _batches(
    catalog: Catalog, rows: SelectedRows, progress: Progress
) -> Iterator[tuple[Any, list[Any], Rows]]:
    """Read the selected windows in order, up to a row group of the dataset at a time.

    Yields:
        A record batch of metadata, an array for each Hive key, and the embeddings, shape
        ``(rows, dims)``; the next batch overwrites the memory of all.
    """
    options = catalog.head.options
    staging = np.empty((_STAGING_ROWS, options.dims), np.float32)
    buffer = np.empty((options.row_group_rows, options.dims), np.float32)
    progress.start("writing", int(rows.counts.sum()) * options.dims * 4)
    for partition in selected_partitions(catalog.data_files(), rows):
        cursor = open_cursor(catalog, partition, rows, staging)
        values = _keys_of(catalog, partition.files[0])
        left = partition.rows
        while left:
            count = min(left, len(buffer))
            embeddings = buffer[:count]
            windows = cursor.read(embeddings).select(catalog.metadata_columns)
            yield windows, [pa.repeat(value, count) for value in values], embeddings
            progress.advance(embeddings.nbytes)
            left -= count
    catalog.check_unchanged()


def _keys_of(catalog: Catalog, file: int) -> list[Any]:
    keys = catalog.partition_by.keys
    values = catalog.files.select(keys).row(file)
    return [pa.scalar(value, KEYS[key].type) for key, value in zip(keys, values, strict=True)]


def is_export(file: Path) -> bool:
    """Whether an export wrote a Parquet file, which then names its origin."""
    try:
        return _ORIGIN in (pq.read_metadata(file).metadata or {})
    except (OSError, pa.ArrowException):
        return False


@contextmanager
def _replaced(files: Sequence[Path]) -> Iterator[list[Path]]:
    """Lend a path beside each file, which gets its name when all are complete; the first is last.

    Raises:
        DatasetError: one cannot be written.
    """
    temporary = [file.with_name(file.name + TEMPORARY) for file in files]
    try:
        for path in temporary:
            # One that a killed process left may be a link.
            path.unlink(missing_ok=True)
        yield temporary
        for path in temporary:
            with path.open("rb+") as written:
                os.fsync(written.fileno())
        # Without the first one there is no export: an old one must not stand beside new metadata.
        files[0].unlink(missing_ok=True)
        for path, file in reversed(list(zip(temporary, files, strict=True))):
            path.replace(file)
    except OSError as error:
        raise DatasetError(f"{files[0]}: cannot be written: {error}") from error
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)
