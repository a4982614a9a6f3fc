"""Stages and contenders do the whole of their work."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import a20_parquet
from a20_parquet.notebook.files import NpyJsonFolder
from benchmarks import notebook
from benchmarks.contenders import CONTENDERS
from benchmarks.limits import LIMITS
from benchmarks.names import KEYS
from benchmarks.pipeline import PIPELINE
from benchmarks.queries import same
from benchmarks.query_ways import WAYS, prepare
from benchmarks.stages import timed
from benchmarks.work import Setting
from tests.benchmarks.made import Made
from tests.helpers.conversions import page_digests

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def dataset(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shards, converted."""
    folder = tmp_path_factory.mktemp("converted") / "dataset"
    a20_parquet.convert(made.folder, folder, decoder="wire")
    return folder


def setting(made: Made, scratch: Path, threads: int = 2) -> Setting:
    return Setting(shards=made.folder, scratch=scratch, threads=threads, memory=100_000_000)


def windows_bytes(dataset: Path) -> int:
    rows: int = a20_parquet.scan(dataset).select(pl.len()).collect().item()
    return rows * 1280 * 4


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stage", PIPELINE)
def test_a_stage_takes_in_all_of_the_shards(
    made: Made, dataset: Path, tmp_path: Path, stage: str, threads: int
) -> None:
    """Of shards, or of the embeddings in them; what repeats its work does a little more."""
    figures = timed(stage, setting(made, tmp_path, threads))
    if stage.startswith("frame"):
        assert figures["bytes"] == sum(shard.stat().st_size for shard in made.shards)
    elif stage.startswith(("decode", "parquet")):
        assert figures["bytes"] >= windows_bytes(dataset)
    else:
        assert figures["bytes"] == windows_bytes(dataset)
    assert figures["seconds"] > 0


@pytest.mark.parametrize("keys", KEYS)
def test_the_second_pass_writes_what_a_conversion_writes(
    made: Made, tmp_path: Path, keys: str
) -> None:
    timed(f"write_{keys}", setting(made, tmp_path))
    expected = tmp_path / "expected"
    a20_parquet.convert(made.folder, expected, partition_by=",".join(KEYS[keys]), decoder="wire")
    assert page_digests(tmp_path / "dataset" / "data") == page_digests(expected / "data")


@pytest.mark.parametrize("compression", ["none", "lz4", "zstd"])
def test_parquet_files_of_a_stage_hold_the_windows(
    made: Made, dataset: Path, tmp_path: Path, compression: str
) -> None:
    timed(f"parquet_{compression}", setting(made, tmp_path))
    found = pl.read_parquet(tmp_path / "part-0000.parquet")
    expected = a20_parquet.scan(dataset).select(found.columns).collect()
    assert len(found)
    assert found.join(expected, on=["filename", "window_start"], how="anti").is_empty()


@pytest.mark.parametrize("limit", LIMITS)
def test_limits_can_be_measured(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr("benchmarks.limits._BLOCK_BYTES", 1 << 20)
    assert timed(limit, setting(made, tmp_path))["bytes"] >= 2 << 20


@pytest.mark.parametrize("name", [name for name in CONTENDERS if name != "notebook"])
def test_contenders_write_the_windows_that_a_conversion_writes(
    made: Made, dataset: Path, tmp_path: Path, name: str
) -> None:
    """Those of the same keys, in as many partitions; rows in any order."""
    CONTENDERS[name](made.shards, tmp_path)
    key = next(key for key in ("site_month", "site_date", "site") if key in name)
    found = pl.scan_parquet(tmp_path / "**/*.parquet", hive_partitioning=False).collect()
    expected = a20_parquet.scan(dataset).select(found.columns).collect()
    order = ["filename", "recording_offset_in_file"]
    assert_frame_equal(found.sort(order), expected.sort(order))
    assert set(KEYS[key]).isdisjoint(found.columns)
    folders = {file.parent.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.parquet")}
    keys = [part.partition("=")[0] for part in next(iter(folders)).split("/")]
    assert keys == list(KEYS[key])


def test_the_notebooks_loop_writes_what_npy_json_writes(made: Made, tmp_path: Path) -> None:
    notebook.convert(made.shards, tmp_path / "loop")
    a20_parquet.npy_json(made.folder, tmp_path / "ours")
    loop, ours = NpyJsonFolder.at(tmp_path / "loop"), NpyJsonFolder.at(tmp_path / "ours")
    for shard in made.shards:
        npy, json = f"{shard.name}.npy", f"{shard.name}.json"
        assert np.array_equal(np.load(loop.embeddings / npy), np.load(ours.embeddings / npy))
        assert (loop.metadata / json).read_text() == (ours.metadata / json).read_text()


def test_the_notebooks_loop_writes_the_notebooks_files(real_data: Path, tmp_path: Path) -> None:
    """Also from filenames with text before and after, few windows and several channels."""
    notebook.convert(sorted((real_data / "notebook" / "shards").iterdir()), tmp_path)
    for folder in ("embeddings", "metadata"):
        expected = sorted((real_data / "notebook" / folder).iterdir())
        assert [file.name for file in expected] == sorted(
            file.name for file in (tmp_path / folder).iterdir()
        )
        for file in expected:
            assert (tmp_path / folder / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("group", WAYS)
def test_every_way_to_ask_gives_the_same_answer(dataset: Path, group: str) -> None:
    prepare(dataset)
    answers = [way(dataset) for way in WAYS[group].values()]
    assert same(answers)
    assert answers[0]
