"""Scripts that break conversions in every way; each has a short version among the tests."""
