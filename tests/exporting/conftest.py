"""Datasets to export from."""

from pathlib import Path

import pytest

import a20_parquet


@pytest.fixture(scope="session")
def grown(shuffled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset by site whose partitions have several files, some of an append; not to change."""
    out = tmp_path_factory.mktemp("grown") / "whole"
    shards = sorted(shuffled.iterdir())
    options = {"partition_by": "site", "max_file_size": 64 * 60, "row_group_rows": 16}
    for some in (shards[:2], shards[2:]):
        a20_parquet.convert(some, out, decoder="wire", **options)  # type: ignore[arg-type]
    return out
