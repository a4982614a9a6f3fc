"""Fixtures that all tests share."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import a20_parquet
from a20_parquet.conversion.transaction.begin import begin
from a20_parquet.conversion.transaction.lock import locked
from tests.helpers.conversions import INFO_NAMES, MakeDataset, write_shuffled
from tests.helpers.layout import LocalLayout
from tests.helpers.shards import make_record, random_tensor, write_shard
from tests.helpers.units import make_plan

if TYPE_CHECKING:
    from playwright.sync_api import Browser

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


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """The installed Chromium, see ``open_browser``."""
    # Most test files do without it.
    from tests.helpers.browser import open_browser

    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four shards of 120 records, see ``write_shuffled``; not to be changed."""
    return write_shuffled(tmp_path_factory.mktemp("shuffled"))


@pytest.fixture(scope="module")
def make_dataset(tmp_path_factory: pytest.TempPathFactory) -> MakeDataset:
    """Converts a shard with 4 records of 12 windows in 2 channels, by the given Hive keys."""
    folder = tmp_path_factory.mktemp("info")
    records = [make_record(random_tensor((12, 2, 8)), name) for name in INFO_NAMES]
    shard = write_shard(folder / "in" / "a-00000-of-00001", records)

    def make(partition_by: str) -> Path:
        dataset = folder / partition_by
        if not dataset.exists():
            a20_parquet.convert(shard, dataset, partition_by=partition_by, workers=1)
        return dataset

    return make


@pytest.fixture
def claimed(tmp_path: Path) -> Iterator[LocalLayout]:
    """A dataset that a conversion has begun, and that it keeps others from."""
    layout = LocalLayout.at(tmp_path / "dataset")
    with locked(layout):
        begin(layout, make_plan(), overwrite=False)
        yield layout
