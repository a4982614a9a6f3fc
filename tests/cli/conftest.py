"""Input of several tests."""

from pathlib import Path

import pytest

import a20_parquet
from tests.helpers.shards import make_record, random_tensor, write_shard


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shards of one window, and a file that is none."""
    folder = tmp_path_factory.mktemp("progress") / "in"
    for n in range(2):
        record = make_record(random_tensor((1, 1, 8), n))
        write_shard(folder / f"a-{n:05d}-of-00002", [record])
    (folder / "notes.txt").write_text("no shard")
    return folder


@pytest.fixture(scope="module")
def dataset(shards: Path) -> Path:
    """A dataset made of them; not to be changed."""
    a20_parquet.convert(shards, shards.parent / "dataset", decoder="wire")
    return shards.parent / "dataset"


@pytest.fixture(scope="module")
def filename(dataset: Path) -> str:
    """The filename of its first window."""
    name: str = a20_parquet.scan(dataset).select("filename").head(1).collect().item()
    return name
