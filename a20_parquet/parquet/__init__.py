"""A Parquet encoder for windows: equal rows give equal bytes, at the speed of copying them.

General writers compute two levels for each of an embedding's 1,280 floats, and need milliseconds
of set-up per file; a dataset may have thousands of small files. Here embeddings go from Arrow's
buffers to the file uncopied, and small row groups are encoded many at a time. The reader skips
the levels in the same way. Every other reader can read the files.

What stays ours, by CPU time for one uncompressed file with page index and page checksums, on two
shared cores on 28 November 2026:

===========  =====================  =====================
rows         all columns            without embeddings
===========  =====================  =====================
12, of many  0.11 ms, pyarrow 0.50  0.09 ms, pyarrow 0.42
40, of many  0.34 ms, pyarrow 0.85  0.30 ms, pyarrow 0.43
2,048        2.0 ms, pyarrow 16.8   1.3 ms, pyarrow 1.1
===========  =====================  =====================

- Lists (``lists.py``, ``pages.py``): eight times as fast, and the only way to write embeddings
  that are read from shards page by page.
- Small files (``flat/small_groups.py``, ``file_end.py``): two to five times as fast.
- Flat columns of large row groups (the rest of ``flat/``): not faster. They stay because one writer
  makes a file: pyarrow's cannot take pages that are encoded already.
- The format (``format/``): whatever writes pages has to name them. Files such as ``files.parquet``,
  which have no embeddings and are few, are written by pyarrow.

Other packages import these names only.
"""

from a20_parquet.parquet.embedding_reader import (
    LONGEST_HEADER,
    EmbeddingPages,
    Embeddings,
    Input,
    LocalInput,
    MemoryInput,
    Page,
)
from a20_parquet.parquet.encoder import GroupEncoder
from a20_parquet.parquet.format.footer import (
    CREATED_BY,
    MAGIC,
    TAIL_BYTES,
    FooterFrame,
    WrittenGroup,
    is_ours,
)
from a20_parquet.parquet.format.known_groups import KnownGroups, MovableChunk
from a20_parquet.parquet.format.page_index import PageLocation, read_offset_index
from a20_parquet.parquet.format.row_groups import ColumnChunk, RowGroup, RowGroups
from a20_parquet.parquet.format.timestamps import (
    TIMESTAMP_MICROS,
    TIMESTAMP_MILLIS,
    mark_instants,
)
from a20_parquet.parquet.layout import ParquetLayout
from a20_parquet.parquet.lists import ReadLists
from a20_parquet.parquet.one_page import read_one_page
from a20_parquet.parquet.pages import Compression
from a20_parquet.parquet.writer import ParquetWriter

__all__ = [
    "CREATED_BY",
    "LONGEST_HEADER",
    "MAGIC",
    "TAIL_BYTES",
    "TIMESTAMP_MICROS",
    "TIMESTAMP_MILLIS",
    "ColumnChunk",
    "Compression",
    "EmbeddingPages",
    "Embeddings",
    "FooterFrame",
    "GroupEncoder",
    "Input",
    "KnownGroups",
    "LocalInput",
    "MemoryInput",
    "MovableChunk",
    "Page",
    "PageLocation",
    "ParquetLayout",
    "ParquetWriter",
    "ReadLists",
    "RowGroup",
    "RowGroups",
    "WrittenGroup",
    "is_ours",
    "mark_instants",
    "read_offset_index",
    "read_one_page",
]
