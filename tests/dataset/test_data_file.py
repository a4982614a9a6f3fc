"""Data files, read back: bit for bit as pyarrow reads them, or an error that names the file."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import Compression
from a20_parquet.parquet.flat import columns
from a20_parquet.windows.schema import METADATA
from tests.helpers.datasets import encode_with_pyarrow, make_dataset
from tests.helpers.parquet_files import encode, windows

ALL = list(Compression)
NAMES = [column.name for column in METADATA]
# NaN with payloads, quiet and signalling, zeros of both signs, infinity, the smallest number.
SPECIAL = [0x7FC00000, 0xFFC12345, 0x7F800001, 0x80000000, 0, 0x7F800000, 1]


def special_windows(rows: int, dims: int) -> Any:
    """Windows with all kinds of floats in the embedding."""
    batch = windows(rows, dims, seed=rows)
    bits = np.resize(np.array(SPECIAL, np.uint32), rows * dims)
    floats = np.where(np.arange(rows * dims) % 3, bits, np.arange(rows * dims, dtype=np.uint32))
    lists = pa.FixedSizeListArray.from_arrays(
        pa.array(floats.astype(np.uint32).view(np.float32)), type=batch.schema.field(0).type
    )
    return pa.record_batch([lists, *batch.columns[1:]], schema=batch.schema)


def opened(dataset: str | Path) -> DataFile:
    """The only data file of a dataset."""
    catalog = Catalog.open(dataset)
    path, size, rows = catalog.files.select("path", "bytes", "rows").row(0)
    return DataFile(catalog, path, rows=rows, size=size)


def raw(table: Any) -> npt.NDArray[np.uint32]:
    """Bits of the embeddings, shape ``(rows, dims)``."""
    column = table["embedding"].combine_chunks()
    floats: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=False)
    return floats.view(np.uint32).reshape(len(column), -1)


def in_memory(dataset: Path) -> str:
    """A copy of a dataset in fsspec's memory file system."""
    memory = fsspec.filesystem("memory")
    for path in dataset.rglob("*"):
        if path.is_file():
            memory.pipe(f"{dataset}/{path.relative_to(dataset)}", path.read_bytes())
    return f"memory:/{dataset}"


def check(dataset: str | Path, groups: list[int], expected: Any) -> None:
    """Everything that can be read of the file equals the rows that it was made of."""
    bits = raw(expected)
    dims = bits.shape[1]
    with opened(dataset) as file:
        assert file.rows == groups
        for columns in (NAMES, ["channel", "filename"]):
            table = file.metadata(list(range(len(groups))), columns)
            assert table.equals(expected.select(columns).cast(table.schema))
        last = file.metadata([len(groups) - 1], ["window_start"])
        assert last["window_start"].equals(expected["window_start"][-groups[-1] :])
        start = 0
        for group, rows in enumerate(groups):
            position = 0
            for pages, page in file.pages(group):
                assert page.first == position
                out = np.full((page.rows, dims), 7, np.float32)
                file.read_page(pages, page, out)
                np.testing.assert_array_equal(
                    out.view(np.uint32), bits[start + position : start + position + page.rows]
                )
                position += page.rows
            assert position == rows
            start += rows


# A page holds 1 MiB of floats: 204 rows of 1,280, 2,048 rows of 128.
SHAPES = [
    (1, [1]),
    (1, [3, 3, 1]),
    (2, [17]),
    (8, [100, 100, 7]),
    (128, [2048]),
    (128, [2049]),
    (1280, [1]),
    (1280, [204]),
    (1280, [205, 205, 30]),
    (1280, [409]),
]


@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize(("dims", "groups"), SHAPES, ids=str)
def test_as_pyarrow_reads_it(
    tmp_path: Path, compression: Compression, dims: int, groups: list[int]
) -> None:
    """One row, a page exactly, several pages, several row groups; locally and from a URL."""
    batches = [special_windows(rows, dims) for rows in groups]
    content = encode(batches, compression)
    expected = pq.read_table(io.BytesIO(content))
    np.testing.assert_array_equal(raw(expected), raw(pa.Table.from_batches(batches)))
    make_dataset(
        tmp_path,
        [content],
        [sum(groups)],
        dims=dims,
        compression=compression,
        row_group_rows=groups[0],
    )
    check(tmp_path, groups, expected)
    check(in_memory(tmp_path), groups, expected)


def by_polars(table: Any) -> bytes:
    """The rows as polars writes them."""
    sink = io.BytesIO()
    pl.DataFrame(table).write_parquet(sink, row_group_size=50)
    return sink.getvalue()


OTHERS: dict[str, Callable[[Any], bytes]] = {
    "pyarrow": lambda table: encode_with_pyarrow(table, row_group_size=50),
    "dictionary": lambda table: encode_with_pyarrow(table, row_group_size=50, compression="zstd"),
    "plain": lambda table: encode_with_pyarrow(
        table, row_group_size=50, compression="none", use_dictionary=False, write_statistics=False
    ),
    "version2": lambda table: encode_with_pyarrow(
        table, row_group_size=50, data_page_version="2.0", compression="lz4"
    ),
    "split": lambda table: encode_with_pyarrow(
        table,
        row_group_size=50,
        compression="zstd",
        use_dictionary=False,
        use_byte_stream_split=["embedding.list.element"],
    ),
    "pages": lambda table: encode_with_pyarrow(
        table, row_group_size=50, data_page_size=500, write_batch_size=64
    ),
    "polars": by_polars,
}


