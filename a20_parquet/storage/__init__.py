"""Where bytes lie: local files and object stores, both behind the same few functions."""
