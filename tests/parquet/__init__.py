"""Tests of ``parquet``."""
