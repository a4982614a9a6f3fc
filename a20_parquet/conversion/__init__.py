"""A conversion: detect, sort, find duplicates, merge, finish."""
