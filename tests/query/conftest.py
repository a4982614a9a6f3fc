"""Datasets that several modules query."""

import json
from pathlib import Path

import pytest

import a20_parquet
from tests.helpers.classifiers import content
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


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """A file with thresholds."""
    path = tmp_path / "classifier.json"
    path.write_text(json.dumps(content()))
    return path


@pytest.fixture
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each data file is a unit."""
    monkeypatch.setattr("a20_parquet.query.score._UNIT_BYTES", 1)
