"""Measuring how fast a folder is written to."""

import os
from pathlib import Path

import fsspec
import pytest

from a20_parquet.storage.path import parse_path
from a20_parquet.storage.write_speed import measure_writes

MB = 1 << 20


class Clock:
    """Seconds that pass with each look."""

    def __init__(self, step_s: float) -> None:
        self.seconds = 0.0
        self._step_s = step_s

    def __call__(self) -> float:
        """Return the seconds, and let some pass."""
        self.seconds += self._step_s
        return self.seconds - self._step_s


@pytest.mark.parametrize(("step_s", "files"), [(0.001, 8), (0.2, 3), (10.0, 1)])
def test_bytes_over_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_s: float, files: int
) -> None:
    """Few files where they take long; each is on the disk before time is looked at."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    found = measure_writes(tmp_path, file_bytes=MB, clock=Clock(step_s))
    # One look before, one after each file, and one at the end.
    assert found == pytest.approx(files * MB / ((files + 1) * step_s))
    assert len(synced) == files
    assert not list(tmp_path.iterdir())


def test_stores_are_written_to() -> None:
    """And left as they were."""
    folder = parse_path("memory://speed")
    assert measure_writes(folder, file_bytes=MB) > 0
    assert not fsspec.filesystem("memory").find("/speed")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        measure_writes(tmp_path / "gone")
