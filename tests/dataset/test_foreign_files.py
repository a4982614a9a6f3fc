"""What users put into a dataset's folders, and ask of it, that is not the dataset's own."""

import shutil
from pathlib import Path

import pytest

import a20_parquet
from tests.helpers.command_line import run
from tests.helpers.conversions import digests
from tests.helpers.shards import make_record, random_tensor, write_shard

NAME = "site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of one shard with one good record and one that is in quarantine."""
    records = [make_record(random_tensor((3, 1, 8), 1), name) for name in (NAME, "x.wav")]
    write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    a20_parquet.convert(tmp_path / "in", tmp_path / "dataset")
    return tmp_path / "dataset"


def test_an_append_keeps_what_is_not_the_datasets(dataset: Path, tmp_path: Path) -> None:
    """Notes in any folder stay, while the quarantine that was retried goes."""
    notes = [dataset / folder / "notes.txt" for folder in ("", "data", "quarantine")]
    for path in notes:
        path.write_text("precious")
    other = write_shard(tmp_path / "b-00000-of-00001", [make_record(random_tensor((2, 1, 8)))])
    a20_parquet.convert(other, dataset)
    retried = a20_parquet.convert(dataset / "quarantine", dataset, unknown_site="Lab")
    assert not retried.quarantine
    assert [path.read_text() for path in notes] == ["precious"] * 3
    assert [path.name for path in (dataset / "quarantine").iterdir()] == ["notes.txt"]


def test_a_mended_shard_in_quarantine_is_not_deleted(dataset: Path) -> None:
    """A shard that a user has put there is converted like any other one, and stays."""
    record = make_record(random_tensor((3, 1, 8), 2), NAME, 60.0)
    mended = write_shard(dataset / "quarantine" / "mended.tfrecord", [record])
    assert a20_parquet.convert(mended, dataset).new_windows == 3
    assert mended.exists()


@pytest.mark.parametrize("form", ["plain", "..", "link"])
def test_a_quarantine_that_is_a_whole_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Where all of a shard is in quarantine it is tried again, whatever the path looks like."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    write_shard(tmp_path / "a-00000-of-00001", [make_record(random_tensor((3, 1, 8)), "x.wav")])
    dataset = {"plain": tmp_path / "out", "..": Path("../out"), "link": tmp_path / "link"}[form]
    (tmp_path / "link").symlink_to(tmp_path / "out")
    a20_parquet.convert(tmp_path / "a-00000-of-00001", tmp_path / "out", dims=8)
    source = tmp_path / "out" / "quarantine"
    retried = a20_parquet.convert(source, dataset, dims=8, unknown_site="Lab")
    assert (retried.new_windows, retried.quarantine) == (3, {})


def test_notebook_files_of_shards_that_are_held(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """That no files are written of them is said."""
    before = digests(dataset)
    folder = tmp_path / "npy"
    code, _, err = run(
        monkeypatch, capsys, "convert", tmp_path / "in", dataset, "--npy-json", folder
    )
    assert code == 3
    assert "--npy-json writes no files of shards that are already in the dataset, 1 here" in err
    assert "bad_filename: mended by converting " in err
    assert not folder.exists()
    assert digests(dataset) == before


def test_what_the_system_refuses_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of the operating system that no command expects is no traceback."""
    (tmp_path / "file").write_text("")
    code, _, err = run(monkeypatch, capsys, "demo", tmp_path / "file" / "x", "--size", "1MB")
    assert code == 1
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("a20-parquet: ")
    assert str(tmp_path / "file") in err


def test_no_memory_left_is_one_line(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Buffers larger than the machine are told with what to do."""

    def full(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 7.00 TiB")

    monkeypatch.setattr(shutil, "disk_usage", full)
    shard = write_shard(
        dataset.parent / "b-00000-of-00001", [make_record(random_tensor((2, 1, 8)))]
    )
    code, _, err = run(monkeypatch, capsys, "convert", shard, dataset)
    assert code == 1
    assert "out of memory: Unable to allocate 7.00 TiB. Give a smaller --memory" in err
