"""Tests of ``verification``."""
