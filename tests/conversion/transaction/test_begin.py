"""Beginning a conversion, going on with one, and starting afresh."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from a20_parquet.conversion.transaction.begin import (
    ConversionState,
    abandon,
    begin,
    find_existing,
    make_way,
)
from a20_parquet.conversion.transaction.checkpoints import Plan
from a20_parquet.conversion.transaction.lock import State, find_state, locked
from a20_parquet.conversion.transaction.scratch import new_scratch
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.manifest import QuarantineFile
from a20_parquet.errors import DatasetError
from a20_parquet.storage.files import write_whole
from a20_parquet.storage.path import AnyPath
from tests.helpers.layout import LocalLayout
from tests.helpers.manifests import write_manifest
from tests.helpers.places import FREE, OURS, Put, listing, put_complete
from tests.helpers.units import OPTIONS, make_plan

FRESH = {
    "data",
    "conversion",
    "conversion/lock",
    "conversion/plan.json",
    "conversion/sorted",
    "conversion/units",
    "conversion/runs",
}


def names(layout: LocalLayout) -> set[str]:
    """All there is at a place."""
    return {path.relative_to(layout.root).as_posix() for path in layout.root.rglob("*")}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("put", FREE)
def test_a_new_one(put: Put, tmp_path: Path, *, overwrite: bool) -> None:
    """A plan is written, and the folders that a conversion needs."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put(layout.root)
    plan = make_plan()
    with locked(layout):
        assert find_existing(layout, overwrite=overwrite) is None
        begun = begin(layout, plan, overwrite=overwrite)
        assert names(layout) == FRESH
    assert (begun.plan, begun.sorted, begun.is_resumed) == (plan, (), False)
    assert begun.scratch == layout.conversion / "runs"
    assert Plan.read(layout) == plan


@pytest.mark.parametrize("put", OURS)
def test_overwriting(put: Put, tmp_path: Path) -> None:
    """A dataset, finished or not, makes way for a new one, with all that belongs to it.

    A complete one stays as it is, and readable, until then.
    """
    layout = LocalLayout.at(tmp_path / "dataset")
    put(layout.root)
    layout.sites.write_text("sites")
    layout.quarantine.mkdir()
    (layout.quarantine / "a.tfrecord").write_bytes(b"1")
    other = make_plan(options=OPTIONS.model_copy(update={"dims": 9}))
    with locked(layout):
        before = {name for name in names(layout) if not name.startswith("conversion")}
        assert find_existing(layout, overwrite=True) is None
        begun = begin(layout, other, overwrite=True)
        assert names(layout) == (FRESH | before if "manifest.json" in before else FRESH)
        for _ in range(2):
            make_way(layout, begun)
            # A card holds text of the user.
            assert names(layout) == FRESH | (before & {"README.md"})
    assert (begun.plan, begun.is_resumed) == (other, False)


@pytest.mark.parametrize("put", [*FREE, *OURS])
def test_what_must_not_begin(put: Put, tmp_path: Path) -> None:
    """Where the check fails nothing is written and nothing deleted."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put(layout.root)
    deleted: list[AnyPath] = []

    def check(begun: ConversionState, folders: Sequence[AnyPath]) -> None:
        assert not begun.is_resumed
        deleted.extend(folders)
        raise DatasetError("the disk is full")

    other = make_plan(options=OPTIONS.model_copy(update={"dims": 9}))
    with locked(layout):
        find_existing(layout, overwrite=True)
        before = listing(layout.root)
        with pytest.raises(DatasetError, match="the disk is full"):
            begin(layout, other, overwrite=True, check=check)
        assert listing(layout.root) == before
    assert {layout.data, layout.quarantine, layout.conversion} <= set(deleted)


@pytest.mark.parametrize("put", [*FREE, put_complete])
def test_abandoning(put: Put, tmp_path: Path) -> None:
    """What was there before is there again, and no more."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put(layout.root)
    plan = make_plan(scratch=(new_scratch(tmp_path / "scratch"),))
    before = listing(layout.root)
    with locked(layout):
        state = find_state(layout)
        begun = begin(layout, plan, overwrite=True)
        write_whole(begun.scratch / "run-000000-0000", "1")
        abandon(layout, begun)
        assert find_state(layout) is state
    assert not begun.scratch.exists()
    if state is State.COMPLETE:
        assert listing(layout.root) == before


def test_appending_leaves_the_dataset(tmp_path: Path) -> None:
    """What is held stays as it is, and readable, beside the new plan."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_complete(layout.root)
    before = listing(layout.root)
    with locked(layout):
        held = find_existing(layout, overwrite=False)
        assert held is not None
        assert held.manifest.totals.windows == 9
        plan = make_plan(base=held.manifest.files_checksum)
        begin(layout, plan, overwrite=False)
    assert find_state(layout) is State.UNFINISHED
    assert set(before) <= set(listing(layout.root))
    with locked(layout):
        again = find_existing(layout, overwrite=False)
        assert again is not None
        assert begin(layout, plan, overwrite=False).is_resumed
    assert set(before) <= set(listing(layout.root))


@pytest.mark.parametrize("name", ["files.parquet", "conversion/quarantine"])
def test_what_is_staged_cannot_be_moved(tmp_path: Path, name: str) -> None:
    """Something else lies there: the error says where, and is this package's own."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_complete(layout.root)
    plan = make_plan(base=Catalog.open(layout.root).manifest.files_checksum)
    kept = QuarantineFile(name="a.jsonl", bytes=0, checksum="00000000")
    shard = {"label": "a", "url": "a", "bytes": 1, "checksum": "0", "records": 1, "windows": 0}
    held = json.loads(layout.manifest.read_bytes())
    quarantine = {"label": "a", "reasons": {"bad_length": 1}, "checksum": None}
    held["quarantine"] = [quarantine | {"files": [kept.model_dump()]}]
    held["shards"] = [shard | {"quarantined": 0, "damaged": 1}]
    with locked(layout):
        begin(layout, plan, overwrite=False)
    write_manifest(layout.root, held)
    digest = hashlib.sha256(layout.manifest.read_bytes()).hexdigest()
    layout.commit.write_text(json.dumps({"manifest": digest}))
    if name == "files.parquet":
        layout.staged_files.write_bytes(layout.files.read_bytes())
        layout.files.unlink()
        layout.files.mkdir()
    else:
        layout.staged_quarantine.write_text("mine")
    with locked(layout), pytest.raises(DatasetError, match="cannot be moved to their final paths"):
        find_existing(layout, overwrite=False)
