"""Tests of the first stage: finding, framing and decoding shards."""
