"""The page index: as pyarrow writes it, as the pages are, and hostile ones."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.parquet import (
    Compression,
    GroupEncoder,
    PageLocation,
    ParquetLayout,
    ParquetWriter,
    RowGroups,
    read_offset_index,
)
from a20_parquet.parquet.format.page_index import offset_index
from tests.helpers.parquet_batches import BATCHES
from tests.helpers.parquet_files import encode, files_of, windows
from tests.helpers.thrift import Fields, StoredPage, read_footer, read_pages, read_struct

OFFSET_INDEX, OFFSET_INDEX_SIZE, COLUMN_INDEX, COLUMN_INDEX_SIZE = 4, 5, 6, 7
HISTOGRAMS = (6, 7)


def index_of(content: bytes, chunk: Fields, start: int, size: int) -> Fields:
    """One structure of the index, which must end where the column chunk says."""
    fields, end = read_struct(content, chunk[start])
    assert end == chunk[start] + chunk[size]
    return fields


def pages_of(content: bytes) -> list[list[StoredPage]]:
    """The data pages of each column chunk."""
    pages: list[list[StoredPage]] = []
    left = list(read_pages(content))
    for group in read_footer(content)[4]:
        for chunk in group[1]:
            end = chunk[3].get(11, chunk[3][9]) + chunk[3][7]
            count = sum(page.stop <= end for page in left)
            pages.append([page for page in left[:count] if page.header[1] == 0])
            left = left[count:]
    return pages


@pytest.mark.parametrize("batch", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("compression", list(Compression))
def test_column_indexes_as_pyarrow_writes_them(batch: Any, compression: Compression) -> None:
    """Null pages, bounds, their order and null counts; lists have none."""
    ours = encode([batch], compression)
    sink = io.BytesIO()
    pq.write_table(pa.table(batch), sink, write_page_index=True)
    theirs = sink.getvalue()
    for mine, its in zip(read_footer(ours)[4][0][1], read_footer(theirs)[4][0][1], strict=True):
        if len(mine[3][3]) > 1:
            assert COLUMN_INDEX not in mine
            continue
        expected = index_of(theirs, its, COLUMN_INDEX, COLUMN_INDEX_SIZE)
        for number in HISTOGRAMS:
            # Of one page they say what the footer says.
            expected.pop(number, None)
        assert index_of(ours, mine, COLUMN_INDEX, COLUMN_INDEX_SIZE) == expected


@pytest.mark.parametrize("compression", list(Compression))
def test_offset_indexes_name_the_pages(compression: Compression) -> None:
    """Offsets, sizes and first rows of all pages, for another reader's eyes and for ours."""
    batch = windows(500, 1280)
    content = encode([batch, batch.slice(300)], compression)
    footer = content[-8 - int.from_bytes(content[-8:-4], "little") : -8]
    pages = iter(pages_of(content))
    for number, group in enumerate(read_footer(content)[4]):
        found = RowGroups(footer).read(number, range(99))
        for index, chunk in enumerate(group[1]):
            stored = next(pages)
            listed = index_of(content, chunk, OFFSET_INDEX, OFFSET_INDEX_SIZE)[1]
            ours = found.chunks[index]
            assert (ours.index_start, ours.index_size) == (chunk[4], chunk[5])
            read = read_offset_index(
                content[ours.index_start :][: ours.index_size],
                rows=found.rows,
                start=ours.start,
                stored_size=ours.stored_size,
            )
            assert [tuple(page.values()) for page in listed] == [tuple(page) for page in read]
            assert [page.start + page.stored_size for page in read] == [p.stop for p in stored]
            values = 1280 if index == 0 else 1
            rows = [page.header[5][1] // values for page in stored]
            assert [page.first_row for page in read] == [0, *np.cumsum(rows)[:-1].tolist()]
    assert len(pages_of(content)[0]) == 3


def test_floats_with_nan_have_no_bounds() -> None:
    """The format forbids bounds that are NaN, and a column index without bounds."""
    batch = pa.record_batch([pa.array([1.0, float("nan")])], names=["x"])
    (chunk,) = read_footer(encode([batch]))[4][0][1]
    assert COLUMN_INDEX not in chunk
    assert OFFSET_INDEX in chunk


def test_sorting_columns() -> None:
    """Every row group says by which columns its rows ascend, for pyarrow too."""
    batch = windows(60, 4)
    names = ("window_start", "filename")
    encoder = GroupEncoder(ParquetLayout(batch.schema, Compression.NONE, names))
    file = io.BytesIO()
    with ParquetWriter(file, encoder) as writer:
        writer.put(encoder.encode(batch))
    group = pq.ParquetFile(file).metadata.row_group(0)
    expected = [(batch.schema.get_field_index(name), False, True) for name in names]
    found = [(key.column_index, key.descending, key.nulls_first) for key in group.sorting_columns]
    assert found == expected


def test_size_statistics_of_many_small_files() -> None:
    """Bytes of texts and levels, as of a file by itself."""
    batch = windows(100, 4)
    layout = ParquetLayout(batch.schema, Compression.NONE)
    sizes = [1, 12, 30, 57]
    start = 0
    for size, content in zip(sizes, files_of(layout, batch, sizes), strict=True):
        part = batch.slice(start, size)
        start += size
        sink = io.BytesIO()
        pq.write_table(pa.table(part), sink)
        theirs = read_footer(sink.getvalue())[4][0][1]
        for mine, its in zip(read_footer(content)[4][0][1], theirs, strict=True):
            expected = {key: value for key, value in its[3].get(16, {}).items() if value != []}
            assert mine[3].get(16, {}) == expected


@pytest.mark.parametrize("compression", list(Compression))
def test_ends_of_many_files_are_those_of_each(compression: Compression) -> None:
    """What is encoded for many files at once is what each gets alone, to the byte."""
    rows = [1, 300, 12, 30, 500, 57]
    batch = windows(sum(rows), 1280)
    encoder = GroupEncoder(ParquetLayout(batch.schema, compression, ("window_start",)))
    for group in encoder.encode_many(batch, rows):
        contents = []
        for end in (group.end, None):
            file = io.BytesIO()
            with ParquetWriter(file, encoder) as writer:
                writer.put(group._replace(end=end))
            contents.append(file.getvalue())
        assert contents[0] == contents[1]
        assert contents[0].endswith(group.end or b"?")


def test_an_end_is_not_that_of_more_row_groups() -> None:
    """What a file of one row group ends with is not written behind a second one."""
    batch = windows(40, 4)
    encoder = GroupEncoder(ParquetLayout(batch.schema, Compression.NONE))
    file = io.BytesIO()
    with ParquetWriter(file, encoder) as writer:
        for group in encoder.encode_many(batch, [15, 25]):
            writer.put(group)
    assert pq.read_table(file).equals(pa.Table.from_batches([batch]))


PAGES = [PageLocation(4, 90, 0), PageLocation(94, 80, 7), PageLocation(174, 10, 9)]
HOSTILE = {
    "no pages": [],
    "a first row that is not 0": [PageLocation(4, 90, 1)],
    "rows that do not ascend": [PAGES[0], PageLocation(94, 80, 0)],
    "a row behind the last": [PAGES[0], PageLocation(94, 80, 10)],
    "pages that overlap": [PAGES[0], PageLocation(93, 80, 7)],
    "a page before the chunk": [PageLocation(3, 90, 0)],
    "a page behind the chunk": [PageLocation(4, 181, 0)],
    "an empty page": [PageLocation(4, 0, 0)],
}


def read(content: bytes) -> list[PageLocation]:
    """Read the index of a chunk of 180 bytes with 10 rows."""
    return read_offset_index(content, rows=10, start=4, stored_size=180)


def test_a_good_index_is_read() -> None:
    """So the next tests show what is wrong with others."""
    assert read(offset_index(PAGES)) == PAGES


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_indexes_are_refused(name: str) -> None:
    """No page that is elsewhere is ever read."""
    with pytest.raises(ValueError, match="page index lists"):
        read(offset_index(HOSTILE[name]))


@given(st.data())
def test_any_bytes_are_pages_of_the_chunk_or_refused(data: st.DataObject) -> None:
    """Changed and random bytes."""
    good = offset_index(PAGES)
    start = data.draw(st.integers(0, len(good)))
    other = data.draw(st.binary(max_size=8))
    content = data.draw(st.sampled_from([good[:start] + other + good[start + len(other) :], other]))
    try:
        pages = read(content)
    except ValueError:
        return
    assert pages[0].first_row == 0
    assert all(4 <= page.start < page.start + page.stored_size <= 184 for page in pages)
    rows = [*(page.first_row for page in pages), 10]
    assert rows == sorted(set(rows))
