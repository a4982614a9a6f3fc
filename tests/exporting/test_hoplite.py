"""Hoplite databases from a dataset, read again with perch-hoplite; skipped where it is absent."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import a20_parquet
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.exporting import write_hoplite
from tests.helpers.conversions import digests
from tests.helpers.shards import make_record, random_tensor, write_shard


def test_a_missing_package_is_named(
    grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written."""

    def fail(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(write_hoplite, "import_module", fail)
    with pytest.raises(UsageError, match=r"perch_hoplite.*pip install 'a20_parquet\[hoplite\]'"):
        a20_parquet.export(grown, tmp_path / "out", as_="hoplite")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def hoplite() -> Any:
    """The module of databases of perch-hoplite."""
    return pytest.importorskip("perch_hoplite.db.sqlite_usearch_impl")


def opened(hoplite: Any, folder: Path) -> Any:
    return hoplite.SQLiteUSearchDB.create(str(folder), readonly=True)


def test_all_windows_are_there(hoplite: Any, grown: Path, tmp_path: Path) -> None:
    """Recordings, offsets, channels and halves."""
    made = a20_parquet.export(grown, tmp_path / "out", as_="hoplite")
    assert made.windows == a20_parquet.info(grown).windows
    assert made.remarks[-1].startswith("Hoplite stores float16: ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "hoplite.sqlite",
        "usearch.index",
    ]
    database = opened(hoplite, tmp_path / "out")
    assert database.count_embeddings() == made.windows
    sites = {each.id: each.name for each in database.get_all_deployments()}
    recordings = {each.id: each for each in database.get_all_recordings()}
    windows = database.get_all_windows()
    found = pl.DataFrame(
        {
            "filename": [recordings[each.recording_id].filename for each in windows],
            "site": [sites[recordings[each.recording_id].deployment_id] for each in windows],
            "start": [recordings[each.recording_id].datetime for each in windows],
            "recording_offset_in_file": [each.offsets[0] for each in windows],
            "length": [each.offsets[1] - each.offsets[0] for each in windows],
            "channel": [each.channel for each in windows],
            "embedding": database.get_embeddings_batch([each.id for each in windows]),
        }
    )
    expected = a20_parquet.scan(grown).collect()
    assert len(found) == len(expected)
    assert set(found["length"].round(9)) == {5.0}
    keys = ["filename", "recording_offset_in_file", "channel"]
    found, expected = found.sort(keys), expected.sort(keys)
    assert found.select(keys).equals(expected.select(keys).cast({"channel": pl.Int64}))
    assert found["site"].to_list() == expected["site"].to_list()
    halves = expected["embedding"].to_numpy().astype(np.float16)
    np.testing.assert_array_equal(found["embedding"].to_numpy(), halves)
    starts = [each and each.timestamp() for each in found["start"].to_list()]
    wanted = [each and each.timestamp() for each in expected["file_timestamp"].to_list()]
    assert starts == wanted
    config = database.get_metadata("model_config")
    assert (config.embedding_dim, config.model_config.hop_size_s) == (16, 5.0)


def test_parts_and_overwrite(hoplite: Any, grown: Path, tmp_path: Path) -> None:
    """What is there is replaced with ``overwrite`` only, and only if an export wrote all of it."""
    out = tmp_path / "out"
    made = a20_parquet.export(grown, out, as_="hoplite", per=("site,channel", 2))
    assert opened(hoplite, out).count_embeddings() == made.windows < made.total_windows
    with pytest.raises(UsageError, match="already exists"):
        a20_parquet.export(grown, out, as_="hoplite")
    with pytest.raises(UsageError, match="holds something else"):
        a20_parquet.export(grown, out, as_="tfrecord", overwrite=True)
    a20_parquet.export(grown, out, as_="hoplite", where="channel = 0", overwrite=True)
    (out / "mine.txt").write_text("mine")
    before = digests(tmp_path)
    with pytest.raises(UsageError, match="holds something else"):
        a20_parquet.export(grown, out, as_="hoplite", overwrite=True)
    assert digests(tmp_path) == before


def test_failures_leave_nothing(
    hoplite: Any, grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too little memory, an error of the package, a value that float16 cannot hold."""
    with monkeypatch.context() as patch:
        patch.setattr(write_hoplite, "free_memory", lambda: 1000)
        with pytest.raises(UsageError, match="of memory while Hoplite writes them"):
            a20_parquet.export(grown, tmp_path / "out", as_="hoplite")
    with monkeypatch.context() as patch:

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("no")

        patch.setattr(hoplite.SQLiteUSearchDB, "insert_windows_batch", fail)
        with pytest.raises(DatasetError, match="perch-hoplite cannot write it: no"):
            a20_parquet.export(grown, tmp_path / "out", as_="hoplite")
    assert not list(tmp_path.iterdir())
    tensor = random_tensor((3, 1, 4))
    tensor[1, 0, 0] = 1e6
    shard = write_shard(tmp_path / "in" / "a-00000-of-00001", [make_record(tensor)])
    a20_parquet.convert(shard, tmp_path / "large", decoder="wire")
    with pytest.raises(UsageError, match=r"@5 has a value that float16.*exclude"):
        a20_parquet.export(tmp_path / "large", tmp_path / "out", as_="hoplite")
    assert not (tmp_path / "out").exists()
