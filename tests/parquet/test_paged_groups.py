"""Row groups of which one column is read page by page while it is written."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from a20_parquet.errors import DatasetError
from a20_parquet.parquet import Compression, GroupEncoder, ParquetLayout, ParquetWriter
from a20_parquet.runs.run import Rows
from a20_parquet.windows.schema import Feature
from tests.helpers.features import windows_with
from tests.helpers.parquet_files import encode, windows

LABEL = Feature("label", 700)


def rows_of(batch: Any) -> Rows:
    """A batch's embeddings, shape ``(rows, dims)``."""
    column = batch["embedding"]
    values: Rows = column.flatten().to_numpy()
    return values.reshape(len(column), -1)


def reusing(embeddings: Rows, asked: list[tuple[int, int]]) -> Callable[[int, int], Rows]:
    """Reads rows into the same memory each time, and notes which were asked for."""
    memory = np.empty_like(embeddings)

    def read(start: int, stop: int) -> Rows:
        asked.append((start, stop))
        memory[:] = np.nan
        memory[: stop - start] = embeddings[start:stop]
        return memory[: stop - start]

    return read


def write_paged(file: Any, batches: list[Any], compression: Compression) -> list[tuple[int, int]]:
    """Write one row group a batch; return the rows that were requested."""
    layout = ParquetLayout(batches[0].schema, compression)
    encoder = GroupEncoder(layout)
    asked: list[tuple[int, int]] = []
    with ParquetWriter(file, encoder) as writer:
        for batch in batches:
            read = reusing(rows_of(batch), asked)
            metadata = batch.drop_columns("embedding")
            writer.put(encoder.encode_paged(metadata, "embedding", read))
    return asked


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize("sizes", [(1,), (203, 204, 205), (500, 3)])
def test_the_file_is_the_same(
    tmp_path: Path, compression: Compression, sizes: tuple[int, ...]
) -> None:
    """Read into memory that each page overwrites, they give the bytes of whole row groups."""
    batches = [
        windows_with({LABEL: np.arange(rows) % 5 > 0}, rows, 1280, seed)
        for seed, rows in enumerate(sizes)
    ]
    expected = encode(batches, compression)
    held, path = io.BytesIO(), tmp_path / "file.parquet"
    asked = write_paged(held, batches, compression)
    with path.open("xb", buffering=0) as file:
        assert write_paged(file, batches, compression) == asked
    assert held.getvalue() == path.read_bytes() == expected
    assert asked == [
        (start, min(start + 204, rows)) for rows in sizes for start in range(0, rows, 204)
    ]


def test_any_list_column_can_be_paged() -> None:
    """It need not be the first, and the others are written as they are."""
    batch = windows(300, 1280)
    batch = batch.select([*batch.schema.names[1:], "embedding"])
    held = io.BytesIO()
    write_paged(held, [batch], Compression.NONE)
    assert held.getvalue() == encode([batch])


def test_too_few_rows_are_refused() -> None:
    """A page that is not as long as its header would say never gets a footer."""
    batch = windows(10)
    encoder = GroupEncoder(ParquetLayout(batch.schema, Compression.NONE))
    writer = ParquetWriter(io.BytesIO(), encoder)
    metadata = batch.drop_columns("embedding")
    group = encoder.encode_paged(metadata, "embedding", lambda _start, _stop: rows_of(batch)[1:])
    with pytest.raises(ValueError, match="10 lists take 320 bytes, not 288"):
        writer.put(group)
    with pytest.raises(ValueError, match="failed before"):
        writer.close()


def test_other_columns_and_empty_groups_are_refused() -> None:
    """The batch has all columns but the paged one, and rows."""
    batch = windows(10)
    encoder = GroupEncoder(ParquetLayout(batch.schema, Compression.NONE))
    read = reusing(rows_of(batch), [])
    metadata = batch.drop_columns("embedding")
    for other in (batch, metadata.drop_columns("channel")):
        with pytest.raises(DatasetError, match="columns are"):
            encoder.encode_paged(other, "embedding", read)
    with pytest.raises(ValueError, match="at least one row"):
        encoder.encode_paged(metadata.slice(10), "embedding", read)
    nulls = metadata.set_column(0, metadata.schema.field(0), pa.nulls(10, pa.string()))
    with pytest.raises(DatasetError, match="'filename' has 10 nulls"):
        encoder.encode_paged(nulls, "embedding", read)
