"""Writes Parquet files of windows as fast as their bytes can be copied."""

from a20_parquet.dataset.parquet.columns import FlatGroup
from a20_parquet.dataset.parquet.layout import ParquetLayout
from a20_parquet.dataset.parquet.pages import Compression
from a20_parquet.dataset.parquet.writer import ParquetWriter

__all__ = ["Compression", "FlatGroup", "ParquetLayout", "ParquetWriter"]
