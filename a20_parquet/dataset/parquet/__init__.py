"""Writes and reads Parquet files of windows as fast as their bytes can be copied."""

from a20_parquet.dataset.parquet.embedding_pages import (
    LONGEST_HEADER,
    ChunkPlace,
    EmbeddingPages,
    Embeddings,
    Page,
)
from a20_parquet.dataset.parquet.encoder import GroupEncoder
from a20_parquet.dataset.parquet.footer import CREATED_BY, MAGIC
from a20_parquet.dataset.parquet.input import HeldInput, Input, LocalInput
from a20_parquet.dataset.parquet.layout import ParquetLayout
from a20_parquet.dataset.parquet.lists import ReadLists
from a20_parquet.dataset.parquet.pages import Compression
from a20_parquet.dataset.parquet.writer import ParquetWriter

__all__ = [
    "CREATED_BY",
    "LONGEST_HEADER",
    "MAGIC",
    "ChunkPlace",
    "Compression",
    "EmbeddingPages",
    "Embeddings",
    "GroupEncoder",
    "HeldInput",
    "Input",
    "LocalInput",
    "Page",
    "ParquetLayout",
    "ParquetWriter",
    "ReadLists",
]
