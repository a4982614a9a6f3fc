"""What ``convert`` does with what is at DATASET already: the design's table, line by line."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import RecordError, UsageError
from tests.helpers.conversions import as_bits, assert_same_windows, digests, read_with_tensorflow
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard


def stop(sources: Path, out: Path, **options: Any) -> None:
    """Leave an unfinished conversion: a record in the sources is bad."""
    with pytest.raises(RecordError):
        a20_parquet.convert(sources, out, max_errors=0, **options)


@pytest.fixture
def stopping(tmp_path: Path) -> Path:
    """Two shards, of which the second has a record that cannot be converted."""
    for number in range(2):
        records = [make_record(random_tensor((3, 2, 8), n), FILENAME, 60.0 * n) for n in range(5)]
        bad = [make_record(random_tensor((1, 1, 8)), "x.wav")] * number
        write_shard(tmp_path / "in" / f"a-{number:05d}-of-00002", [*records, *bad])
    return tmp_path / "in"


@pytest.mark.parametrize("is_there", [False, True])
def test_nothing_or_an_empty_folder(shuffled: Path, tmp_path: Path, *, is_there: bool) -> None:
    """It converts."""
    out = tmp_path / "out"
    if is_there:
        out.mkdir()
    conversion = a20_parquet.convert(shuffled, out)
    assert (conversion.new_shards, conversion.held_shards, conversion.is_resumed) == (4, 0, False)
    assert sorted(path.name for path in out.iterdir()) == [
        *("README.md", "data", "files.parquet", "manifest.json")
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"workers": 1},
        {"memory": "10MB"},
        {"scratch": True},
        {"npy_json": True},
        {"max_errors": 1},
        {"on_error": "quarantine"},
    ],
    ids=str,
)
def test_an_unfinished_conversion_goes_on(
    stopping: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    """Workers, memory, scratch, errors and the notebook's files may differ, the bytes do not."""
    out = tmp_path / "out"
    first: dict[str, Any] = {"workers": 2, "memory": "20MB", "row_group_rows": 50}
    stop(stopping, out, **first)
    given = {name: tmp_path / name if value is True else value for name, value in other.items()}
    assert a20_parquet.convert(stopping, out, **{**first, **given}).is_resumed
    a20_parquet.convert(stopping, tmp_path / "fresh", row_group_rows=50)
    assert digests(out) == digests(tmp_path / "fresh")
    if "npy_json" in other:
        names = sorted(path.name for path in (tmp_path / "npy_json" / "embeddings").iterdir())
        assert names == ["a-00000-of-00002.npy", "a-00001-of-00002.npy"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"partition_by": "site"}, "partition_by is site, was site,date"),
        ({"window_seconds": 2.5}, "window_seconds is 2.5, was 5.0"),
        ({"compression": "lz4"}, "compression is lz4, was none"),
        ({"channels": "0"}, "channels is 0, was not given"),
        ({"unknown_site": "x"}, "unknown_site is x, was not given"),
        ({"site": ["site_0285"]}, "site is site_0285, was not given"),
        ({"from_date": "2020-01-01"}, "from_date is 2020-01-01, was not given"),
        ({"drop_duplicates": True}, "drop_duplicates is True, was not given"),
        ({"row_group_rows": 7, "max_file_size": 9}, "row_group_rows is 7, was 2048"),
    ],
    ids=str,
)
def test_an_unfinished_conversion_with_other_options(
    stopping: Path, tmp_path: Path, other: dict[str, Any], told: str
) -> None:
    """It refuses, names each difference, and changes nothing."""
    out = tmp_path / "out"
    stop(stopping, out)
    before = digests(out)
    with pytest.raises(UsageError, match="no sampled record has so many floats"):
        a20_parquet.convert(stopping, out, dims=9)
    with pytest.raises(UsageError, match="unfinished conversion of other") as caught:
        a20_parquet.convert(stopping, out, **{"dims": 8, **other})
    assert told in str(caught.value)
    assert "overwrite=True" in str(caught.value)
    assert digests(out) == before


def test_an_unfinished_conversion_of_other_inputs(stopping: Path, tmp_path: Path) -> None:
    """Shards that are missing, new or changed are named."""
    out = tmp_path / "out"
    stop(stopping, out)
    first, second = sorted(stopping.iterdir())
    other = write_shard(tmp_path / "other-00000-of-00001", [make_record(random_tensor((1, 1, 8)))])
    for sources, told in (
        ([first], f"missing: {second} ("),
        ([first, second, other], f"new: {other} ("),
    ):
        with pytest.raises(UsageError, match="other inputs or options") as caught:
            a20_parquet.convert(sources, out)
        assert told in str(caught.value)
    first.write_bytes(second.read_bytes())
    with pytest.raises(UsageError, match=f"changed since: {first}"):
        a20_parquet.convert(stopping, out)
    assert not a20_parquet.convert(stopping, out, overwrite=True).is_resumed
    a20_parquet.convert(stopping, tmp_path / "fresh")
    assert digests(out) == digests(tmp_path / "fresh")


