"""Which files are shards, in which order, and what they are called."""
