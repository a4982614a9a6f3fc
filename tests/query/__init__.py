"""Tests of ``query``."""
