"""The table: columns, keys, filenames and order. No I/O and no TensorFlow."""
