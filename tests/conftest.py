"""Fixtures that all tests share."""

from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.conversions import write_shuffled

# No test measures time: on a busy machine any example may take long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_REAL_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real shards and filenames, which is not part of the project."""
    if not _REAL_DATA.is_dir():
        pytest.skip(f"no real data at {_REAL_DATA}")
    return _REAL_DATA


@pytest.fixture(scope="session")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of 120 records, see ``write_shuffled``; not to be changed."""
    return write_shuffled(tmp_path_factory.mktemp("shuffled"))
