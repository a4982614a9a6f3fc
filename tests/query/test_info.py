"""What info tells, compared with polars' own reading of the files."""

import dataclasses
import json
from pathlib import Path

import fsspec
import polars as pl
import pytest

import a20_parquet
from a20_parquet.query.info import DatasetInfo, info
from tests.helpers.command_line import run
from tests.helpers.conversions import INFO_NAMES, MakeDataset
from tests.helpers.shards import make_record, random_tensor, write_shard


@pytest.mark.parametrize("by", ["site,date", "site,month", "site,year", "site"])
def test_totals_are_those_of_the_files(make_dataset: MakeDataset, by: str) -> None:
    """Windows, sites, periods, files and partitions, for every choice of keys."""
    dataset = make_dataset(by)
    found = info(dataset)
    data = pl.scan_parquet(dataset / "data", try_parse_hive_dates=False).collect()
    paths = sorted((dataset / "data").rglob("*.parquet"))
    sizes = [path.stat().st_size for path in paths]
    assert (found.windows, found.records, found.shards) == (len(data), 4, 1)
    assert (found.sites, found.first_site) == (data["site"].n_unique(), data["site"].min())
    assert (found.files, found.bytes) == (len(paths), sum(sizes))
    assert found.median_file_bytes == pl.Series(sizes).median()
    assert found.first_window_start == data["window_start"].min()
    assert found.last_window_start == data["window_start"].max()
    assert (found.dims, found.window_seconds, found.partition_by) == (8, 5.0, by)
    key = by.partition(",")[2]
    if key:
        assert found.periods is not None
        assert found.periods.key == key
        assert found.periods.count == data[key].n_unique()
        assert found.periods.first == str(data[key].min())
        assert found.periods.last == str(data[key].max())
        assert found.periods.windows_without == 0
    else:
        assert found.periods is None


def test_largest_and_smallest_partition(make_dataset: MakeDataset) -> None:
    """They are Hive folders, however many files they have."""
    found = info(make_dataset("site"))
    assert found.largest is not None
    assert found.largest.keys == {"site": "site_0285"}
    assert (found.largest.windows, found.largest.files) == (48, 1)
    assert found.smallest is not None
    assert found.smallest.windows == 24
    by_date = info(make_dataset("site,date"))
    assert by_date.smallest is not None
    assert by_date.smallest.windows == 12  # of the recording that runs past midnight
    assert set(by_date.smallest.keys) == {"site", "date"}


def test_partition_of_several_files(make_dataset: MakeDataset, tmp_path: Path) -> None:
    """A partition's files count together."""
    shard = make_dataset("site").parent / "in"
    a20_parquet.convert(shard, tmp_path / "out", partition_by="site", max_file_size=640)
    found = info(tmp_path / "out")
    assert found.largest is not None
    assert found.largest.files > 1
    assert found.largest.windows == 48


def test_by_url(make_dataset: MakeDataset) -> None:
    """A dataset in another file system tells the same but for its place."""
    dataset = make_dataset("site,date")
    memory = fsspec.filesystem("memory")
    memory.put(str(dataset), "/info-by-url", recursive=True)
    found = info("memory://info-by-url")
    assert found.dataset.startswith("memory://")
    assert dataclasses.replace(found, dataset=str(dataset)) == info(dataset)


def test_quarantine_is_counted_by_reason(tmp_path: Path) -> None:
    """The most frequent reason comes first; nothing there is no reason at all."""
    good = make_record(random_tensor((1, 1, 8)), INFO_NAMES[0])
    a20_parquet.convert(write_shard(tmp_path / "good", [good]), tmp_path / "whole")
    assert info(tmp_path / "whole").quarantine == {}
    bad = [make_record(random_tensor((1, 1, dims)), INFO_NAMES[0]) for dims in (7, 9)]
    records = [good, *bad, make_record(random_tensor((1, 1, 8)), "bad.wav")]
    a20_parquet.convert(write_shard(tmp_path / "bad", records), tmp_path / "dataset", dims=8)
    found = list(info(tmp_path / "dataset").quarantine.items())
    assert found == [("wrong_dims", 2), ("bad_filename", 1)]


def test_command(
    make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command prints the same as text and as JSON."""
    dataset = make_dataset("site,date")
    code, out, _ = run(monkeypatch, capsys, "info", dataset)
    assert code == 0
    for expected in (
        "96 of 5 s",
        "4 records in 1 shard",
        "3: ",
        "2019-06-30",
        "empty",
        "site,date",
    ):
        assert expected in out
    code, out, _ = run(monkeypatch, capsys, "info", dataset, "--json")
    assert code == 0
    assert set(json.loads(out)) == {field.name for field in dataclasses.fields(DatasetInfo)}
    code, out, err = run(monkeypatch, capsys, "info", dataset / "data")
    assert (code, out) == (1, "")
    assert "is a part of a dataset" in err
