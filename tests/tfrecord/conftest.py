"""What tests of one shard share."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """One folder for all examples that hypothesis tries; they overwrite each other's files."""
    with TemporaryDirectory() as name:
        yield Path(name)
