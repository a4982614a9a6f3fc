"""A dataset with quarantine, for tests that spoil it."""

import shutil
from pathlib import Path

import pytest

import a20_parquet
from a20_parquet.verification.verify import verify
from tests.helpers.bad_shards import write_good_and_bad
from tests.helpers.spoiling import messages


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good records, records for quarantine, and damage of each kind."""
    return write_good_and_bad(tmp_path_factory.mktemp("in"))


@pytest.fixture(scope="module")
def whole(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their dataset, which must not be changed."""
    path = tmp_path_factory.mktemp("whole") / "dataset"
    a20_parquet.convert(shards, path, dims=8)
    assert messages(verify(path, shards)) == []
    return path


@pytest.fixture
def dataset(whole: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "dataset"))
