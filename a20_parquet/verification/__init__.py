"""Whether a dataset is what its manifest, and its shards, say."""
