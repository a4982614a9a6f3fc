"""Every page carries the CRC32 of its stored bytes: raw, by pyarrow, and by our own reader."""

import io
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from a20_parquet.parquet import Compression, ParquetLayout
from a20_parquet.parquet.format.thrift import checksum
from a20_parquet.windows.schema import Feature
from tests.helpers.features import windows_with
from tests.helpers.parquet_files import SCHEMA, encode, files_of, windows
from tests.helpers.thrift import read_pages

_DATA, _DICTIONARY = 0, 2


def _repeated(rows: int) -> Any:
    """Rows of every flat type; names repeat, so that they get a dictionary, numbers do not."""
    count = np.arange(rows)
    arrays = [
        pa.array([f"recording_{number // 50}" for number in count]),
        pa.array([None if number % 3 else "x" * (number % 7) for number in count]),
        pa.array(count % 100, pa.int16()),
        pa.array(count, pa.int32()),
        pa.array([None] * rows, pa.int64()),
        pa.array(count / 3),
        pa.array(count * 10**6).cast(pa.timestamp("us", tz="UTC")),
        pa.array([0] * rows, pa.int32()).cast(pa.date32()),
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


def _with_nulls(rows: int) -> Any:
    valid = np.arange(rows) % 4 != 1
    masks = {Feature("some", 5): valid, Feature("all", 3): valid | True}
    return windows_with(masks | {Feature("none", 2): valid & False}, rows, 16)


FILES: dict[str, Callable[[Compression], list[bytes]]] = {
    "one page": lambda compression: [encode([windows(20, 8)], compression)],
    "pages and row groups": lambda compression: [
        encode([windows(450, 1280), windows(3, 1280)], compression)
    ],
    "features": lambda compression: [encode([_with_nulls(100)], compression)],
    "flat types": lambda compression: [encode([_repeated(300)], compression)],
    "small files": lambda compression: files_of(
        ParquetLayout(SCHEMA, compression), _repeated(300), [1, 49, 50, 10, 190]
    ),
}


@pytest.fixture(params=[(name, how) for name in FILES for how in Compression], ids=str)
def files(request: pytest.FixtureRequest) -> list[bytes]:
    """Files of one kind."""
    name, compression = request.param
    return FILES[name](compression)


def test_checksums_are_those_of_the_stored_bytes(files: list[bytes]) -> None:
    """As the format has it: a signed number, of what follows the header."""
    for content in files:
        kinds = set()
        for page in read_pages(content):
            crc = zlib.crc32(content[page.start : page.stop])
            assert page.header[4] == (crc - 2**32 if crc >= 2**31 else crc)
            kinds.add(page.header[1])
        assert _DATA in kinds
        assert kinds <= {_DATA, _DICTIONARY}


def test_there_are_dictionaries() -> None:
    """Else the test above would say nothing of their pages."""
    for name in ("flat types", "small files"):
        (*_, content) = FILES[name](Compression.ZSTD)
        assert _DICTIONARY in {page.header[1] for page in read_pages(content)}


def test_checksums_of_any_length() -> None:
    """Thrift writes numbers in 1 to 5 bytes; sizes and places that the footer tells follow."""
    batch = _repeated(2000)
    layout = ParquetLayout(SCHEMA, Compression.NONE)
    lengths = set()
    for content in files_of(layout, batch, [2] * 1000):
        for page in read_pages(content):
            crc = zlib.crc32(content[page.start : page.stop])
            signed = crc - 2**32 if crc >= 2**31 else crc
            assert page.header[4] == signed
            lengths.add(len(checksum(crc)))
    assert lengths >= {3, 4, 5}


def _read(content: bytes) -> Any:
    return pq.read_table(io.BytesIO(content), page_checksum_verification=True)


def test_pyarrow_finds_a_flipped_bit_in_every_page(files: list[bytes]) -> None:
    """It takes the file, and refuses it with any page changed."""
    for content in files:
        assert len(_read(content))
        for number, page in enumerate(read_pages(content)):
            changed = bytearray(content)
            place = page.start + number * 7919 % (page.stop - page.start)
            changed[place] ^= 1 << number % 8
            with pytest.raises(OSError, match="CRC checksum verification failed"):
                _read(bytes(changed))
