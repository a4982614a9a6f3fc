"""Tests of places: local files and object stores."""
