"""The Parquet format: thrift structures, levels and encodings."""
