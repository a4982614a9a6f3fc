"""Rehearsed conversions: of the first records, both ways, and nothing is left of them."""

import errno
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet.conversion.convert import convert_new
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.errors import DatasetError
from a20_parquet.planning import measure, rehearsal
from a20_parquet.shards.discover import find_shards
from tests.helpers.shards import make_record, random_tensor, write_shard

NAMES = [
    f"site_{site:04d}/202010{day:02d}T080000+1000_Arkaba-Dry-A_{site}.flac"
    for site in range(3)
    for day in range(1, 25)
]


@pytest.fixture(params=["", "GZIP", "ZLIB"])
def shards(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three shards of records from 3 sites and 24 days, and damage behind the first records."""
    records = [make_record(random_tensor((3, 1, 16), i), name) for i, name in enumerate(NAMES)]
    for shard in range(3):
        path = tmp_path / "in" / f"a-{shard:05d}-of-00003"
        write_shard(path, records[shard::3], request.param)
    return tmp_path / "in"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, empty."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "temporary"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int, int]]:
    """Name, windows, files and runs on disk of each rehearsal from now on."""
    noted: list[tuple[str, int, int, int]] = []
    convert = convert_new

    def note(layout: Any, setup: Any, *values: Any) -> Any:
        result = convert(layout, setup, *values)
        counts = result.new_windows, result.totals.files, result.runs_on_disk
        noted.append((layout.root.name, *counts))
        return result

    monkeypatch.setattr(rehearsal, "convert_new", note)
    return noted


def test_both_ways_are_rehearsed(
    shards: Path, folder: Path, done: list[tuple[str, int, int, int]]
) -> None:
    """By site, and once by the chosen key; selections leave nothing out."""
    options: Any = {"workers": 1, "row_group_rows": 64, "site": ["site_0001"]}
    found = a20_parquet.plan(shards, **options).forecast
    assert [counts[:3] for counts in done] == [
        ("site-located-0", 216, 3),
        ("site-copied-0", 216, 3),
        ("site,date-located-0", 216, 72),
    ]
    assert all(way.seconds > 0 for way in found.ways)
    assert not found.rate_is_given
    assert not list(folder.iterdir())
    done.clear()
    a20_parquet.plan(shards, partition_by="site", cluster=True)
    assert [name for name, *_ in done] == ["site-copied-0"]
    a20_parquet.plan(shards, rate=100.0)
    assert len(done) == 1


def test_what_exceeds_the_memory_is_rehearsed_with_runs(
    shards: Path, tmp_path: Path, done: list[tuple[str, int, int, int]]
) -> None:
    """Several of them, so that they are merged."""
    options = ConvertOptions.parse({"memory": "50MB", "partition_by": "site", "decoder": "wire"})
    plan = MemoryPlan(
        workers=2,
        batch_bytes=1 << 20,
        gather_rows=10_000,
        slice_rows=100,
        staging_rows=100,
        runs=10,
        holds_all=False,
    )
    plans = [replace(plan, locates=True, located_rows=10_000), plan]
    found = rehearsal.Rehearsal(find_shards(shards).shards, options, tmp_path)
    speeds, file_s = found.measure(plans)
    assert set(speeds) == {True, False}
    assert all(speed.sort > 0 and speed.merge > 0 for speed in speeds.values())
    assert file_s == 0
    assert sorted(counts[:3] for counts in done) == [
        (f"site-{way}-{worker}", 216, 3) for way in ("copied", "located") for worker in range(2)
    ]
    assert min(runs for *_, runs in done) > 1


def test_a_bad_record_and_strict_options(tmp_path: Path, folder: Path) -> None:
    """What a conversion would stop at does not stop a plan."""
    records = [make_record(random_tensor((3, 1, 16), i), name) for i, name in enumerate(NAMES)]
    write_shard(tmp_path / "in" / "a-00000-of-00001", [records[0], b"not a record", *records[1:]])
    options: Any = {"on_error": "fail", "npy_json": tmp_path / "npy", "overwrite": True}
    found = a20_parquet.plan(tmp_path / "in", **options).forecast
    assert found.windows == 3 * len(NAMES)
    assert found.seconds > 0
    assert not (tmp_path / "npy").exists()
    assert not list(folder.iterdir())


def test_where_it_is_measured(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the scratch folder's nearest parent that is there; if it cannot be written, say so."""
    assert a20_parquet.plan(shards, scratch=tmp_path / "new" / "scratch").forecast.seconds > 0
    assert not (tmp_path / "new").exists()

    def full(folder: Path) -> float:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr(measure, "measure_writes", full)
    with pytest.raises(DatasetError, match=r"No space left.* or give rate"):
        a20_parquet.plan(shards)
