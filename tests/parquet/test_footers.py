"""Raw footers of our files beside those of the same tables as pyarrow writes them.

pyarrow and polars show what the logical type and the Arrow schema say, so that a mistake in what
other readers go by does not show there. Each difference that is meant stands here, with its reason.
"""

import io
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from a20_parquet.parquet import Compression
from a20_parquet.parquet.layout import _FLAT
from a20_parquet.parquet.lists import LIST_ITEMS
from tests.helpers.parquet_batches import ALL_TYPES, BATCHES
from tests.helpers.parquet_files import encode
from tests.helpers.thrift import Fields, read_footer

CONVERTED_TYPE, LOGICAL_TYPE = 6, 10
# What a column chunk says of itself in ``ColumnMetaData``.
TYPE, ENCODINGS, PATH, CODEC, VALUES, SIZE, STORED, DATA_PAGE, DICTIONARY_PAGE, STATISTICS = (
    *range(1, 8),
    9,
    11,
    12,
)
ENCODING_STATISTICS, SIZE_STATISTICS = 13, 16
OLD_MAX, OLD_MIN, NULLS, DISTINCT, MAX, MIN, MAX_IS_EXACT, MIN_IS_EXACT = range(1, 9)
PLAIN, RLE, RLE_DICTIONARY, BYTE_STREAM_SPLIT = 0, 3, 8, 9


def test_every_type_is_tried() -> None:
    """A type that the encoder learns has to be written here as well."""
    assert set(ALL_TYPES[:-3]) == set(_FLAT)
    assert {kind.value_type for kind in ALL_TYPES[-3:]} == set(LIST_ITEMS)


batches = pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
compressions = pytest.mark.parametrize("compression", list(Compression))


def write_with_pyarrow(batch: Any, **options: Any) -> bytes:
    """The same rows as pyarrow writes them."""
    file = io.BytesIO()
    pq.write_table(pa.table(batch), file, **options)
    return file.getvalue()


def expected_elements(elements: list[Fields]) -> list[Fields]:
    """What our schema should say, from pyarrow's."""
    root, *rest = elements
    # The format has no repetition for the root; pyarrow gives it one.
    root = {number: value for number, value in root.items() if number != 3}
    for element in rest:
        timestamp = element.get(LOGICAL_TYPE, {}).get(8)
        if timestamp and not timestamp[1]:
            # A wall clock's time. TIMESTAMP_MICROS means UTC: a reader that knows no logical types
            # would take it for an instant, and is better off with a plain number.
            assert element.pop(CONVERTED_TYPE) == 10
    return [root, *rest]


@batches
def test_schema_elements(batch: Any) -> None:
    """Types, lengths, repetition, names, children, converted and logical types, and no more."""
    ours, theirs = read_footer(encode([batch])), read_footer(write_with_pyarrow(batch))
    assert ours[2] == expected_elements(theirs[2])


@batches
def test_schema_as_duckdb_reads_it(batch: Any, tmp_path: Path) -> None:
    """The same through a reader that shows each field of the elements."""
    rows = []
    for file, content in (("ours", encode([batch])), ("theirs", write_with_pyarrow(batch))):
        path = tmp_path / f"{file}.parquet"
        path.write_bytes(content)
        found = duckdb.execute("SELECT * EXCLUDE (file_name) FROM parquet_schema(?)", [str(path)])
        names = [column[0] for column in found.description or ()]
        rows.append([dict(zip(names, row, strict=True)) for row in found.fetchall()])
    ours, theirs = rows
    theirs[0]["repetition_type"] = None
    for element in theirs:
        if element["duckdb_type"] == "TIMESTAMP":  # without a time zone
            element["converted_type"] = None
    assert ours == theirs
    kinds = {e["converted_type"] for e in ours if e["duckdb_type"] == "TIMESTAMP WITH TIME ZONE"}
    assert kinds == {"TIMESTAMP_MICROS"}


@batches
@compressions
def test_file_metadata(batch: Any, compression: Compression) -> None:
    """What else is in the footer besides schema and row groups."""
    ours = read_footer(encode([batch, batch], compression))
    theirs = read_footer(write_with_pyarrow(batch, row_group_size=60))
    # The format wants 1 until there is a consensus what 2 is; pyarrow writes 2.
    assert (ours[1], theirs[1]) == (1, 2)
    assert ours[3] == 2 * len(batch)
    assert ours[6].split(b" version ")[0] == b"a20_parquet"
    assert ours[7] == theirs[7] == [{1: {}}] * len(batch.schema)  # each type's natural order
    assert sorted(map(str, ours[5])) == sorted(map(str, theirs[5]))  # ARROW:schema among them
    assert ours.keys() == {1, 2, 3, 4, 5, 6, 7}


