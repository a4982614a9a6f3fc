"""Where embeddings are: the choice by size, by the speed of simulated disks, and what follows."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from fsspec.implementations.local import LocalFileSystem

import a20_parquet
from a20_parquet.conversion import convert as conversion
from a20_parquet.conversion import job
from a20_parquet.conversion.embeddings import EmbeddingsChoice, choose_embeddings
from a20_parquet.conversion.options import EmbeddingsIn
from a20_parquet.conversion.sort_pass import sort_shards
from a20_parquet.errors import SourceError
from a20_parquet.runs.located_run import LocatedRun
from a20_parquet.tfrecord.shard import Shard
from tests.helpers.conversions import TINY, digests, write_shuffled
from tests.helpers.disks import Disk

MB, GB = 10**6, 10**9
DISKS = {
    "good SSD": (Disk(seek_s=0.00002, bytes_a_second=500 * MB), True),
    "shared virtual disk": (Disk(seek_s=0.0002, bytes_a_second=300 * MB), True),
    "hard disk": (Disk(seek_s=0.008, bytes_a_second=160 * MB), False),
    "USB disk": (Disk(seek_s=0.015, bytes_a_second=35 * MB), False),
    "slow network share": (Disk(seek_s=0.03, bytes_a_second=50 * MB), False),
}
"""Each with whether shards on it are read at random."""
FAST, SLOW = Disk(seek_s=0, bytes_a_second=500 * MB), Disk(seek_s=0.01, bytes_a_second=50 * MB)
"""For records of any size."""


def shard(size: int, path: str = "a-00000-of-00001") -> Shard:
    """A local shard that is never opened."""
    return Shard(
        label=path, url=path, position=0, path=path, size=size, filesystem=LocalFileSystem()
    )


def never(*_: object) -> NoReturn:
    """Measure nothing."""
    raise AssertionError


def choose(size: int = 73 * GB, free: int = 16 * GB, **values: Any) -> EmbeddingsChoice:
    """Choose for one shard."""
    return choose_embeddings(
        values.pop("wanted", EmbeddingsIn.AUTO),
        [shard(size)],
        **{
            "record_bytes": 61_000,
            "are_locatable": True,
            "on_cluster": False,
            "free_memory": lambda: free,
            "measure_reads": never,
            **values,
        },
    )


@pytest.mark.parametrize("name", DISKS)
def test_more_than_the_memory_is_decided_by_the_disk(name: str) -> None:
    """The reason has the figures."""
    disk, is_located = DISKS[name]
    found = choose(measure_reads=disk.measure)
    assert found.located == is_located
    assert found.speed is not None
    assert found.reason.startswith("73.0 GB, 16.0 GB of memory free, records read at ")
    assert found.reason.endswith("MB/s in sequence")
    assert found.remarks == (str(found),)
    where = "embeddings stay in the shards: 73" if is_located else "embeddings are copied: 73"
    assert str(found).startswith(where)


def test_long_records_are_worth_a_seek() -> None:
    """A disk with fast seeks reads them nearly as fast as in sequence, and short ones slowly."""
    choices = {
        size: choose(
            record_bytes=size, measure_reads=Disk(seek_s=0.002, bytes_a_second=150 * MB).measure
        ).located
        for size in (5_000, 61_000, 307_000)
    }
    assert choices == {5_000: False, 61_000: False, 307_000: True}


def test_what_fits_into_memory_is_not_measured() -> None:
    """The shards and a dataset of their size: the second pass reads no disk."""
    assert choose(8 * GB, 16 * GB) == EmbeddingsChoice(
        located=True, reason="8.0 GB, 16.0 GB of memory free", free_bytes=16 * GB
    )
    slow, _ = DISKS["USB disk"]
    assert not choose(8 * GB, 16 * GB - 1, measure_reads=slow.measure).located
    # A process may have more memory than its group's limit for a moment.
    assert "0 bytes of memory free" in choose(8 * GB, -1, measure_reads=slow.measure).reason


@pytest.mark.parametrize(
    ("values", "where", "reason"),
    [
        ({"wanted": EmbeddingsIn.LOCATED}, "located", "--embeddings located"),
        ({"wanted": EmbeddingsIn.COPIED}, "copied", "--embeddings copied"),
        ({"on_cluster": True}, "copied", "they cannot stay in the shards with --dask"),
        ({"are_locatable": False}, "copied", "a shard is compressed or has long records"),
    ],
)
def test_some_need_no_measurement(values: dict[str, Any], where: str, reason: str) -> None:
    """Nor the memory that is free."""
    found = choose(free_memory=never, **values)
    assert (found.located, found.reason) == (where == "located", reason)
    assert (found.free_bytes, found.speed) == (None, None)
    assert found.can_be_located == ("wanted" in values)


def test_a_shard_that_cannot_be_measured() -> None:
    with pytest.raises(SourceError, match="00001"):
        choose_embeddings(
            EmbeddingsIn.AUTO,
            [shard(73 * GB, "/gone/a-00000-of-00001")],
            record_bytes=61_000,
            are_locatable=True,
            on_cluster=False,
            free_memory=lambda: 0,
        )


def on_disk(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let conversions believe that there is no free memory, and shards are on this disk."""
    choose = partial(choose_embeddings, free_memory=lambda: 0, measure_reads=disk.measure)
    monkeypatch.setattr(job, "choose_embeddings", choose)


