"""Writes a part of a dataset, as a dataset or for other tools."""
