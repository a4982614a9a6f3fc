"""``--overwrite`` deletes no file that this program did not write."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest

import a20_parquet
from a20_parquet.errors import UsageError
from tests.helpers.conversions import digests
from tests.helpers.shards import make_record, random_tensor, write_shard


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """A shard with a record that goes to quarantine."""
    names = ["site_0285/20201014T010000+1030_Arkaba-Dry-A_49500.flac", "odd.wav"]
    records = [make_record(random_tensor((2, 1, 4), 1), name) for name in names]
    write_shard(tmp_path / "in" / "a-00000-of-00001", records)
    return tmp_path / "in"


@pytest.fixture
def dataset(shards: Path, tmp_path: Path) -> Path:
    """A dataset with a quarantine."""
    a20_parquet.convert(shards, tmp_path / "out", decoder="wire")
    return tmp_path / "out"


def _convert(dataset: Path) -> None:
    a20_parquet.convert(dataset.parent / "in", dataset, decoder="wire", overwrite=True)


def _export(dataset: Path) -> None:
    whole = dataset.with_name("whole")
    a20_parquet.convert(dataset.parent / "in", whole, decoder="wire")
    a20_parquet.export(whole, dataset, overwrite=True)


@pytest.mark.parametrize("overwrite", [_convert, _export])
@pytest.mark.parametrize(
    "name",
    [
        "data/note.txt",
        "data/.hidden",
        "data/site=site_0285/date=2020-10-14/mine.parquet",
        "data/site=site_0285/date=2020-10-14/part-0000.parquet.bak",
        "data/site=site_0285/date=2020-10-14/mine/part-0000.parquet",
        "data/mine/part-0000.parquet",
        "quarantine/note.txt",
        "quarantine/mine/a.tfrecord",
    ],
)
def test_files_of_others(dataset: Path, overwrite: Callable[[Path], None], name: str) -> None:
    """One is named; nothing is deleted; once it is moved away, the same command works."""
    path = dataset / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    before = digests(dataset)
    with pytest.raises(UsageError) as caught:
        overwrite(dataset)
    assert str(caught.value) == (
        f"{path} would be deleted by overwrite=True, and a20-parquet did not write it. Move it "
        "to another folder, then give the same command again."
    )
    assert digests(dataset) == before
    shutil.move(path, dataset.parent / "mine.txt")
    overwrite(dataset)
    assert a20_parquet.verify(dataset).is_good


def test_several(dataset: Path) -> None:
    """The first one is named, the others are counted."""
    for name in ("data/b", "data/a", "quarantine/c"):
        (dataset / name).write_text("mine")
    with pytest.raises(UsageError, match=r"/data/a and 2 other files would be .*Move them to"):
        _convert(dataset)


def test_a_link_to_a_folder(dataset: Path, tmp_path: Path) -> None:
    """It is a file of others, and what it points to stays."""
    (tmp_path / "mine").mkdir()
    (dataset / "data" / "link").symlink_to(tmp_path / "mine")
    with pytest.raises(UsageError, match="data/link would be deleted"):
        _convert(dataset)
    assert (dataset / "data" / "link").is_symlink()


@pytest.mark.parametrize(
    "name",
    [
        "data/site=site_0285/date=2020-10-14/part-0001.parquet",
        "data/site=name_x-1/month=2020-10/part-12345.parquet",
        "data/site=s/part-0000.parquet",
        "data/site=s/year=__HIVE_DEFAULT_PARTITION__/part-0000.parquet",
        "quarantine/b-00000-of-00001.damaged",
    ],
)
def test_what_a_killed_conversion_left(dataset: Path, name: str) -> None:
    """Files that no manifest names are deleted if their names are those of this program."""
    path = dataset / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"PAR1")
    _convert(dataset)
    assert not path.exists() or path.read_bytes() != b"PAR1"
    assert a20_parquet.verify(dataset).is_good


def test_files_beside_the_folders_stay(dataset: Path) -> None:
    """Nothing is asked about what is not deleted."""
    (dataset / "notes").mkdir()
    for name in ("mine.txt", "notes/mine.txt"):
        (dataset / name).write_text("mine")
    _convert(dataset)
    assert (dataset / "mine.txt").read_text() == (dataset / "notes/mine.txt").read_text() == "mine"


def test_a_file_that_comes_while_shards_are_read(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old dataset stays whole; without the file the same command goes on."""
    module = sys.modules["a20_parquet.conversion.convert"]
    sort_shards = module.sort_shards
    mine = dataset / "data" / "mine.txt"

    def sort_and_write(*args: Any) -> Any:
        done = sort_shards(*args)
        mine.write_text("mine")
        return done

    before = a20_parquet.scan(dataset).collect()
    with monkeypatch.context() as patch:
        patch.setattr(module, "sort_shards", sort_and_write)
        with pytest.raises(UsageError, match=r"mine\.txt would be deleted"):
            _convert(dataset)
    assert mine.read_text() == "mine"
    assert a20_parquet.scan(dataset).collect().equals(before)
    mine.unlink()
    done = a20_parquet.convert(dataset.parent / "in", dataset, decoder="wire", overwrite=True)
    assert done.is_resumed
    assert a20_parquet.verify(dataset).is_good


def test_in_a_store(shards: Path) -> None:
    """The same there; empty objects that stand for folders are no files."""
    memory = fsspec.filesystem("memory")
    url = "memory://foreign"
    try:
        a20_parquet.convert(shards, url, decoder="wire")
        memory.pipe("/foreign/data/mine.txt", b"mine")
        before = {path: memory.cat(path) for path in memory.find("/foreign")}
        with pytest.raises(UsageError, match=r"^memory://.*foreign/data/mine\.txt would be"):
            a20_parquet.convert(shards, url, decoder="wire", overwrite=True)
        assert {path: memory.cat(path) for path in memory.find("/foreign")} == before
        memory.rm("/foreign/data/mine.txt")
        memory.pipe("/foreign/data/site=gone/part-0000.parquet", b"PAR1")
        a20_parquet.convert(shards, url, decoder="wire", overwrite=True)
        assert a20_parquet.verify(url).is_good
    finally:
        memory.rm("/foreign", recursive=True)
