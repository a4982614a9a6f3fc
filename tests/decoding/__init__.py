"""Tests of ``decoding``."""
