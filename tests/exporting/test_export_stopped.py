"""Exports of datasets that are stopped, and what may go on with them."""

import shutil
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.conversion.transaction.checkpoints import commit_unit
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.exporting import write_dataset
from tests.helpers.conversions import digests

WHERE = "channel = 0 and hour(window_start_local) < 12"


def test_damage_is_not_copied(grown: Path, tmp_path: Path) -> None:
    """A file whose bytes have changed stops the export, and nothing looks like a dataset."""
    shutil.copytree(grown, tmp_path / "whole")
    file = next((tmp_path / "whole" / "data").rglob("*.parquet"))
    content = bytearray(file.read_bytes())
    content[100] ^= 1
    file.write_bytes(content)
    with pytest.raises(DatasetError, match="size or CRC32C is not the one"):
        a20_parquet.export(tmp_path / "whole", tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("where", [WHERE, None])
def test_stopped_exports_go_on(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str | None
) -> None:
    """What was written stays, another part is refused, and the result has the same bytes."""
    a20_parquet.export(grown, tmp_path / "fresh", where=where)
    monkeypatch.setattr(write_dataset, "_UNIT_BYTES", 1)
    count = 0

    def commit_some(*arguments: Any) -> None:
        nonlocal count
        count += 1
        if count > 2:
            raise OSError(28, "No space left on device")
        commit_unit(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(write_dataset, "commit_unit", commit_some)
        with pytest.raises(DatasetError, match=r"No space left.*goes on where it stopped"):
            a20_parquet.export(grown, tmp_path / "out", where=where, workers=1)
    assert not (tmp_path / "out" / "manifest.json").exists()
    with pytest.raises(DatasetError, match="has not finished"):
        a20_parquet.scan(tmp_path / "out")
    with pytest.raises(UsageError, match=r"unfinished conversion.*where is"):
        a20_parquet.export(grown, tmp_path / "out", where="channel = 0")
    written: list[Any] = []

    def commit_and_note(layout: Any, files: Any) -> None:
        written.append(files)
        commit_unit(layout, files)

    with monkeypatch.context() as patch:
        patch.setattr(write_dataset, "commit_unit", commit_and_note)
        a20_parquet.export(grown, tmp_path / "out", where=where, workers=1)
    assert written
    assert sum(map(len, written)) < a20_parquet.info(tmp_path / "out").files
    assert digests(tmp_path / "out") == digests(tmp_path / "fresh")


def test_a_conversion_does_not_go_on_with_an_export(
    grown: Path, shuffled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(write_dataset, "commit", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(DatasetError, match="full"):
            a20_parquet.export(grown, tmp_path / "out")
    with pytest.raises(UsageError, match="the other an export of a dataset"):
        a20_parquet.convert(shuffled, tmp_path / "out", partition_by="site")
    a20_parquet.export(grown, tmp_path / "out", where=WHERE, overwrite=True)
    assert a20_parquet.verify(tmp_path / "out").is_good


def test_a_replaced_dataset_is_noticed(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export of another state is refused when it goes on."""
    shutil.copytree(grown, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(write_dataset, "commit", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(DatasetError, match="full"):
            a20_parquet.export(tmp_path / "whole", tmp_path / "out")
    a20_parquet.export(grown, tmp_path / "whole", where=WHERE, overwrite=True)
    with pytest.raises(UsageError, match="has other files than before"):
        a20_parquet.export(tmp_path / "whole", tmp_path / "out")
