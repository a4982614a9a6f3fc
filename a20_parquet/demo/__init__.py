"""Realistic input and a first tour of the package."""
