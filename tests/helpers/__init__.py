"""What tests share: shards and datasets made for them, conversions, and ways to read results."""
