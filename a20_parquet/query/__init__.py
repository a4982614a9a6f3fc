"""Reading a dataset: scan, connect, similar, info and DuckDB files."""
