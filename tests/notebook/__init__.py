"""Tests of ``notebook``."""
