"""The writer of Parquet files: what it refuses, and files that take few bytes or none."""

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import crc32c
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from a20_parquet.errors import DatasetError
from a20_parquet.parquet import Compression, ParquetLayout, ParquetWriter
from tests.helpers.parquet_files import (
    embedding_type,
    encode,
    encoder_of,
    saved,
    windows,
    write,
)

ALL = list(Compression)


@pytest.mark.parametrize("compression", ALL)
def test_only_rows_decide_the_bytes(tmp_path: Path, compression: Compression) -> None:
    """Descriptors, file objects, slices and copies all give one file."""
    whole = windows(900, 65)
    batches = [whole.slice(i, 300) for i in range(0, 900, 300)]
    content = encode(batches, compression)
    assert saved(tmp_path, batches, compression).read_bytes() == content
    copies = [
        pa.RecordBatch.from_pylist(batch.to_pylist(), schema=whole.schema) for batch in batches
    ]
    assert encode(copies, compression) == content
    encoder = encoder_of(whole.schema, compression)
    for _ in range(2):
        file = io.BytesIO()
        with ParquetWriter(file, encoder) as writer:
            for batch in batches:
                writer.put(encoder.encode(batch))
        assert file.getvalue() == content


@pytest.mark.parametrize("compression", ALL)
def test_rows_size_and_checksum(compression: Compression) -> None:
    file = io.BytesIO()
    batch = windows(50)
    encoder = encoder_of(batch.schema, compression)
    writer = ParquetWriter(file, encoder)
    sizes = []
    for count in (1, 2):
        writer.put(encoder.encode(batch))
        assert writer.rows == 50 * count
        sizes.append((writer.size, writer.checksum))
    writer.close()
    for size, checksum in sizes:
        assert checksum == crc32c.crc32c(file.getvalue()[:size])
    assert not file.closed
    assert writer.size == len(file.getvalue())
    assert writer.checksum == crc32c.crc32c(file.getvalue())


@pytest.mark.parametrize(
    "kind",
    [
        pa.int8(),
        pa.large_string(),
        pa.timestamp("ms"),
        pa.timestamp("us", tz="Australia/Darwin"),
        pa.list_(pa.float32()),
        pa.list_(pa.float32(), 3),
        pa.list_(pa.field("element", pa.float64(), nullable=False), 3),
        embedding_type(0),
        embedding_type(100_001),
    ],
)
def test_unsupported_types_are_named(kind: Any) -> None:
    with pytest.raises(DatasetError) as error:
        ParquetLayout(pa.schema([pa.field("odd", kind)]), Compression.NONE)
    assert "'odd'" in str(error.value)
    assert str(kind) in str(error.value)


def test_empty_row_groups_are_refused() -> None:
    batch = windows(1)
    encoder = encoder_of(batch.schema)
    with pytest.raises(ValueError, match="at least one row"):
        encoder.encode(batch.slice(1))


def test_other_columns_are_refused() -> None:
    batch = windows(2)
    encoder = encoder_of(batch.schema)
    with pytest.raises(DatasetError, match="columns are"):
        encoder.encode(batch.drop_columns("channel"))


@pytest.mark.parametrize("name", ["filename", "channel", "embedding"])
def test_nulls_are_refused_where_forbidden(name: str) -> None:
    batch = windows(2)
    index = batch.schema.get_field_index(name)
    nulls = pa.nulls(2, batch.schema.field(name).type)
    arrays = [nulls if i == index else array for i, array in enumerate(batch.columns)]
    with pytest.raises(DatasetError, match=f"'{name}' has 2 nulls"):
        encode([pa.RecordBatch.from_arrays(arrays, schema=batch.schema)])


def test_null_elements_are_refused() -> None:
    batch = windows(2, 2)
    lists = pa.FixedSizeListArray.from_arrays(
        pa.array([1.0, None, 2.0, 3.0], pa.float32()), type=embedding_type(2)
    )
    arrays = [lists, *batch.columns[1:]]
    with pytest.raises(DatasetError, match="null elements"):
        encode([pa.RecordBatch.from_arrays(arrays, schema=batch.schema)])


@pytest.mark.parametrize("read", [pq.read_table, pl.read_parquet, duckdb.read_parquet])
def test_without_close_readers_refuse_the_file(
    tmp_path: Path, read: Callable[[str], object]
) -> None:
    """A writer that dies leaves nothing that looks complete."""
    path = tmp_path / "torn.parquet"
    batch = windows(300, 1280)
    encoder = encoder_of(batch.schema)

    def die() -> None:
        with path.open("wb", buffering=0) as file, ParquetWriter(file, encoder) as writer:
            writer.put(encoder.encode(batch))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()
    assert path.stat().st_size > 1 << 20
    with pytest.raises((pa.ArrowInvalid, pl.exceptions.ComputeError, duckdb.Error)):
        read(str(path))


class Trickle(io.RawIOBase):
    """A raw file that takes few bytes a call, then none."""

    def __init__(self, room: int) -> None:
        self.content = bytearray()
        self.room = room

    def write(self, data: Any, /) -> int | None:
        """Takes up to 1,000 bytes."""
        part = bytes(memoryview(data)[: min(1000, self.room - len(self.content))])
        self.content += part
        return len(part) or None


class Silent:
    """A file object that takes everything and returns nothing."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: Any) -> None:
        """Takes all."""
        self.content += data


def test_short_writes_are_continued() -> None:
    batches = [windows(100, 33)]
    trickle, silent = Trickle(10**6), Silent()
    write(trickle, batches, Compression.NONE)
    write(silent, batches, Compression.NONE)
    assert trickle.content == silent.content == encode(batches)


def test_a_file_that_takes_nothing_is_an_error() -> None:
    with pytest.raises(BlockingIOError):
        write(Trickle(5000), [windows(100, 33)], Compression.NONE)


def test_short_vector_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the kernel takes of many buffers, the rest follows."""
    sizes = iter([1, 3, 100, 7000, *range(1, 200, 7)])

    def short(descriptor: int, buffers: list[Any]) -> int:
        joined = b"".join(buffers)
        return os.write(descriptor, joined[: next(sizes, len(joined))])

    batches = [windows(100, 33), windows(40, 33)]
    monkeypatch.setattr(os, "writev", short)
    assert saved(tmp_path, batches).read_bytes() == encode(batches)


def test_many_buffers_are_written_in_several_calls(tmp_path: Path) -> None:
    """More pages and columns than one call of the kernel takes."""
    schema = pa.schema([pa.field(f"c{i}", pa.int32()) for i in range(2500)])
    batch = pa.record_batch([pa.array([i], pa.int32()) for i in range(2500)], schema=schema)
    path = saved(tmp_path, [batch])
    assert path.read_bytes() == encode([batch])
    assert pq.read_table(path).equals(pa.Table.from_batches([batch]))


def test_after_a_failed_write_there_is_no_footer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is an OSError, and the file cannot be completed by mistake."""

    def full(descriptor: int, buffers: list[Any]) -> int:
        del descriptor, buffers
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    batch = windows(300, 1280)
    encoder = encoder_of(batch.schema)
    with (tmp_path / "full.parquet").open("wb", buffering=0) as file:
        writer = ParquetWriter(file, encoder)
        monkeypatch.setattr(os, "writev", full)
        with pytest.raises(OSError, match="No space"):
            writer.put(encoder.encode(batch))
        monkeypatch.undo()
        with pytest.raises(ValueError, match="failed before"):
            writer.close()
        with pytest.raises(ValueError, match="failed before"):
            writer.put(encoder.encode(batch))