def test_a_dataset_that_holds_all(shuffled: Path, tmp_path: Path) -> None:
    """Nothing is left to do, whatever the shards are called and wherever they lie now."""
    out = tmp_path / "out"
    a20_parquet.convert(shuffled, out)
    before = digests(out)
    moved = tmp_path / "moved"
    moved.mkdir()
    for number, path in enumerate(sorted(shuffled.iterdir())):
        shutil.copy(path, moved / f"x-{3 - number:05d}-of-00004")
    for sources in (shuffled, moved, shuffled / "embeddings-00001-of-00004"):
        conversion = a20_parquet.convert(sources, out)
        assert (conversion.new_shards, conversion.new_windows) == (0, 0)
        assert conversion.held_shards == len(list(sources.glob("*"))) or conversion.held_shards == 1
        assert conversion.totals.shards == 4
    assert digests(out) == before


@pytest.mark.parametrize("memory", ["1GiB", "10MB"])
def test_a_dataset_that_lacks_some(shuffled: Path, tmp_path: Path, memory: str) -> None:
    """New shards are appended as further files, the old files stay, all windows are there."""
    shards = sorted(shuffled.iterdir())
    out = tmp_path / "out"
    a20_parquet.convert(shards[:2], out, row_group_rows=50)
    before = digests(out / "data")
    conversion = a20_parquet.convert(shards, out, memory=memory, row_group_rows=50)
    assert (conversion.new_shards, conversion.held_shards, conversion.totals.shards) == (2, 2, 4)
    expected = read_with_tensorflow(shards)
    assert conversion.totals.windows == len(expected)
    after = digests(out / "data")
    assert before.items() <= after.items()
    assert {Path(path).name for path in after.keys() - before.keys()} == {
        "part-0000.parquet",
        "part-0001.parquet",
    }
    assert_same_windows(as_bits(pl.read_parquet(out / "data")), expected)
    assert_same_windows(as_bits(a20_parquet.scan(out).collect()), expected)
    a20_parquet.convert(shards[:2], tmp_path / "other", row_group_rows=50)
    a20_parquet.convert(shards[2:], tmp_path / "other", row_group_rows=50)
    assert digests(out) == digests(tmp_path / "other")


@pytest.mark.parametrize("memory", ["1GiB", "10MB"])
def test_an_unfinished_append(stopping: Path, tmp_path: Path, memory: str) -> None:
    """The dataset stays readable as it was, and the same command ends as if never stopped."""
    first = min(stopping.iterdir())
    for name in ("out", "fresh"):
        a20_parquet.convert(first, tmp_path / name, row_group_rows=50)
    out = tmp_path / "out"
    before = a20_parquet.scan(out).collect()
    stop(stopping, out, memory=memory, row_group_rows=50)
    assert a20_parquet.scan(out).collect().equals(before)
    with pytest.raises(UsageError, match=r"missing: .*a-00001-of-00002"):
        a20_parquet.convert(first, out, row_group_rows=50)
    conversion = a20_parquet.convert(stopping, out, memory=memory, row_group_rows=50)
    assert (conversion.is_resumed, conversion.held_shards, conversion.new_shards) == (True, 1, 1)
    a20_parquet.convert(stopping, tmp_path / "fresh", row_group_rows=50)
    assert digests(out) == digests(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"partition_by": "site"}, "partition_by is site, was site,date"),
        ({"dims": 9}, "dims is 9, was 16"),
        ({"compression": "zstd"}, "compression is zstd, was none"),
        ({"channels": "0"}, "channels is 0, was not given"),
        ({"feature": ["label"]}, "feature is label, was not given"),
        ({"window_seconds": 1}, "window_seconds is 1.0, was 5.0"),
    ],
    ids=str,
)
def test_a_dataset_with_other_options(
    shuffled: Path, tmp_path: Path, other: dict[str, Any], told: str
) -> None:
    """It refuses and names the difference, whether shards are new or not, and changes nothing."""
    out = tmp_path / "out"
    shards = sorted(shuffled.iterdir())
    a20_parquet.convert(shards[:2], out)
    before = digests(out)
    for sources in (shards[:2], shards):
        with pytest.raises(UsageError, match="made with other options") as caught:
            a20_parquet.convert(sources, out, **other)
        assert told in str(caught.value)
    assert digests(out) == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_anything_else(shuffled: Path, tmp_path: Path, *, overwrite: bool) -> None:
    """A folder with anything else in it is refused, with ``--overwrite`` too."""
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match="not touched"):
        a20_parquet.convert(shuffled, tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_overwrite(shuffled: Path, stopping: Path, tmp_path: Path) -> None:
    """A dataset is replaced, whatever options and inputs it had; its quarantine too."""
    out = tmp_path / "out"
    a20_parquet.convert(stopping, out, partition_by="site")
    assert (out / "quarantine").exists()
    one = shuffled / "embeddings-00000-of-00004"
    assert a20_parquet.convert(one, out, overwrite=True).totals.shards == 1
    a20_parquet.convert(one, tmp_path / "fresh")
    assert digests(out) == digests(tmp_path / "fresh")


def test_overwrite_of_the_sources(stopping: Path, tmp_path: Path) -> None:
    """What is to be converted is not deleted first."""
    out = tmp_path / "out"
    a20_parquet.convert(stopping, out)
    before = digests(out)
    with pytest.raises(UsageError, match="would delete"):
        a20_parquet.convert(out / "quarantine", out, overwrite=True)
    assert digests(out) == before
