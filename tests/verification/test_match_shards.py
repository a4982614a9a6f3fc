"""Telling which of a dataset's shards a file is."""

import shutil
from pathlib import Path

import pytest

import a20_parquet
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.execution.threads import ThreadPool
from a20_parquet.progress import NoProgress
from a20_parquet.shards.discover import find_shards
from a20_parquet.verification.match_shards import match_shards
from a20_parquet.verification.verify import verify
from tests.helpers.shards import make_record, random_tensor, write_shard
from tests.helpers.spoiling import messages


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Three shards of one size, two of them with the same content."""
    for name, seed in (("a-00000-of-00001", 1), ("b-00000-of-00001", 2), ("c-00000-of-00001", 1)):
        record = make_record(random_tensor((3, 1, 8), seed), timestamp_s=60.0 * seed)
        write_shard(tmp_path / "in" / name, [record])
    return tmp_path / "in"


def matched(dataset: Path, source: Path, workers: int = 2) -> tuple[dict[str, str | None], int]:
    """The label of each file's shard in the dataset, by its name, and how many are copies."""
    existing, shards = Catalog.open(dataset).manifest.shards, find_shards(source).shards
    pairs = match_shards(existing, shards, ThreadPool(workers), NoProgress())
    labels = {shard.path.rpartition("/")[2]: each.label if each else None for shard, each in pairs}
    return labels, len(shards) - len(pairs)


@pytest.mark.parametrize("workers", [1, 3])
def test_each_shard_is_itself(shards: Path, tmp_path: Path, workers: int) -> None:
    """Shards with the same content are told apart by their names."""
    a20_parquet.convert(shards, tmp_path / "out")
    names = [path.name for path in shards.iterdir()]
    assert matched(tmp_path / "out", shards, workers) == ({name: name for name in names}, 0)


def test_renamed_shards(shards: Path, tmp_path: Path) -> None:
    """Shards are known by content under any name, each file another shard of the dataset."""
    a20_parquet.convert(shards, tmp_path / "out")
    moved = tmp_path / "moved"
    moved.mkdir()
    for old, new in zip("abc", "zbx", strict=True):
        shutil.copy(shards / f"{old}-00000-of-00001", moved / f"{new}-00000-of-00001")
    found, copies = matched(tmp_path / "out", moved)
    assert copies == 0
    assert found["b-00000-of-00001"] == "b-00000-of-00001"
    assert {found["x-00000-of-00001"], found["z-00000-of-00001"]} == {
        "a-00000-of-00001",
        "c-00000-of-00001",
    }
    assert messages(verify(tmp_path / "out", moved)) == []


def test_copies_that_an_append_passed_over(shards: Path, tmp_path: Path) -> None:
    """A shard that the dataset holds and that lies there again is no problem, but is noted."""
    one = shards / "a-00000-of-00001"
    a20_parquet.convert(one, tmp_path / "out")
    assert a20_parquet.convert(shards, tmp_path / "out").held_shards == 2
    assert matched(tmp_path / "out", shards) == (
        {name: name for name in ("a-00000-of-00001", "b-00000-of-00001")},
        1,
    )
    found = verify(tmp_path / "out", [shards, shutil.copy(one, tmp_path / "d-00000-of-00001")])
    assert messages(found) == []
    assert found.source is not None
    assert (found.source.shards, found.source.copies, found.source.windows) == (2, 2, 6)
    assert found.notes == ("2 sources left out: a further copy of a shard that is among them",)


def test_other_shards_of_a_known_size(shards: Path, tmp_path: Path) -> None:
    """A shard of a size that the dataset knows, with other content, is none of its."""
    a20_parquet.convert(shards / "a-00000-of-00001", tmp_path / "out")
    other = shards / "b-00000-of-00001"
    assert matched(tmp_path / "out", other) == ({other.name: None}, 0)
    new, missing = messages(verify(tmp_path / "out", other))
    assert new.startswith("b-00000-of-00001: the dataset was not made from this shard")
    assert missing == "a-00000-of-00001: was converted, but is not among the sources"
    found, copies = matched(tmp_path / "out", shards)
    assert (found[other.name], copies) == (None, 1)


def test_a_dataset_inside_its_source(shards: Path) -> None:
    """What lies in the dataset's own quarantine is no source."""
    name = "x-00000-of-00001"
    write_shard(shards / name, [make_record(random_tensor((1, 1, 8), 9), "x.wav")])
    assert a20_parquet.convert(shards, shards / "out").quarantine == {"bad_filename": 1}
    found = verify(shards / "out", shards)
    assert messages(found) == []
    assert found.source is not None
    assert (found.source.shards, found.source.quarantined) == (4, 1)
