"""Reads the embeddings of a row group of one page with one read.

Of a page as ``ListColumn`` writes it, header and levels have a known length for its rows, but for
the checksum, which nearly always takes five bytes. So the floats can be read where they are wanted,
without a look at the header first.
"""

import numpy as np
from isal.isal_zlib import crc32

from a20_parquet.parquet.embedding_reader import Embeddings, LocalInput, full_levels
from a20_parquet.parquet.format.schema import Encoding
from a20_parquet.parquet.pages import data_page_frame, read_data_page_header

_CRC_BYTES = 5


def read_one_page(source: LocalInput, start: int, out: Embeddings) -> bool:
    """Read one uncompressed page.

    Args:
        source: the file's bytes.
        start: offset of the page in the file, in bytes.
        out: receives the rows of the page, shape ``(rows, dims)``.

    Returns:
        False if the page has another form or checksum. Then ``out`` holds anything, and
        ``EmbeddingPages`` must read it.

    Raises:
        DatasetError: the file ends too early.
        OSError: it cannot be read.
    """
    levels = full_levels(*out.shape)
    size = len(levels) + out.nbytes
    front, back = data_page_frame(size, size, out.size, Encoding.PLAIN)
    header_size = len(front) + _CRC_BYTES + len(back)
    found = bytearray(header_size + len(levels))
    values = out.view(np.uint8).data.cast("B")
    if start + len(found) + len(values) > source.size:
        return False
    source.read_into([memoryview(found), values], start)
    head = read_data_page_header(memoryview(found))
    return (
        head is not None
        and found.startswith(front)
        and found.endswith(back + levels)
        and head.header_size == header_size
        and head.crc == crc32(values, crc32(levels))
    )
