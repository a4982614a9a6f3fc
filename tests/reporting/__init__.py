"""Tests of ``reporting``."""
