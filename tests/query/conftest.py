"""Datasets that several modules query."""

from pathlib import Path

import pytest

import a20_parquet
from tests.helpers.recordings import write_recordings


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By date, and by site in many row groups."""
    root = tmp_path_factory.mktemp("datasets")
    shards = write_recordings(root / "shards")
    a20_parquet.convert(shards, root / "date", decoder="wire")
    a20_parquet.convert(
        shards, root / "site", partition_by="site", row_group_rows=7, decoder="wire"
    )
    return {name: root / name for name in ("date", "site")}


@pytest.fixture(scope="module")
def dataset(datasets: dict[str, Path]) -> Path:
    """The usual one."""
    return datasets["date"]