def test_conversions_say_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Which of the two they do follows from the disk; the bytes of the dataset do not."""
    shards = write_shuffled(tmp_path / "in")
    a20_parquet.convert(shards, tmp_path / "memory", decoder="wire")
    assert "at random places" not in caplog.text
    made: list[int] = []
    monkeypatch.setattr(LocatedRun, "read_embeddings", _note(LocatedRun.read_embeddings, made))
    for disk, where in ((FAST, "stay in the shards"), (SLOW, "are copied")):
        on_disk(disk, monkeypatch)
        out = tmp_path / where
        caplog.clear()
        made.clear()
        a20_parquet.convert(shards, out, decoder="wire")
        (said,) = [r.message for r in caplog.records if "at random places" in r.message]
        assert f"embeddings {where}" in said
        assert bool(made) == (disk is FAST)
        assert digests(out) == digests(tmp_path / "memory")


def _note(read: Any, calls: list[int]) -> Any:
    def noted(*values: Any) -> None:
        calls.append(1)
        read(*values)

    return noted


@pytest.mark.parametrize("disks", [(FAST, SLOW), (SLOW, FAST)], ids=["copied", "located"])
def test_a_resumed_conversion_may_choose_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disks: tuple[Disk, Disk]
) -> None:
    """Runs of both kinds are merged: finished units stay as they are, to the same bytes."""
    shards = write_shuffled(tmp_path / "in")
    options: Any = {"decoder": "wire", "workers": 1}
    monkeypatch.setattr(
        job,
        "plan_memory",
        lambda *, locates, **_: replace(TINY, locates=locates, located_rows=locates * 100),
    )
    a20_parquet.convert(shards, tmp_path / "whole", embeddings="copied", **options)
    sort = sort_shards
    found: list[bool] = []

    def stop_after_first(*values: Any) -> NoReturn:
        setup = values[1]
        units = type(setup).units
        monkeypatch.setattr(type(setup), "units", lambda *v: units(*v)[:1])
        sort(*values)
        monkeypatch.setattr(type(setup), "units", units)
        raise KeyboardInterrupt

    on_disk(disks[0], monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "sort_shards", stop_after_first)
        with pytest.raises(KeyboardInterrupt):
            a20_parquet.convert(shards, tmp_path / "out", **options)
    on_disk(disks[1], monkeypatch)

    def note(*values: Any) -> Any:
        runs, sorted_shards = sort(*values)
        found.extend(files.is_located for files in sorted_shards.runs)
        return runs, sorted_shards

    monkeypatch.setattr(conversion, "sort_shards", note)
    done = a20_parquet.convert(shards, tmp_path / "out", **options)
    assert done.is_resumed
    assert set(found) == {True, False}
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
