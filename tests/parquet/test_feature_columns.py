"""Columns of features in data files: as pyarrow, polars and DuckDB read them."""

import io
import zlib
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a20_parquet.errors import DatasetError
from a20_parquet.parquet import Compression, ParquetLayout
from a20_parquet.windows.schema import Feature, window_schema
from tests.helpers.features import Mask, feature_array, list_bits, windows_with
from tests.helpers.parquet_files import encode, files_of, windows
from tests.helpers.thrift import read_pages
from tests.helpers.unchecked import write_no_checksums

ALL = list(Compression)
NUISANCES, LOGITS = Feature("nuisances", 3), Feature("label", 10_000)


def check(path: Path, batches: list[Any], features: tuple[Feature, ...]) -> None:
    """Three readers find the rows that were written, bit for bit."""
    expected = pa.Table.from_batches(batches)
    wanted = {feature.name: list_bits(expected[feature.name]) for feature in features}

    table = pq.read_table(path)
    assert table.schema.equals(expected.schema, check_metadata=True)
    assert {name: list_bits(table[name]) for name in wanted} == wanted
    flat = expected.drop_columns(list(wanted))
    assert table.drop_columns(list(wanted)).equals(flat)

    frame = pl.read_parquet(path)
    assert frame.columns == expected.column_names
    for feature in features:
        assert frame.schema[feature.name] == pl.Array(pl.Float32, feature.size)
    assert {name: list_bits(frame[name].to_arrow()) for name in wanted} == wanted
    assert frame.drop(*wanted).equals(pl.DataFrame(flat))

    casts = ", ".join(
        f"CAST({each.name} AS FLOAT[{each.size}]) AS {each.name}" for each in features
    )
    query = f"SELECT {casts} FROM read_parquet(?)"
    relation = duckdb.sql(query, params=[str(path)])
    assert relation is not None
    found = relation.to_arrow_table()
    assert {name: list_bits(found[name]) for name in wanted} == wanted


@st.composite
def masks(draw: st.DrawFn, rows: int) -> Mask:
    """Nulls nowhere, everywhere, here and there, or in runs."""
    share = draw(st.sampled_from([0.0, 0.02, 0.5, 0.98, 1.0]))
    valid: Mask = np.random.default_rng(draw(st.integers(0, 99))).random(rows) >= share
    return np.sort(valid) if draw(st.booleans()) else valid


@st.composite
def windows_with_features(draw: st.DrawFn) -> tuple[Any, tuple[Feature, ...]]:
    """Windows with one to three features, as a slice of a longer batch."""
    rows, before = draw(st.integers(1, 300)), draw(st.integers(0, 20))
    dims = draw(st.sampled_from([1, 2, 8, 33]))
    sizes = draw(
        st.lists(st.sampled_from([1, 2, 3, 7, 8, 32, 33, 300, 2000]), min_size=1, max_size=3)
    )
    features = {
        Feature(f"f{index}", size): draw(masks(before + rows)) for index, size in enumerate(sizes)
    }
    seed = draw(st.integers(0, 2**16))
    batch = windows_with(features, before + rows, dims, seed)
    return batch.slice(before), tuple(features)


@pytest.mark.slow
@given(made=windows_with_features(), compression=st.sampled_from(ALL), cut=st.integers(0, 300))
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_any_features_come_back_bit_by_bit(
    tmp_path: Path, made: tuple[Any, tuple[Feature, ...]], compression: Compression, cut: int
) -> None:
    """Whatever their number, sizes, nulls, row groups and compression."""
    batch, features = made
    batches = [part for part in (batch.slice(0, cut), batch.slice(cut)) if len(part)]
    path = tmp_path / "windows.parquet"
    path.write_bytes(encode(batches, compression))
    check(path, batches, features)


@pytest.mark.slow
@pytest.mark.parametrize("compression", ALL)
@pytest.mark.parametrize("size", [10_000, 20_000])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_long_lists(tmp_path: Path, compression: Compression, size: int, share: float) -> None:
    """Several pages a row group, a row group of nulls alone, and one without nulls."""
    feature = Feature("label", size)
    valid = np.random.default_rng(1).random(90) >= share
    valid[40:60], valid[60:] = False, True
    batch = windows_with({feature: valid}, 90, 4)
    batches = [batch.slice(0, 40), batch.slice(40, 20), batch.slice(60)]
    path = tmp_path / "windows.parquet"
    path.write_bytes(encode(batches, compression))
    check(path, batches, (feature,))


