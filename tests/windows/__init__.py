"""Tests of the table: no I/O but where a reader is asked how it takes a folder's name."""
