"""Clusters and shards for their conversions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import a20_parquet
from a20_parquet.conversion.options import OptionValues
from tests.execution.cluster.grid import Grid, Nursery
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import frame, make_record, random_tensor

SHARDS = 12
_NAMES = (
    "site_0285/202010{day:02d}T230000+1030_Arkaba-Dry-A_49501.flac",
    "202103{day:02d}T235900-0330_Site-3_7.wav",
    "201906{day:02d}T013925Z_Toorale-National-Park-Dry-A_353483.flac",
)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Makes members of clusters."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def grid(nursery: Nursery) -> Iterator[Grid]:
    """Three workers and their scheduler."""
    with Grid(nursery) as grid:
        yield grid


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards with duplicates, bad names and damage, all of which are read without TensorFlow."""
    folder = tmp_path_factory.mktemp("cluster") / "shards"
    folder.mkdir()
    for shard in range(SHARDS):
        frames = []
        for record in range(20):
            number = shard * 20 + record
            # Each third record is in the shard before as well.
            seed = number - 20 if record % 3 == 0 and shard else number
            shape = (1 + seed % 12, 1 + 4 * (seed % 5 == 0), 16)
            name = _NAMES[seed % len(_NAMES)].format(day=1 + seed % 7)
            name = "nowhere.wav" if record == 7 else name
            frames.append(frame(make_record(random_tensor(shape, seed), name, 60.0 * seed)))
        if shard % 4 == 1:
            frames[10] = frames[10][:-9] + bytes(9)
        (folder / f"embeddings-{shard:05d}-of-{SHARDS:05d}").write_bytes(b"".join(frames))
    return folder


@pytest.fixture
def many_units(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on each shard is a unit of the first pass, and each file one of the second."""
    from a20_parquet.conversion import merge_pass

    use_tiny_memory(monkeypatch, workers=1)
    monkeypatch.setattr(merge_pass, "_UNIT_BYTES", 1)


@pytest.fixture(scope="session")
def expected(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What this process alone makes of them."""
    folder = tmp_path_factory.mktemp("alone")
    options = OPTIONS.copy()
    options["npy_json"] = folder / "notebook"
    a20_parquet.convert(shards, folder / "dataset", **options)
    return {**digests(folder / "dataset"), **digests(folder / "notebook")}


OPTIONS: OptionValues = {
    "max_file_size": "4KB",
    "row_group_rows": 16,
    "drop_duplicates": True,
    "decoder": "wire",
}
"""Many files, and a dataset to which everything counts."""
