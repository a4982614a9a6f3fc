"""Tests of ``transaction``."""
