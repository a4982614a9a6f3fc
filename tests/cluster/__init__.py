"""Conversions by Dask clusters."""
