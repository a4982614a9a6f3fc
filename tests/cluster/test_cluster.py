"""Conversions by a cluster end as those of one process do, to the byte."""

from pathlib import Path

import a20_parquet
from tests.cluster.conftest import OPTIONS, SHARDS
from tests.cluster.grid import Grid, Recorder
from tests.conversions import digests


def test_same_bytes(
    shards: Path, expected: dict[str, str], grid: Grid, many_units: None, tmp_path: Path
) -> None:
    """Whoever does the units: files, quarantine, manifest, and the notebook's files."""
    progress = Recorder()
    done = a20_parquet.convert(
        shards,
        tmp_path / "dataset",
        npy_json=tmp_path / "notebook",
        scratch=tmp_path / "scratch",
        decoder="wire",
        dask=grid.address,
        progress=progress,
        **OPTIONS,
    )
    assert {**digests(tmp_path / "dataset"), **digests(tmp_path / "notebook")} == expected
    assert done.runs_on_disk >= SHARDS
    assert done.duplicates.identical > 0
    assert progress.done == progress.totals
    assert list((tmp_path / "scratch").iterdir()) == []
