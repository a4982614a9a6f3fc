"""Conversions whose runs lie in a store."""

from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

import a20_parquet
from a20_parquet import job
from tests.conversions import TINY, digests, write_shuffled


def test_runs_in_a_store_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dataset and runs in a store give the bytes that they give here, and no run is left there."""
    memory = replace(TINY, gather_rows=150, slice_rows=40, staging_rows=90)
    monkeypatch.setattr(job, "plan_memory", lambda **_: memory)
    shards = write_shuffled(tmp_path / "shards", shards=2)
    a20_parquet.convert(shards, tmp_path / "here", decoder="wire")
    store = fsspec.filesystem("memory")
    made = a20_parquet.convert(
        shards,
        "memory://runs-in-a-store/dataset",
        scratch="memory://runs-in-a-store/scratch",
        decoder="wire",
    )
    assert made.runs_on_disk > 3
    store.get("/runs-in-a-store/dataset", str(tmp_path / "there"), recursive=True)
    assert digests(tmp_path / "there") == digests(tmp_path / "here")
    assert store.find("/runs-in-a-store/scratch") == []