@pytest.mark.parametrize("compression", ALL)
def test_many_pages_with_nulls(tmp_path: Path, compression: Compression) -> None:
    """A hundred pages of long lists, with which polars fails where their bytes are split."""
    valid = np.random.default_rng(0).random(1000) >= 0.1
    array = feature_array(LOGITS.size, valid)
    batch = pa.record_batch([array], schema=pa.schema([LOGITS.column.field]))
    path = tmp_path / "label.parquet"
    path.write_bytes(encode([batch], compression))
    found = pl.read_parquet(path)["label"].to_arrow()
    assert found.is_valid().equals(array.is_valid())
    floats = found.drop_null().flatten().view(pa.int32())
    assert floats.equals(array.drop_null().flatten().view(pa.int32()))


@pytest.mark.parametrize("compression", ALL)
def test_levels_and_counts_are_pyarrows(tmp_path: Path, compression: Compression) -> None:
    """Parquet's schema, levels, numbers of values and of nulls are those that pyarrow writes."""
    valid = np.arange(100) % 3 > 0
    batch = windows_with({NUISANCES: valid, LOGITS: ~valid}, 100, 8)
    theirs = tmp_path / "pyarrow.parquet"
    pq.write_table(pa.Table.from_batches([batch]), theirs)
    ours, theirs = pq.ParquetFile(io.BytesIO(encode([batch], compression))), pq.ParquetFile(theirs)
    assert ours.schema.equals(theirs.schema)
    assert ours.schema_arrow.equals(window_schema(8, (NUISANCES, LOGITS)), check_metadata=True)
    for index in range(len(ours.schema)):
        mine, other = (file.metadata.row_group(0).column(index) for file in (ours, theirs))
        assert mine.path_in_schema == other.path_in_schema
        assert mine.num_values == other.num_values
        assert mine.statistics.null_count == other.statistics.null_count
        levels = [
            (
                file.schema.column(index).max_definition_level,
                file.schema.column(index).max_repetition_level,
            )
            for file in (ours, theirs)
        ]
        assert levels[0] == levels[1]
    assert ours.schema.column(13).max_definition_level == 2


@pytest.mark.parametrize("compression", ALL)
def test_small_files_know_nothing_of_each_other(compression: Compression) -> None:
    """A file that is encoded among others has the bytes of one that is encoded alone."""
    rows = [1, 7, 30, 2, 60]
    features = (NUISANCES, Feature("label", 50))
    valid = np.repeat([True, False, True, False, True], rows)
    valid[10:20] = False
    batch = windows_with(dict(zip(features, (valid, ~valid), strict=True)), 100, 8)
    layout = ParquetLayout(batch.schema, compression)

    start = 0
    for count, content in zip(rows, files_of(layout, batch, rows), strict=True):
        part = batch.slice(start, count)
        for feature in features:
            found = pq.read_table(io.BytesIO(content))[feature.name]
            assert list_bits(found) == list_bits(part[feature.name])
        arrays = [pa.concat_arrays([array, array[:0]]) for array in part.columns]
        copied = pa.record_batch(arrays, schema=part.schema)
        assert files_of(layout, copied, [count]) == [content]
        start += count


def end_of_pages(content: bytes) -> int:
    """Where the page index of a file begins."""
    return max(page.stop for page in read_pages(content))


def test_without_features_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for checksums the pages without features are those of version 0.1, byte for byte."""
    write_no_checksums(monkeypatch)
    batch = windows(500, 7)
    content = encode([batch, batch.slice(166)], Compression.NONE)
    assert zlib.crc32(content[: end_of_pages(content)]) == 0xCD84EA90
    content = encode([windows(500, 1280), windows(500, 1280).slice(166)], Compression.NONE)
    assert zlib.crc32(content[: end_of_pages(content)]) == 0xB4BA7B55


def test_arrays_of_nulls_without_values() -> None:
    """What ``pyarrow.nulls`` makes can be written, alone and as a slice."""
    batch = pa.record_batch(
        [pa.nulls(9, NUISANCES.column.type)], schema=pa.schema([NUISANCES.column.field])
    )
    for compression in ALL:
        found = pq.read_table(io.BytesIO(encode([batch, batch.slice(4)], compression)))
        assert found["nuisances"].null_count == len(found) == 14


def test_null_elements_of_features_are_refused() -> None:
    """A list is there or null as a whole."""
    floats = pa.array([1.0, 2.0, 3.0, 4.0, None, 6.0], pa.float32())
    lists = pa.FixedSizeListArray.from_arrays(floats, type=NUISANCES.column.type)
    batch = pa.record_batch([lists], schema=pa.schema([NUISANCES.column.field]))
    with pytest.raises(DatasetError, match="'nuisances' has null elements"):
        encode([batch], Compression.NONE)
