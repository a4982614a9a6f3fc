"""``--overwrite``: what must be right before anything is deleted."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.conversion.transaction.lock import State, find_state
from a20_parquet.errors import (
    A20ParquetError,
    ClusterError,
    DatasetError,
    RecordError,
    SourceError,
    UsageError,
)
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.layout import LocalLayout
from tests.helpers.progress import Said
from tests.helpers.shards import make_record, random_tensor, write_shard

Free = Callable[[int], None]


@pytest.fixture
def dataset(shuffled: Path, tmp_path: Path) -> Path:
    """A dataset of two shards."""
    a20_parquet.convert(sorted(shuffled.iterdir())[:2], tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def set_free(monkeypatch: pytest.MonkeyPatch) -> Free:
    """Set how many bytes all disks have free, what is deleted later not counted."""

    def set_free(count: int) -> None:
        class Usage:
            free = count

        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)

    return set_free


def size(dataset: Path) -> int:
    """Bytes of all files of a dataset that may be deleted."""
    return sum(path.stat().st_size for path in (dataset / "data").rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"memory": "1MB"}, UsageError),
        ({"workers": 0}, UsageError),
        ({"dask": "tcp://127.0.0.1:1"}, ClusterError),
        ({"feature": ["nothing"]}, A20ParquetError),
        ({"sites": "nowhere.csv"}, UsageError),
        ({"filename_pattern": "("}, UsageError),
        ({"site": ["nowhere"]}, UsageError),
        ({"from_date": "2030-01-01"}, UsageError),
    ],
    ids=str,
)
def test_options(
    dataset: Path, shuffled: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    """Options that cannot be used, and workers that don't answer, delete nothing."""
    before = digests(dataset)
    with pytest.raises(error):
        a20_parquet.convert(shuffled, dataset, overwrite=True, **options)
    assert digests(dataset) == before
    assert find_state(LocalLayout.at(dataset)) is State.COMPLETE


def test_free_space(dataset: Path, shuffled: Path, set_free: Free) -> None:
    """Too little deletes nothing; the old dataset's own bytes count as free."""
    before = digests(dataset)
    set_free(10)
    told = r"about ([\d,]+) bytes are needed and 10 are free, ([\d,]+) more once the old dataset is"
    with pytest.raises(DatasetError, match=told) as caught:
        a20_parquet.convert(shuffled, dataset, overwrite=True)
    found = re.search(told, str(caught.value))
    assert found is not None
    needed, old = (int(number.replace(",", "")) for number in found.groups())
    assert old == size(dataset)
    set_free(needed - old - 1)
    with pytest.raises(DatasetError, match="are needed"):
        a20_parquet.convert(shuffled, dataset, overwrite=True)
    assert digests(dataset) == before
    assert find_state(LocalLayout.at(dataset)) is State.COMPLETE
    set_free(needed - old)
    assert a20_parquet.convert(shuffled, dataset, overwrite=True).totals.shards == 4


def test_free_space_of_a_new_dataset(shuffled: Path, tmp_path: Path, set_free: Free) -> None:
    """Too little leaves nothing behind, in the scratch folder neither."""
    set_free(10)
    with pytest.raises(DatasetError, match=r"10 are free\. Free some space"):
        a20_parquet.convert(shuffled, tmp_path / "out", scratch=tmp_path / "scratch")
    assert [path.name for path in tmp_path.iterdir()] == []


@pytest.mark.parametrize("is_large", [False, True])
def test_runs_beside_the_old_dataset(
    dataset: Path,
    shuffled: Path,
    monkeypatch: pytest.MonkeyPatch,
    set_free: Free,
    *,
    is_large: bool,
) -> None:
    """It stays readable until the first pass is over, unless runs have no room beside it."""
    use_tiny_memory(monkeypatch)
    old = a20_parquet.scan(dataset).collect()
    module = sys.modules["a20_parquet.conversion.convert"]
    seen = []
    sort_shards = module.sort_shards

    def watched(*args: Any) -> Any:
        done = sort_shards(*args)
        is_there = (dataset / "manifest.json").exists()
        seen.append(is_there and a20_parquet.scan(dataset).collect().equals(old))
        return done

    monkeypatch.setattr(module, "sort_shards", watched)
    monkeypatch.setattr("a20_parquet.conversion.start._file_bytes", lambda *_: 10**12)
    set_free(10**12 if is_large else 10)
    a20_parquet.convert(shuffled, dataset, overwrite=True)
    assert seen == [is_large]
    a20_parquet.convert(shuffled, dataset.parent / "fresh")
    assert digests(dataset) == digests(dataset.parent / "fresh")


@pytest.mark.parametrize("memory", ["large", "tiny"])
def test_what_stops_the_first_pass(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str
) -> None:
    """The old dataset is still whole then, and what keeps it is said."""
    if memory == "tiny":
        use_tiny_memory(monkeypatch)
    old = a20_parquet.scan(dataset).collect()
    records = [make_record(random_tensor((2, 1, 8), n)) for n in range(20)]
    bad = write_shard(tmp_path / "in" / "a-00000-of-00001", [*records, b"no record"])
    said = Said()
    with pytest.raises(RecordError):
        a20_parquet.convert(bad, dataset, overwrite=True, on_error="fail", progress=said)
    conversion = dataset / "conversion"
    assert f"still whole: to keep that, delete {conversion}." in said.lines[-1]
    assert a20_parquet.scan(dataset).collect().equals(old)
    shutil.copytree(dataset, tmp_path / "copy")
    # Either the old one is kept, or the conversion goes on.
    shutil.rmtree(tmp_path / "copy" / "conversion")
    assert a20_parquet.convert(bad, tmp_path / "copy", dims=16).totals.shards == 3
    done = a20_parquet.convert(bad, dataset, overwrite=True)
    assert (done.is_resumed, done.totals.shards, done.totals.windows) == (True, 1, 40)
    a20_parquet.convert(bad, tmp_path / "fresh")
    assert digests(dataset) == digests(tmp_path / "fresh")


def test_sources_that_cannot_be_read(dataset: Path, tmp_path: Path) -> None:
    """They delete nothing."""
    before = digests(dataset)
    (tmp_path / "in").mkdir()
    with pytest.raises(SourceError):
        a20_parquet.convert(tmp_path / "in", dataset, overwrite=True)
    write_shard(tmp_path / "in" / "a-00000-of-00001", [b"no record"])
    with pytest.raises(SourceError):
        a20_parquet.convert(tmp_path / "in", dataset, overwrite=True)
    assert digests(dataset) == before


def test_records_of_which_none_can_be_converted(dataset: Path, tmp_path: Path) -> None:
    """A dataset is not deleted for an empty one, such as a mistyped pattern would make."""
    before = digests(dataset)
    shard = write_shard(
        tmp_path / "x-00000-of-00001", [make_record(random_tensor((2, 1, 16)), "x")]
    )
    with pytest.raises(UsageError, match=r"no window can be converted \(1 bad_filename\)"):
        a20_parquet.convert(shard, dataset, overwrite=True, dims=16)
    assert digests(dataset) == before
    assert a20_parquet.convert(shard, tmp_path / "new", dims=16).totals.windows == 0
