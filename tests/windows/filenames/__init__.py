"""Tests of ``filenames``."""