@batches
@compressions
def test_column_chunks(batch: Any, compression: Compression) -> None:
    """Paths, types, number of values with nulls, bounds and null counts."""
    codec = {Compression.NONE: "none", Compression.LZ4: "lz4", Compression.ZSTD: "zstd"}
    ours = read_footer(encode([batch], compression))
    theirs = read_footer(write_with_pyarrow(batch, compression=codec[compression]))
    (group,), (other,) = ours[4], theirs[4]
    for column, expected in zip(group[1], other[1], strict=True):
        is_list = len(column[3][PATH]) > 1
        # The places of offset index and column index. Lists have no bounds.
        assert column.keys() == {2, 3, 4, 5} if is_list else {2, 3, 4, 5, 6, 7}
        assert column[2] == expected[2] == 0  # no metadata lies elsewhere
        mine, its = column[3], expected[3]
        for field in (TYPE, PATH, CODEC, VALUES):
            assert mine[field] == its[field], (mine[PATH], field)
        assert mine[STATISTICS] == expected_statistics(its), mine[PATH]
        assert mine.get(SIZE_STATISTICS) == expected_sizes(its), mine[PATH]
        check_encodings(mine)
    assert group[2] == sum(column[3][SIZE] for column in group[1])
    assert group[3] == other[3] == len(batch)
    assert group[6] == sum(column[3][STORED] for column in group[1])
    assert group[5] == 4
    assert group.keys() == {1, 2, 3, 5, 6}


def expected_statistics(chunk: Fields) -> Fields:
    """What our statistics should be, from pyarrow's."""
    statistics: Fields = dict(chunk[STATISTICS])
    # Bounds whose order was never agreed on; all readers of today take the others.
    for field in (OLD_MAX, OLD_MIN):
        statistics.pop(field, None)
    if chunk[PATH][-1:] == [b"element"]:
        # A row is found by no bound of all its floats together.
        for field in (MAX, MIN, MAX_IS_EXACT, MIN_IS_EXACT):
            statistics.pop(field, None)
    return statistics


def expected_sizes(chunk: Fields) -> Fields | None:
    """What our size statistics should be, from pyarrow's: but for lists without elements."""
    sizes = chunk.get(SIZE_STATISTICS)
    return sizes and {number: value for number, value in sizes.items() if value != []}


def check_encodings(chunk: Fields) -> None:
    """Each encoding of the pages is named once, and pages begin where the dictionary ends."""
    encodings = chunk[ENCODINGS]
    has_dictionary = DICTIONARY_PAGE in chunk
    if has_dictionary:
        assert encodings == [RLE_DICTIONARY, RLE, PLAIN]
        assert chunk[DICTIONARY_PAGE] < chunk[DATA_PAGE]
        pages = [(2, PLAIN, 1), (0, RLE_DICTIONARY, 1)]
    else:
        assert encodings in ([PLAIN, RLE], [BYTE_STREAM_SPLIT, RLE])
        pages = [(0, encodings[0], 1)]
    assert [tuple(found.values()) for found in chunk[ENCODING_STATISTICS]] == pages


@batches
@compressions
def test_metadata_as_duckdb_and_pyarrow_read_it(
    batch: Any, compression: Compression, tmp_path: Path
) -> None:
    """Bounds and counts are values of the columns' own types, for either reader."""
    path = tmp_path / "ours.parquet"
    path.write_bytes(encode([batch], compression))
    read = duckdb.execute(
        "SELECT path_in_schema, num_values, stats_null_count, stats_min_value, stats_max_value, "
        "min_is_exact, max_is_exact, total_compressed_size FROM parquet_metadata(?)",
        [str(path)],
    ).fetchall()
    group = pq.ParquetFile(path).metadata.row_group(0)
    for index, (name, values, nulls, low, high, *exact, stored) in enumerate(read):
        column = batch.column(index)
        chunk = group.column(index)
        assert name.replace(", ", ".") == chunk.path_in_schema
        assert (values, nulls) == (chunk.num_values, column.null_count)
        assert nulls == chunk.statistics.null_count
        assert stored == chunk.total_compressed_size
        if pa.types.is_fixed_size_list(column.type) or nulls == len(column):
            assert (low, high, exact) == (None, None, [None, None])
            continue
        bounds = pa.compute.min_max(column).as_py()
        assert (chunk.statistics.min, chunk.statistics.max) == (bounds["min"], bounds["max"])
        assert exact == [True, True]
        kind = "TIMESTAMPTZ" if getattr(column.type, "tz", None) else duckdb_type(column.type)
        ((first, last),) = duckdb.execute(f"SELECT ?::{kind}, ?::{kind}", [low, high]).fetchall()
        assert (first, last) == (bounds["min"], bounds["max"])


def duckdb_type(kind: Any) -> str:
    """DuckDB's name of an Arrow type."""
    names = {
        pa.string(): "VARCHAR",
        pa.binary(): "BLOB",
        pa.float32(): "FLOAT",
        pa.float64(): "DOUBLE",
        pa.timestamp("us"): "TIMESTAMP",
        pa.date32(): "DATE",
    }
    return names.get(kind, "BIGINT")


@batches
@compressions
def test_a_strict_reader(batch: Any, compression: Compression, tmp_path: Path) -> None:
    """arrow-rs refuses a footer that contradicts itself; it reads the rows that were written."""
    arro3 = pytest.importorskip("arro3.io", reason="a strict reader, arro3-io")
    path = tmp_path / "ours.parquet"
    path.write_bytes(encode([batch, batch], compression))
    read = pa.table(arro3.read_parquet(str(path)).read_all())
    assert read.schema.remove_metadata() == batch.schema.remove_metadata()
    assert read.replace_schema_metadata().equals(pa.Table.from_batches([batch, batch]))
