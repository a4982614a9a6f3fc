"""Page headers and byte streams: what was written is read, and garbage does no harm."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import DatasetError
from a20_parquet.parquet import LONGEST_HEADER, MAGIC, Compression, EmbeddingPages, MemoryInput
from a20_parquet.parquet.format.encodings import byte_stream_split, join_byte_streams
from a20_parquet.parquet.format.schema import Encoding
from a20_parquet.parquet.format.thrift import checksum, integer, read_integer
from a20_parquet.parquet.pages import (
    PageHead,
    data_page_header,
    dictionary_page_header,
    read_data_page_header,
)
from tests.helpers.parquet_files import encode, windows
from tests.helpers.unchecked import without_checksum

SIZES = st.integers(0, 2**31 - 1)


@given(st.integers(0, 2**63 - 1), st.binary())
def test_integers(number: int, rest: bytes) -> None:
    """What ``integer`` writes is read back, and where it ends."""
    content = integer(number)
    assert read_integer(b"x" + content + rest, 1) == (number, 1 + len(content))


@given(st.integers(0, 2**32 - 1), st.binary())
def test_checksums(bits: int, rest: bytes) -> None:
    """They are read back as the signed numbers that Thrift knows."""
    content = checksum(bits)
    signed = bits - 2**32 if bits >= 2**31 else bits
    assert read_integer(b"x" + content + rest, 1) == (signed, 1 + len(content))


@given(
    SIZES,
    SIZES,
    SIZES,
    st.sampled_from([Encoding.PLAIN, Encoding.BYTE_STREAM_SPLIT]),
    st.integers(0, 2**32 - 1),
    st.data(),
)
def test_page_headers(  # noqa: PLR0913, PLR0917 - what a header tells
    size: int, stored: int, values: int, encoding: Encoding, crc: int, data: st.DataObject
) -> None:
    """Any header is read back, whatever follows; a cut one gives None or the same header."""
    header = data_page_header(size, stored, values, encoding, crc)
    assert len(header) <= LONGEST_HEADER
    expected = PageHead(len(header), size, stored, crc, values, encoding)
    assert read_data_page_header(header) == expected
    assert read_data_page_header(header + data.draw(st.binary(max_size=80))) == expected
    assert (
        read_data_page_header(memoryview(header)[: data.draw(st.integers(0, len(header) - 1))])
        is None
    )
    assert read_data_page_header(dictionary_page_header(size, stored, values, crc)) is None


@given(SIZES, SIZES, SIZES)
def test_page_headers_without_a_checksum(size: int, stored: int, values: int) -> None:
    """Earlier versions wrote none."""
    header = without_checksum(data_page_header(size, stored, values, Encoding.PLAIN, 0))
    expected = PageHead(len(header), size, stored, None, values, Encoding.PLAIN)
    assert read_data_page_header(header) == expected


@given(st.binary(max_size=100), st.integers(0, 40))
def test_garbage_is_no_page_header(garbage: bytes, kept: int) -> None:
    """Other bytes, also behind a true beginning, give nothing or numbers that fit the format."""
    header = data_page_header(1000, 900, 160, Encoding.PLAIN, 12345)
    head = read_data_page_header(header[:kept] + garbage)
    if head is not None:
        assert 0 < head.header_size <= kept + len(garbage)
        assert 0 <= (head.crc or 0) < 2**32
        assert all(0 <= (number or 0) < 2**31 for number in head._replace(crc=0))


def test_numbers_without_end_are_no_page_header() -> None:
    """A number of hundreds of bits would be taken for a size."""
    header = bytearray(data_page_header(1, 1, 1, Encoding.PLAIN, 1))
    position = header.index(integer(1))
    header[position : position + 1] = b"\xff" * 40 + b"\x01"
    assert read_data_page_header(bytes(header)) is None


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000])
def test_byte_streams_are_joined_again(count: int) -> None:
    """Splitting and joining changes nothing."""
    values = np.random.default_rng(count).integers(0, 2**32, count, np.uint32)
    streams = np.empty((4, count), np.uint8)
    byte_stream_split(values, streams)
    joined = np.empty((count, 4), np.uint8)
    join_byte_streams(streams, joined)
    np.testing.assert_array_equal(joined.reshape(-1).view("<u4"), values)


def other_reader() -> Any:
    """Must not be needed."""
    raise AssertionError


@pytest.mark.parametrize("compression", list(Compression))
@pytest.mark.parametrize(("rows", "dims"), [(1, 1), (9, 3), (2048, 128), (500, 1280)])
def test_our_own_pages_need_no_other_reader(compression: Compression, rows: int, dims: int) -> None:
    """The quick way is the one that is taken for what a conversion wrote."""
    batch = windows(rows, dims)
    source = MemoryInput(encode([batch], compression), 0, "file")
    pages = EmbeddingPages(source, compression, rows=rows, dims=dims, decode=other_reader)
    expected = batch["embedding"].flatten().to_numpy().reshape(rows, dims)
    assert [page.first for page in pages.pages(len(MAGIC))] == list(
        range(0, rows, max(1, 2**18 // dims))
    )
    for page in pages.pages(len(MAGIC)):
        out = np.empty((page.rows, dims), np.float32)
        pages.read(page, out)
        np.testing.assert_array_equal(out, expected[page.first : page.first + page.rows])


@pytest.mark.parametrize(("rows", "dims"), [(8, 3), (9, 4), (3, 9), (27, 1)])
def test_pages_of_other_shape_are_left_to_the_other_reader(rows: int, dims: int) -> None:
    """Pages whose counts or levels differ from the expected ones, even by one, are not guessed."""
    asked = []

    def decode() -> npt.NDArray[np.float32]:
        asked.append(True)
        return np.full((rows, dims), 7, np.float32)

    source = MemoryInput(encode([windows(9, 3)], Compression.NONE), 0, "file")
    pages = EmbeddingPages(source, Compression.NONE, rows=rows, dims=dims, decode=decode)
    for page in pages.pages(len(MAGIC)):
        out = np.empty((page.rows, dims), np.float32)
        pages.read(page, out)
        assert (out == 7).all()
    assert asked == [True]


def test_rows_that_no_page_holds_are_left_to_the_other_reader() -> None:
    """Pages are found one by one: those of the expected form before are read themselves."""
    batch = windows(9, 3)
    source = MemoryInput(encode([batch], Compression.NONE), 0, "file")
    sevens = np.full((10, 3), 7, np.float32)
    pages = EmbeddingPages(source, Compression.NONE, rows=10, dims=3, decode=lambda: sevens)
    read = []
    for page in pages.pages(len(MAGIC)):
        read.append(np.empty((page.rows, 3), np.float32))
        pages.read(page, read[-1])
    first, rest = read
    np.testing.assert_array_equal(first.reshape(-1), batch["embedding"].flatten().to_numpy())
    np.testing.assert_array_equal(rest, sevens[:1])


def test_bytes_in_memory_that_end_too_early() -> None:
    """An error says by how many bytes, and of which file."""
    source = MemoryInput(b"0123456789", 100, "memory://x")
    whole = bytearray(4), bytearray(6)
    source.read_into([memoryview(part) for part in whole], 100)
    assert [bytes(part) for part in whole] == [b"0123", b"456789"]
    with pytest.raises(DatasetError, match="memory://x ends 3 bytes too early"):
        source.read_into([memoryview(bytearray(5))], 108)
