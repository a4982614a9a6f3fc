"""Our Parquet files against four independent readers."""

import datetime as dt
import io
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import a20_parquet
from a20_parquet.parquet import Compression, ParquetWriter
from tests.helpers.parquet_files import (
    START_US,
    embedding_type,
    encode,
    encoder_of,
    same,
    saved,
    windows,
)

ALL = list(Compression)
QUIET_NAN, PAYLOAD_NAN, SIGNALLING_NAN = 0x7FC00000, 0xFFC12345, 0x7F800001


@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize(("rows", "dims"), [(1, 1), (1, 1280), (500, 7), (500, 1280), (5000, 33)])
def test_four_readers_agree(tmp_path: Path, compression: Compression, rows: int, dims: int) -> None:
    """One row and several pages, lists of one element and of the real length."""
    batch = windows(rows, dims)
    path = saved(tmp_path, [batch, batch.slice(rows // 3)], compression)
    batches = [batch, batch.slice(rows // 3)]
    expected = pa.Table.from_batches(batches)

    table = pq.read_table(path)
    assert table.schema.equals(batch.schema, check_metadata=True)
    assert table.equals(expected)

    frame = pl.read_parquet(path)
    assert frame.schema["embedding"] == pl.Array(pl.Float32, dims)
    assert frame.equals(pl.DataFrame(pl.from_arrow(expected)))

    flat = duckdb.read_parquet(str(path)).to_arrow_table()
    assert (
        flat["embedding"]
        .combine_chunks()
        .flatten()
        .equals(expected["embedding"].combine_chunks().flatten())
    )
    plain = expected.drop_columns(["embedding", "file_timestamp", "window_start"])
    assert flat.select(plain.column_names).to_pylist() == plain.to_pylist()
    instants = duckdb.execute(
        "SELECT epoch_us(window_start), epoch_us(file_timestamp) FROM read_parquet(?)", [str(path)]
    ).fetchall()
    assert instants == list(
        zip(
            expected["window_start"].cast(pa.int64()).to_pylist(),
            expected["file_timestamp"].cast(pa.int64()).to_pylist(),
            strict=True,
        )
    )

    pandas_frame = pd.read_parquet(path)
    assert pandas_frame["filename"].tolist() == expected["filename"].to_pylist()
    assert np.array_equal(
        np.stack(pandas_frame["embedding"].to_numpy()),
        expected["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, dims),
    )


@pytest.mark.parametrize("compression", ALL)
def test_metadata(tmp_path: Path, compression: Compression) -> None:
    """The content of the footer, column by column."""
    batches = [windows(100), windows(20)]
    metadata = pq.ParquetFile(saved(tmp_path, batches, compression)).metadata
    assert metadata.created_by == f"a20_parquet version {a20_parquet.__version__} (build 2)"
    assert [metadata.row_group(i).num_rows for i in range(2)] == [100, 20]
    codec = {"none": "UNCOMPRESSED", "lz4": "LZ4", "zstd": "ZSTD"}[compression]
    group = metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {column.compression for column in columns} == {codec}
    assert sum(column.total_uncompressed_size for column in columns) == group.total_byte_size
    assert columns[0].path_in_schema == "embedding.list.element"
    split = compression is Compression.ZSTD
    assert columns[0].encodings == ("BYTE_STREAM_SPLIT" if split else "PLAIN", "RLE")
    assert columns[0].num_values == 800
    assert not columns[0].statistics.has_min_max
    with_dictionary = {c.path_in_schema for c in columns if c.has_dictionary_page}
    assert {"filename", "site_id", "file_seq_id", "channel"} <= with_dictionary
    assert not {"embedding.list.element", "window_start", "subsite_name"} & with_dictionary


def test_schema_is_as_pyarrow_writes_it(tmp_path: Path) -> None:
    """Physical, logical and converted types, names, nullability and the Arrow schema."""
    kinds = [pa.string(), pa.int16(), pa.int32(), pa.int64(), pa.float64(), pa.date32()]
    kinds += [pa.timestamp("us"), pa.timestamp("us", tz="UTC"), embedding_type(3)]
    fields = [pa.field(f"{i}{n}", k, n) for i, k in enumerate(kinds) for n in (True, False)]
    schema = pa.schema(fields, metadata={"of": "the file"})
    empty = io.BytesIO()
    ParquetWriter(empty, encoder_of(schema)).close()
    pq.write_table(schema.empty_table(), tmp_path / "pyarrow.parquet")
    ours, theirs = pq.ParquetFile(empty), pq.ParquetFile(tmp_path / "pyarrow.parquet")
    assert ours.schema.equals(theirs.schema)
    assert str(ours.schema).splitlines()[1:] == str(theirs.schema).splitlines()[1:]
    assert ours.schema_arrow.equals(schema, check_metadata=True)
    assert ours.metadata.metadata == theirs.metadata.metadata
    assert ours.read().num_rows == 0
    assert pl.read_parquet(empty.getvalue()).height == 0


def test_instants_are_microseconds_for_old_readers_too(tmp_path: Path) -> None:
    """The raw converted type: pyarrow shows the logical type only, others go by this one."""
    path = saved(tmp_path, [windows(3)])
    raw = duckdb.execute(
        "SELECT name, converted_type FROM parquet_schema(?) WHERE name LIKE '%_timestamp' "
        "OR name = 'window_start'",
        [str(path)],
    ).fetchall()
    assert raw == [("file_timestamp", "TIMESTAMP_MICROS"), ("window_start", "TIMESTAMP_MICROS")]


def test_statistics(tmp_path: Path) -> None:
    """Each column's bounds and nulls, in each row group."""
    batches = [windows(300), windows(300).slice(290)]
    metadata = pq.ParquetFile(saved(tmp_path, batches)).metadata
    for group, batch in enumerate(batches):
        for index, name in enumerate(batch.schema.names[1:], 1):
            statistics = metadata.row_group(group).column(index).statistics
            values = [value for value in batch[name].to_pylist() if value is not None]
            assert statistics.null_count == len(batch) - len(values), name
            assert statistics.has_min_max == bool(values), name
            if values:
                assert (statistics.min, statistics.max) == (min(values), max(values)), name
    assert metadata.row_group(0).column(0).statistics.null_count == 0


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        ([1.5, -2.0], (-2.0, 1.5)),
        ([0.0, 1.0], (-0.0, 1.0)),
        ([-1.0, -0.0], (-1.0, 0.0)),
        ([0.0] * 400, (-0.0, 0.0)),
        ([float("inf"), None], (float("inf"), float("inf"))),
        ([1.0, float("nan")], None),
        ([float("nan")] * 400, None),
    ],
)
def test_bounds_of_floats(values: list[float | None], bounds: tuple[float, float] | None) -> None:
    """No bounds beside NaN; a zero's sign is the one that holds either zero."""
    batch = pa.record_batch({"x": pa.array(values, pa.float64())})
    statistics = pq.ParquetFile(io.BytesIO(encode([batch]))).metadata.row_group(0).column(0)
    if bounds is None:
        assert not statistics.statistics.has_min_max
    else:
        found = np.array([statistics.statistics.min, statistics.statistics.max])
        assert found.tobytes() == np.array(bounds).tobytes()


def test_bounds_let_polars_and_duckdb_skip(tmp_path: Path) -> None:
    """A filter on time finds its rows."""
    batches = [windows(600).slice(start, 100) for start in range(0, 600, 100)]
    path = saved(tmp_path, batches)
    moment = dt.datetime.fromtimestamp(START_US / 1e6, dt.UTC) + dt.timedelta(minutes=40)
    rows = windows(600).drop_columns("embedding").to_pylist()
    expected = [row for row in rows if row["window_start"] >= moment]
    scan = pl.scan_parquet(path).filter(pl.col("window_start") >= moment)
    assert scan.drop("embedding").collect().to_dicts() == expected
    count = duckdb.execute(
        "SELECT count(*) FROM read_parquet(?) WHERE window_start >= ?", [str(path), moment]
    ).fetchall()
    assert count == [(len(expected),)]
    filtered = pq.read_table(path, filters=[("window_start", ">=", moment)])
    assert filtered.num_rows == len(expected)


def float_column(draw: st.DrawFn, rows: int) -> Any:
    """Floats of any bits, few distinct ones or many."""
    special = st.sampled_from([0, 1 << 63, 0x7FF8 << 48, 0x7FF0 << 48 | 1, 0xFFF8 << 48 | 7])
    kinds = special | st.integers(0, 2**64 - 1)
    words = draw(st.lists(kinds, min_size=1, max_size=20))
    return pa.array(np.resize(np.array(words, np.uint64), rows).view(np.float64))


@st.composite
def tables(draw: st.DrawFn) -> Any:
    """A batch of all types, nullable and not, as a slice of a longer one."""
    rows, before, after = draw(st.integers(1, 700)), draw(st.integers(0, 9)), 3
    total = before + rows + after
    dims = draw(st.sampled_from([1, 2, 3, 8, 31, 32, 33, 40, 65]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))

    def masked(array: Any, *, nullable: bool) -> Any:
        if not nullable:
            return array
        mask = random.random(total) < draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
        if draw(st.booleans()):
            mask = np.sort(mask)
        return pa.compute.if_else(pa.array(mask), None, array)

    words = [QUIET_NAN, PAYLOAD_NAN, SIGNALLING_NAN, 0, 1 << 31, 0x3F800000]
    fields: list[Any] = []
    arrays: list[Any] = []
    for nullable in (False, True):
        floats = random.choice(np.array(words, np.uint32), total * dims).view(np.float32)
        lists = pa.FixedSizeListArray.from_arrays(pa.array(floats), type=embedding_type(dims))
        if nullable:
            valid = np.packbits(random.random(total) < 0.7, bitorder="little")
            lists = pa.Array.from_buffers(
                lists.type, total, [pa.py_buffer(valid)], children=[lists.flatten()]
            )
        numbers = random.integers(-2, draw(st.sampled_from([-1, 2, 30_000])), total)
        if draw(st.booleans()):
            numbers.sort()
        texts = [draw(st.text(max_size=4)) for _ in range(draw(st.integers(1, 5)))]
        names = pa.array(texts).take(pa.array(np.abs(numbers) % len(texts)))
        columns = [lists, masked(names, nullable=nullable)]
        for kind in (pa.int16(), pa.int32(), pa.int64(), pa.timestamp("us"), pa.date32()):
            narrow = pa.array(numbers).cast(pa.int32() if kind == pa.date32() else kind)
            columns.append(masked(narrow.cast(kind), nullable=nullable))
        columns.append(masked(float_column(draw, total), nullable=nullable))
        for array in columns:
            fields.append(pa.field(f"c{len(fields)}", array.type, nullable))
            arrays.append(array)
    return pa.record_batch(arrays, schema=pa.schema(fields)).slice(before, rows)


@pytest.mark.slow
@given(batch=tables(), compression=st.sampled_from(ALL), cut=st.integers(0, 700))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_rows_come_back_bit_by_bit(batch: Any, compression: Compression, cut: int) -> None:
    """Any rows, nulls, lengths and row groups, whatever the slice they come from."""
    batches = [part for part in (batch.slice(0, cut), batch.slice(cut)) if len(part)]
    content = encode(batches, compression)
    assert same(pq.read_table(io.BytesIO(content)), batches)
    frame = pl.read_parquet(content)
    flat = pa.Table.from_batches(batches).drop_columns(["c0", "c8"])
    assert frame.drop("c0", "c8").equals(pl.DataFrame(pl.from_arrow(flat)))
    for name in ("c0", "c8"):
        lists = frame[name].to_arrow()
        assert lists.is_valid().equals(batch[name].is_valid())
        found = lists.drop_null().flatten().view(pa.int32())
        assert found.equals(batch[name].drop_null().flatten().view(pa.int32()))


def test_null_embeddings_on_several_pages(tmp_path: Path) -> None:
    """Pages with and without nulls, the list as long as a real embedding."""
    dims, rows = 1280, 450
    schema = pa.schema([pa.field("embedding", embedding_type(dims))])
    floats = pa.array(np.arange(rows * dims, dtype=np.float32))
    valid = np.ones(rows, np.bool_)
    valid[[0, 5, 6, 300, rows - 1]] = False
    packed = pa.py_buffer(np.packbits(valid, bitorder="little"))
    lists = pa.Array.from_buffers(embedding_type(dims), rows, [packed], children=[floats])
    batch = pa.record_batch([lists], schema=schema)
    for compression in ALL:
        path = saved(tmp_path, [batch], compression)
        assert same(pq.read_table(path), [batch])
        assert pl.read_parquet(path)["embedding"].null_count() == 5
        column = pq.ParquetFile(path).metadata.row_group(0).column(0)
        assert column.statistics.null_count == 5
        assert column.num_values == (rows - 5) * dims + 5
