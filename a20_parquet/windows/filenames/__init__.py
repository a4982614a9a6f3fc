"""Reads filenames of recordings and sites tables."""
