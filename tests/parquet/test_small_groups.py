"""Row groups that are encoded many at once, read back by pyarrow."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.errors import DatasetError
from a20_parquet.parquet import Compression, GroupEncoder, ParquetLayout, ParquetWriter
from tests.helpers.parquet_files import SCHEMA, files_of, same

text = st.text(max_size=4)
int32 = st.integers(-(2**31), 2**31 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
ROW = st.tuples(
    st.sampled_from(["a", "b", "site_0285/20201014.flac", "é", ""]),
    st.none() | text,
    st.none() | st.integers(-(2**15), 2**15 - 1),
    st.sampled_from([0, 7]) | int32,
    st.none() | int64,
    st.floats(),
    st.none() | st.integers(0, 2**50),
    st.none() | st.integers(-10_000, 100_000),
)


def make_batch(rows: Sequence[Sequence[Any]]) -> Any:
    """A record batch of rows."""
    columns = list(zip(*rows, strict=True))
    arrays = []
    for field, values in zip(SCHEMA, columns, strict=True):
        kind = {"instant": pa.int64(), "day": pa.int32()}.get(field.name, field.type)
        arrays.append(pa.array(values, kind).cast(field.type))
    return pa.record_batch(arrays, schema=SCHEMA)


def alone(layout: ParquetLayout, batch: Any) -> Any:
    """A file with one row group that was encoded by itself, opened by pyarrow."""
    file = io.BytesIO()
    encoder = GroupEncoder(layout)
    with ParquetWriter(file, encoder) as writer:
        writer.put(encoder.encode(batch))
    return pq.ParquetFile(file)


@pytest.mark.slow
@given(
    runs=st.lists(st.tuples(ROW, st.integers(1, 30)), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=12),
    compression=st.sampled_from(Compression),
    offset=st.integers(0, 3),
)
@settings(max_examples=200)
def test_groups_hold_their_rows(
    runs: list[tuple[Any, int]], cuts: list[int], compression: Compression, offset: int
) -> None:
    """Every group reads back bit for bit, with the bounds and null counts of a lone row group."""
    rows = [row for row, count in runs for _ in range(count)]
    batch = make_batch([rows[0]] * offset + rows).slice(offset)
    sizes = []
    left = len(rows)
    for cut in [*cuts, len(rows)]:
        if left:
            sizes.append(min(cut, left))
            left -= sizes[-1]
    layout = ParquetLayout(SCHEMA, compression)
    start = 0
    for size, content in zip(sizes, files_of(layout, batch, sizes), strict=True):
        part = batch.slice(start, size)
        found, lone = pq.ParquetFile(io.BytesIO(content)), alone(layout, part)
        assert same(found.read(), [part])
        for column in range(len(SCHEMA)):
            ours = found.metadata.row_group(0).column(column)
            theirs = lone.metadata.row_group(0).column(column)
            assert ours.num_values == size
            assert ours.statistics == theirs.statistics
        start += size


def test_groups_do_not_depend_on_their_neighbours() -> None:
    """A row group's bytes follow from its own rows, whatever is encoded with it."""
    rng = np.random.default_rng(3)
    rows = [
        (f"n{i // 12}", None if i % 50 < 20 else "t", 3, i // 40, i, float(i), i // 12, None)
        for i in range(400)
    ]
    layout = ParquetLayout(SCHEMA, Compression.NONE)
    batch = make_batch(rows)
    lone = files_of(layout, batch.slice(100, 84), [84])[0]
    for _ in range(20):
        before = int(rng.integers(1, 100))
        part = batch.slice(100 - before, before + 84 + 7)
        assert files_of(layout, part, [before, 84, 7])[1] == lone


@pytest.mark.parametrize("compression", Compression)
def test_groups_do_not_depend_on_those_before(compression: Compression) -> None:
    """What is kept of row groups with the same values changes no byte of those that follow."""
    rows = [
        (f"n{i // 60}", None, i // 200, 5, i % 7, float(i // 100), i // 12, i // 90)
        for i in range(400)
    ]
    layout = ParquetLayout(SCHEMA, compression)
    batch = make_batch(rows)
    files = files_of(layout, batch, [20] * 20)
    for place, content in enumerate(files):
        assert files_of(layout, batch.slice(20 * place, 20), [20]) == [content]


def test_repeated_values_take_little_room() -> None:
    """Names that come in runs, and columns that never change, are stored once."""
    rows = [("x" * 60 + str(i // 12), "Dry-A", 600, 5, 5, 0.5, 5, 5) for i in range(84)]
    layout = ParquetLayout(SCHEMA, Compression.NONE)
    batch = make_batch(rows)
    metadata = pq.ParquetFile(io.BytesIO(files_of(layout, batch, [84])[0])).metadata
    sizes = {
        SCHEMA.names[i]: metadata.row_group(0).column(i).total_compressed_size
        for i in range(len(SCHEMA))
    }
    assert sizes["name"] < 84 * 10
    assert max(sizes[name] for name in ("text", "small", "number", "big", "day")) < 100


def test_forbidden_nulls_are_refused() -> None:
    """Nulls in a column that must not have any are an error that names it."""
    schema = pa.schema([pa.field("name", pa.string(), nullable=False)])
    batch = pa.record_batch([pa.array(["a", None])], schema=schema)
    with pytest.raises(DatasetError, match="'name' has 1 nulls"):
        files_of(ParquetLayout(schema, Compression.NONE), batch, [1, 1])


def test_other_schema_is_refused() -> None:
    """Windows of another schema are an error, not a file of other columns."""
    batch = pa.record_batch([pa.array([1])], names=["other"])
    with pytest.raises(DatasetError, match="the windows' columns"):
        files_of(ParquetLayout(SCHEMA, Compression.NONE), batch, [1])
