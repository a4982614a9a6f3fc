"""Where the files of a dataset lie, and how small ones are written."""

import os
from pathlib import Path

import pytest

from a20_parquet.dataset.layout import DatasetLayout, is_ours
from a20_parquet.notebook.files import NpyJsonFolder
from a20_parquet.storage.files import write_whole
from tests.helpers.layout import LocalLayout


def test_write_whole(tmp_path: Path) -> None:
    """A small file is replaced whole, and nothing else is left."""
    path = tmp_path / "file"
    for text in ("first", "\N{KOALA}"):
        write_whole(path, text)
        assert path.read_text("utf-8") == text
    write_whole(path, b"\xff")
    assert path.read_bytes() == b"\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_a_small_file_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written leaves the file that was there, and nothing half-written."""
    path = tmp_path / "file"
    write_whole(path, "before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset's place is a local folder, made absolute, or one in a store."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert LocalLayout.at("~/a").root == tmp_path / "home" / "a"
    assert NpyJsonFolder.at("~/a").root == tmp_path / "home" / "a"
    assert LocalLayout.at("a").root == tmp_path / "a"
    assert LocalLayout.at(tmp_path / "a").root == tmp_path / "a"
    assert LocalLayout.at(f"file://{tmp_path}/a").root == tmp_path / "a"
    stored = DatasetLayout.at("memory://bucket/a/")
    assert stored.location == "memory:///bucket/a"
    assert str(stored.manifest) == "memory:///bucket/a/manifest.json"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'{"format": "a20_parquet"}', True),
        (b'{"format": "other"}', False),
        (b'["a20_parquet"]', False),
        (b"{", False),
        (b"\xff", False),
    ],
)
def test_whose_file_it_is(tmp_path: Path, content: bytes, *, expected: bool) -> None:
    """Only a JSON object of this format is ours; what cannot be read is not."""
    path = tmp_path / "manifest.json"
    assert not is_ours(path)
    path.write_bytes(content)
    assert is_ours(path) is expected
