"""Tests of ``conversion``."""
