"""Tests of what the benchmarks run and compute; none measures time."""
