"""Reads datasets with every reader there is, bit for bit: ``python -m tests.conformance``."""
