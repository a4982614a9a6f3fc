"""Encodes columns of one value per row, and small files in groups."""
