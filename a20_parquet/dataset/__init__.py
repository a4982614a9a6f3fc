"""What lies on disk: runs, Parquet files, manifest; written and read back."""
