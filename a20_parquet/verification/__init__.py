"""Compares a dataset with its manifest and with its shards."""
