"""Reads datasets: ``scan``, ``connect``, ``similar``, ``info`` and DuckDB files."""
