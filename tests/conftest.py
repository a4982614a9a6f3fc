"""Fixtures that all tests share."""

from pathlib import Path

import pytest

_REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real shards and filenames, which is not part of the project."""
    if not _REAL_DATA.is_dir():
        pytest.skip(f"no real data at {_REAL_DATA}")
    return _REAL_DATA
