"""Columns of one value a row: encoded, small files in groups."""
