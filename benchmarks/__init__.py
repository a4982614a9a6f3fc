"""Measurements of the program beside other ways to do its work."""
