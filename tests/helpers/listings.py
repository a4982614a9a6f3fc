"""Folders of files for the search for shards, and what it found there."""

import os
from pathlib import Path

from a20_parquet.shards.discover import Listing
from tests.helpers.shards import frame, write_content

CONTENT = frame(b"one record")


def lay(folder: Path, *names: str, content: bytes = CONTENT) -> None:
    """Write a file with the same content under each name."""
    for name in names:
        write_content(folder / name, content)


def labels(listing: Listing) -> list[str]:
    return [shard.label for shard in listing.shards]


def reasons(listing: Listing, folder: Path) -> dict[str, str]:
    return {os.path.relpath(item.url, folder): item.reason for item in listing.passed_over}
