"""Benchmarks of the program and of other ways to do its work."""
