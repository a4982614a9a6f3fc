"""Strings and indices of one row group, in the forms that their encoder distinguishes."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.parquet.format.encodings import hybrid
from tests.helpers.parquet_files import encode


@pytest.mark.parametrize(
    ("names", "entries"),
    [
        (["site"] * 2_000, 1),
        ([f"{number // 12}" for number in range(2_000)], 167),
        ([f"{number // 12 % 20}.flac" for number in range(2_000)], 20),
        ([f"{number % 20}.flac" for number in range(2_000)], 20),
        ([f"{number}.flac" for number in range(2_000)], None),
        (["aa", "a", "aaa", "aa"] * 50, 3),
        (["aa", "ab", "aa"] * 50, 2),
        ([""] * 50 + ["ü"] * 50, 2),
        ([""] * 50, 1),
    ],
    ids=[
        "one name",
        "runs of several lengths",
        "runs that come again",
        "no runs",
        "all distinct",
        "one text in other pieces",
        "last is the first",
        "empty and not ASCII",
        "all empty",
    ],
)
def test_names_come_back(names: list[str], entries: int | None) -> None:
    """Values, bounds and the size of the dictionary, also from a slice."""
    schema = pa.schema([pa.field("name", pa.string(), nullable=False)])
    batch = pa.record_batch([pa.array(["before", *names, "behind"])], schema=schema)
    content = encode([batch.slice(1, len(names))])
    read = pq.ParquetFile(io.BytesIO(content), read_dictionary=["name"])
    column = read.read().column("name").combine_chunks()
    chunk = read.metadata.row_group(0).column(0)
    assert column.cast(pa.string()).to_pylist() == names
    assert (chunk.statistics.min, chunk.statistics.max) == (min(names), max(names))
    assert chunk.has_dictionary_page == (entries is not None)
    if entries is not None:
        assert column.dictionary.to_pylist() == list(dict.fromkeys(names))
        assert len(column.dictionary) == entries


@given(st.integers(1, 32), st.data())
def test_bit_packing_is_one_long_little_endian_number(width: int, data: st.DataObject) -> None:
    """Of any width, compared with Python's own arithmetic."""
    top = (1 << width) - 1
    # Neighbours differ and there are enough of them, so that runs are longer at any width.
    lower = data.draw(st.lists(st.integers(0, top - 1), min_size=33, max_size=80))
    values = [value if place % 2 else top for place, value in enumerate(lower)]
    groups = -(-len(values) // 8)
    bits = sum(value << width * place for place, value in enumerate(values))
    expected = bytes([groups << 1 | 1]) + bits.to_bytes(groups * width, "little")
    assert hybrid(np.array(values, np.int64), width) == expected
