"""Where the files of a dataset lie, and how small ones are written."""

import os
from pathlib import Path

import pytest

from a20_parquet.dataset.layout import DatasetLayout, is_ours, write_durably
from a20_parquet.dataset.npy_json import NpyJsonFolder
from a20_parquet.errors import UsageError


def test_write_durably(tmp_path: Path) -> None:
    """A small file is replaced whole, and nothing else is left."""
    path = tmp_path / "file"
    for text in ("first", "\N{KOALA}"):
        write_durably(path, text)
        assert path.read_text("utf-8") == text
    write_durably(path, b"\xff")
    assert path.read_bytes() == b"\xff"
    assert list(tmp_path.iterdir()) == [path]


def test_a_small_file_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be written leaves the file that was there, and nothing half-written."""
    path = tmp_path / "file"
    write_durably(path, "before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, "after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset's place is a local folder, made absolute; other URLs are refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert DatasetLayout.at("~/a").root == tmp_path / "home" / "a"
    assert NpyJsonFolder.at("~/a").root == tmp_path / "home" / "a"
    assert DatasetLayout.at("a").root == tmp_path / "a"
    assert DatasetLayout.at(tmp_path / "a").root == tmp_path / "a"
    assert DatasetLayout.at(f"file://{tmp_path}/a").root == tmp_path / "a"
    with pytest.raises(UsageError, match="local folder"):
        DatasetLayout.at("s3://bucket/a")


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
    """Only a JSON object of this format is ours; what can't be read is not."""
    path = tmp_path / "manifest.json"
    assert not is_ours(path)
    path.write_bytes(content)
    assert is_ours(path) is expected
