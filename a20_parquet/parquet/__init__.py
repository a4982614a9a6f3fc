"""Writes and reads Parquet files of windows as fast as their bytes can be copied."""

from a20_parquet.parquet.embedding_reader import (
    LONGEST_HEADER,
    ChunkPlace,
    EmbeddingPages,
    Embeddings,
    Page,
)
from a20_parquet.parquet.encoder import GroupEncoder
from a20_parquet.parquet.format.footer import CREATED_BY, MAGIC
from a20_parquet.parquet.input import HeldInput, Input, LocalInput
from a20_parquet.parquet.layout import ParquetLayout
from a20_parquet.parquet.lists import ReadLists
from a20_parquet.parquet.pages import Compression
from a20_parquet.parquet.writer import ParquetWriter

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
