"""Row groups of footers that nobody has checked: as pyarrow reads them, or ``ValueError``."""

import io
import re
from collections.abc import Callable
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.parquet import Compression, ParquetLayout, RowGroups
from a20_parquet.parquet.format import row_groups
from tests.helpers.parquet_files import encode, windows


def footer_of(content: bytes) -> bytes:
    """The bytes of ``FileMetaData``."""
    return content[-8 - int.from_bytes(content[-8:-4], "little") : -8]


def by_pyarrow(table: Any, **options: Any) -> bytes:
    """The rows as pyarrow writes them."""
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=7, **options)
    return sink.getvalue()


def by_polars(table: Any) -> bytes:
    """The rows as polars writes them."""
    sink = io.BytesIO()
    pl.DataFrame(table).write_parquet(sink, row_group_size=7)
    return sink.getvalue()


WRITERS: dict[str, Callable[[Any], bytes]] = {
    "ours": lambda table: encode(table.to_batches(max_chunksize=7), Compression.ZSTD),
    "many groups": lambda table: encode(table.to_batches(max_chunksize=1), Compression.NONE),
    "pyarrow": by_pyarrow,
    "page index": lambda table: by_pyarrow(table, write_page_index=True),
    "plain": lambda table: by_pyarrow(table, use_dictionary=False, write_statistics=False),
    "sorted": lambda table: by_pyarrow(
        table, sorting_columns=[pq.SortingColumn(1)], store_decimal_as_integer=True
    ),
    "polars": by_polars,
}


@pytest.mark.parametrize("writer", WRITERS)
def test_as_pyarrow_reads_them(writer: str) -> None:
    """Counts, sizes and offsets of all columns, and of some."""
    content = WRITERS[writer](pa.Table.from_batches([windows(40, 4)]))
    expected = pq.read_metadata(io.BytesIO(content))
    found = RowGroups(footer_of(content), KNOWN)
    assert len(found) == expected.num_row_groups > 1
    for number in range(len(found)):
        theirs = expected.row_group(number)
        for wanted in (range(99), (0,), (12, 3)):
            ours = found.read(number, wanted)
            assert (ours.rows, ours.columns) == (theirs.num_rows, theirs.num_columns)
            assert sorted(ours.chunks) == sorted(set(wanted) & set(range(theirs.num_columns)))
            for index, chunk in ours.chunks.items():
                column = theirs.column(index)
                start = column.data_page_offset
                if column.has_dictionary_page:
                    start = min(start, column.dictionary_page_offset)
                size = column.total_compressed_size
                assert chunk[:3] == (column.num_values, start, size)
                assert bool(chunk.index_size) == column.has_offset_index


GOOD = [footer_of(WRITERS[name](pa.Table.from_batches([windows(20, 4)]))) for name in WRITERS]
KNOWN = ParquetLayout(windows(1, 4).schema, Compression.NONE).footer


def read_all(footer: bytes) -> None:
    """Read all columns of all row groups."""
    groups = RowGroups(footer, KNOWN)
    for number in range(len(groups)):
        groups.read(number, range(99))


def test_every_cut_footer_is_refused() -> None:
    """Wherever it is cut."""
    for good in GOOD[::2]:
        for length in range(len(good)):
            with pytest.raises(ValueError, match="ends too early"):
                read_all(good[:length])


@given(st.data())
def test_any_bytes_end_soon(data: st.DataObject) -> None:
    """Changed footers, and bytes that are none, are read or are a ``ValueError``."""
    good = data.draw(st.sampled_from(GOOD))
    start = data.draw(st.integers(0, len(good)))
    other = data.draw(st.binary(max_size=12))
    footer = data.draw(
        st.sampled_from([good[:start] + other + good[start + len(other) :], other * 20])
    )
    try:
        read_all(footer)
    except ValueError:
        return


HOSTILE = {
    # Struct: field 4 is a list of so many structs.
    "many row groups": b"\x49\xfc\xff\xff\xff\xff\x0f",
    "a list of 2^63 bools": b"\x19\xf1" + b"\xff" * 9 + b"\x00",
    "a list of 2^63 numbers": b"\x19\xf5" + b"\xff" * 9 + b"\x00",
    "a text of 2^63 bytes": b"\x18" + b"\xff" * 9 + b"\x00",
    "a number of 80 bits": b"\x49\x1c\x39" + b"\xfc" + b"\xff" * 11 + b"\x00",
    "nested lists": b"\x19" + b"\x19" * 5000,
    "nested structs": b"\x1c" * 5000,
    "equal fields": b"\x49\x1c\x36\x02\x06\x06\x04\x00\x00",
    "a lower field": b"\x49\x1c\x36\x02\x06\x02\x04\x00\x00",
    "a chunk without numbers": b"\x49\x1c\x19\x1c\x3c\x00\x00\x36\x02\x00\x00",
    "chunks that are texts": b"\x49\x1c\x19\x18\x00\x36\x02\x00\x00",
    "an unknown type": b"\x17" + bytes(9),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_footers_are_refused(name: str) -> None:
    """At once, whatever counts and depths they claim."""
    with pytest.raises(ValueError, match=r"footer|nested|long|follows|field|items"):
        read_all(HOSTILE[name])


@given(st.data())
def test_patterns_read_what_fields_read(data: st.DataObject) -> None:
    """A chunk that the pattern takes, changed in any way, is one that is read field by field."""
    good = GOOD[data.draw(st.integers(0, 1))]
    start = data.draw(st.integers(0, len(good) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    footer = good[:start] + bytes((good[start] ^ bit,)) + good[start + 1 :]
    found: list[Any] = []
    for pattern in (row_groups.known_chunk(), re.compile(b"(?!)")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(row_groups, "known_chunk", lambda pattern=pattern: pattern)
            try:
                groups = RowGroups(footer)
                found.append([groups.read(number, range(99)) for number in range(len(groups))])
            except ValueError as error:
                found.append(str(error))
    assert found[0] == found[1]


def test_chunks_of_this_program_match_the_pattern() -> None:
    """Reading field by field takes ten times as long."""
    for good in GOOD[:2]:
        rest = row_groups.known_chunk().findall(good)
        assert len(rest) == len(RowGroups(good)) * len(windows(1, 4).schema)
