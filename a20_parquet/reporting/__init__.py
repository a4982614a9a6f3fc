"""The report's HTML page: pure functions from what a dataset holds to text."""
