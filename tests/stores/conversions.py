"""Conversions to and from stores: small ones of many units, and what is compared of them."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from a20_parquet.storage import lease, retries
from tests.helpers.conversions import TINY
from tests.helpers.shards import frame, make_record, random_tensor

OPTIONS: Mapping[str, Any] = {"decoder": "wire", "row_group_rows": 100, "max_file_size": 20_000}
SMALL = replace(TINY, batch_bytes=1 << 14, gather_rows=500, slice_rows=100, staging_rows=200)
"""Buffers so small that all shards of ``write_messy`` need several runs."""


def write_messy(folder: Path, shuffled: Path) -> Path:
    """Four shards, of which one is damaged and one has a record that cannot be converted."""
    shutil.copytree(shuffled, folder)
    _, damaged, bad, _ = sorted(folder.iterdir())
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 0xFF
    damaged.write_bytes(content)
    with bad.open("ab") as file:
        file.write(frame(make_record(random_tensor((3, 1, 16)), "x.wav")))
    return folder


def use_small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert with small buffers from now on, and each partition by itself."""
    from a20_parquet.conversion import job, merge_pass

    monkeypatch.setattr(job, "plan_memory", lambda **_: SMALL)
    monkeypatch.setattr(merge_pass, "_UNIT_BYTES", 1)


def make_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait before a request is tried again, nor long for a lock."""
    monkeypatch.setattr(retries, "_FIRST_WAIT_S", 1e-4)
    monkeypatch.setattr(lease, "LeaseTiming", partial(lease.LeaseTiming, renew_s=0.5, expire_s=1.5))


def read_folder(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their paths from there."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def comparable(files: Mapping[str, bytes]) -> dict[str, str]:
    """What must be the same wherever a dataset and its shards lie: all but the shards' URLs."""
    found = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    if "manifest.json" in files:
        manifest = json.loads(files["manifest.json"])
        del manifest["checksum"]
        for shard in manifest["shards"]:
            del shard["url"]
        found["manifest.json"] = json.dumps(manifest)
    return found
