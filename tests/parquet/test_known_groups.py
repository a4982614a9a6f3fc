"""Row groups of this program's footers, read by the form of an earlier footer or without one."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.parquet import Compression, KnownGroups, ParquetLayout
from tests.helpers.parquet_files import encode, windows

ROWS = 20
BATCH = windows(ROWS, 4)
LAYOUT = ParquetLayout(BATCH.schema, Compression.NONE)
COLUMNS = len(BATCH.schema)


def footer_of(batch: Any) -> bytes:
    """The bytes of ``FileMetaData`` of a file with one row group."""
    content = encode([batch], Compression.NONE)
    return content[-8 - int.from_bytes(content[-8:-4], "little") : -8]


FOOTER = footer_of(BATCH)


def read(known: KnownGroups, footer: bytes, rows: int = ROWS) -> Any:
    """The row groups, with chunks moved back and forth, or ``ValueError``."""
    try:
        return [
            (group, [(chunk.moved(1 << 20), chunk.moved(-5)) for chunk in chunks])
            for group, chunks in known.read(footer, rows)
        ]
    except ValueError:
        return ValueError


@given(
    wanted=st.sets(st.integers(0, COLUMNS - 1), min_size=1),
    changes=st.lists(st.tuples(st.integers(0, len(FOOTER) - 1), st.integers(0, 255)), max_size=3),
)
@settings(deadline=None, max_examples=500)
def test_form_changes_nothing(wanted: set[int], changes: list[tuple[int, int]]) -> None:
    """Any bytes are read by a form as they are without one."""
    changed = bytearray(FOOTER)
    for place, byte in changes:
        changed[place] = byte
    known = KnownGroups(LAYOUT.footer, COLUMNS, wanted)
    assert read(known, FOOTER) is not ValueError
    without = KnownGroups(LAYOUT.footer, COLUMNS, wanted)
    assert read(known, bytes(changed)) == read(without, bytes(changed))


@pytest.mark.parametrize("step", [1, 128])
def test_each_byte(step: int) -> None:
    """Each byte of the footer, changed a little or in the bit that ends a number."""
    wanted = range(COLUMNS)
    known = KnownGroups(LAYOUT.footer, COLUMNS, wanted)
    expected = read(known, FOOTER)
    outcomes = set()
    for place in range(len(FOOTER)):
        changed = bytearray(FOOTER)
        changed[place] ^= step
        found = read(known, bytes(changed))
        assert found == read(KnownGroups(LAYOUT.footer, COLUMNS, wanted), bytes(changed)), place
        outcomes.add("error" if found is ValueError else "same" if found == expected else "other")
    assert outcomes == {"error", "same", "other"}


@pytest.mark.parametrize("head", [b"\xfc\x01", b"\xfc\x81\x00", b"\xfc\x81\x80\x00"])
def test_no_form_of_a_longer_head(head: bytes) -> None:
    """A head that tells the number of row groups in more bytes than it needs teaches no form."""
    place = len(LAYOUT.footer.head) + 3
    footer = FOOTER[:place] + head + FOOTER[place + 1 :]
    known = KnownGroups(LAYOUT.footer, COLUMNS, range(COLUMNS))
    read(known, footer)
    for changed_place in range(place, len(footer), 3):
        changed = bytearray(footer)
        changed[changed_place] ^= 1
        without = KnownGroups(LAYOUT.footer, COLUMNS, range(COLUMNS))
        assert read(known, bytes(changed)) == read(without, bytes(changed)), changed_place


@given(seeds=st.lists(st.integers(0, 99), min_size=1, max_size=6))
@settings(deadline=None, max_examples=50)
def test_other_numbers_and_texts(seeds: list[int]) -> None:
    """Footers of other rows, read one after the other, are as pyarrow reads them."""
    known = KnownGroups(LAYOUT.footer, COLUMNS, (1, 3, 9))
    for seed in seeds:
        batch = windows(1 + seed, 4).slice(seed // 2)
        footer = footer_of(batch)
        ((group, chunks),) = known.read(footer, len(batch))
        tail = footer + len(footer).to_bytes(4, "little") + b"PAR1"
        theirs = pq.read_metadata(pa.BufferReader(b"PAR1" + tail)).row_group(0)
        assert (group.rows, group.columns) == (theirs.num_rows, theirs.num_columns)
        assert list(group.chunks) == [1, 3, 9]
        assert [chunk.place for chunk in chunks] == list(group.chunks.values())
        for index, place in group.chunks.items():
            column = theirs.column(index)
            start = column.dictionary_page_offset or column.data_page_offset
            assert place[:3] == (column.num_values, start, column.total_compressed_size)
        with pytest.raises(ValueError, match=r"expected|another form"):
            list(known.read(footer, len(batch) + 1))
