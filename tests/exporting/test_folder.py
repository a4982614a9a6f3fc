"""Folders that exports write: the old one is there until the new one is."""

from pathlib import Path

import pytest

from a20_parquet.exporting.folder import new_folder


class Killed(BaseException):
    """Stands for the end of the process."""


def test_killed_between_the_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old folder has its name again after the next attempt, also if that fails."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "old").touch()
    rename = Path.rename

    def rename_until_killed(path: Path, target: Path) -> Path:
        if target == out:
            raise Killed
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename_until_killed)
    with pytest.raises(Killed), new_folder(out) as new:
        (new / "new").touch()
    assert not out.exists()
    monkeypatch.undo()
    with pytest.raises(Killed), new_folder(out):
        raise Killed
    assert [path.name for path in out.iterdir()] == ["old"]
    with new_folder(out) as new:
        (new / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
