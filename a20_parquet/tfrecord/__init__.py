"""Bytes in: finds shards, frames them into records and decodes the records."""