@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize("writer", OTHERS)
def test_files_of_other_writers(tmp_path: Path, compression: Compression, writer: str) -> None:
    """Whoever wrote the pages, the values are the same."""
    table = pa.Table.from_batches([windows(120, 16)])
    content = OTHERS[writer](table)
    make_dataset(tmp_path, [content], [120], dims=16, compression=compression, row_group_rows=50)
    check(tmp_path, [50, 50, 20], table)
    check(in_memory(tmp_path), [50, 50, 20], table)


def read_all(dataset: str | Path) -> None:
    """Read metadata and embeddings."""
    with opened(dataset) as file:
        for group in range(len(file.rows)):
            file.metadata([group], NAMES)
            for pages, page in file.pages(group):
                file.read_page(pages, page, np.empty((page.rows, 16), np.float32))


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "missing": lambda _: b"",
    "empty": lambda _: b"",
    "shorter": lambda content: content[:-1],
    "longer": lambda content: content + b"x",
    "zeros": lambda content: bytes(len(content)),
    "end": lambda content: content[:-100] + bytes(100),
    "turned": lambda content: content[::-1],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("place", ["local", "memory"])
@pytest.mark.parametrize("groups", [1, 3])
def test_damage_is_an_error_that_names_the_file(
    tmp_path: Path, damage: str, place: str, groups: int
) -> None:
    """Truncated, changed or gone."""
    batches = [windows(10, 16)] * groups
    content = encode(batches, Compression.ZSTD)
    make_dataset(
        tmp_path,
        [content],
        [10 * groups],
        dims=16,
        compression=Compression.ZSTD,
        row_group_rows=10,
    )
    path = tmp_path / "data/site=site_0000/part-0000.parquet"
    path.write_bytes(DAMAGE[damage](content))
    dataset = tmp_path if place == "local" else in_memory(tmp_path)
    if damage == "missing":
        path.unlink()
        fsspec.filesystem("memory").rm(str(path)) if place == "memory" else None
    with pytest.raises(DatasetError, match=str(path)):
        read_all(dataset)


@pytest.mark.parametrize(
    ("has_histograms", "message"),
    [(True, "histogram size mismatch"), (False, "site_id is int32 not null, expected int32")],
)
def test_a_footer_that_says_otherwise_of_nulls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_histograms: bool, message: str
) -> None:
    """A column that a flipped bit makes one without nulls has other values: it is refused.

    Files of earlier versions have no histogram of levels, by which pyarrow finds it.
    """
    if not has_histograms:
        monkeypatch.setattr(columns, "size_statistics", lambda *_: b"\x00")
    content = encode([windows(3, 16)], Compression.NONE)
    # In the schema's element: the repetition, and then the name.
    element = b"\x25\x02\x18\x07site_id"
    assert content.count(element) == 1
    content = content.replace(element, b"\x25\x00\x18\x07site_id")
    make_dataset(tmp_path, [content], [3], dims=16)
    with pytest.raises(DatasetError, match=message):
        read_all(tmp_path)


@pytest.mark.parametrize("row_group_rows", [5, 10])
def test_a_file_with_other_rows(tmp_path: Path, row_group_rows: int) -> None:
    """Rows that the list of files does not know are an error, not rows of others."""
    content = encode([windows(9, 16)], Compression.NONE)
    make_dataset(tmp_path, [content], [10], dims=16, row_group_rows=row_group_rows)
    with pytest.raises(DatasetError, match=r"site_0000/part-0000\.parquet"):
        read_all(tmp_path)


def test_a_file_with_one_more_row_group(tmp_path: Path) -> None:
    """Rows behind those that the list of files knows are an error too."""
    content = encode([windows(9, 16), windows(1, 16)], Compression.NONE)
    make_dataset(tmp_path, [content], [9], dims=16)
    with opened(tmp_path) as file, pytest.raises(DatasetError, match="2 row groups, expected 1"):
        file.metadata([0], NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("compression", ALL)
def test_any_changed_byte_is_harmless(
    tmp_path_factory: pytest.TempPathFactory, compression: Compression
) -> None:
    """What a changed file gives is some values or an error of ours, never another exception."""
    root = tmp_path_factory.mktemp("changed")
    content = encode([windows(10, 16), windows(10, 16)], compression)
    make_dataset(root, [content], [20], dims=16, compression=compression, row_group_rows=10)
    path = root / "data/site=site_0000/part-0000.parquet"

    @settings(max_examples=150)
    @given(st.integers(0, len(content) - 1), st.binary(min_size=1, max_size=4))
    def change(position: int, other: bytes) -> None:
        changed = content[:position] + other + content[position + len(other) :]
        path.write_bytes(changed[: len(content)])
        try:
            read_all(root)
        except DatasetError as error:
            assert str(path) in str(error)  # noqa: PT017 - or no error at all

    change()
