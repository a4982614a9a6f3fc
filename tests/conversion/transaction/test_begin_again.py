"""Going on with an unfinished conversion, or refusing to."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from a20_parquet.conversion.transaction.begin import (
    begin,
    find_existing,
)
from a20_parquet.conversion.transaction.checkpoints import Plan, SortedShards, commit_sorted
from a20_parquet.conversion.transaction.lock import locked
from a20_parquet.conversion.transaction.scratch import new_scratch, remove_scratch
from a20_parquet.dataset.manifest import QuarantinedShard, QuarantineFile
from a20_parquet.dataset.summaries import ShardSummary
from a20_parquet.errors import UsageError
from a20_parquet.runs.run_files import RunFile, RunFiles
from a20_parquet.storage.files import write_whole
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.rejection import Reason
from tests.helpers.layout import LocalLayout
from tests.helpers.places import listing, put_complete, put_unfinished
from tests.helpers.units import OPTIONS, SHARD, make_plan


def names(layout: LocalLayout) -> set[str]:
    """All there is at a place."""
    return {path.relative_to(layout.root).as_posix() for path in layout.root.rglob("*")}


def test_going_on(tmp_path: Path) -> None:
    """The same plan goes on, and touches nothing that is done."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_unfinished(layout.root)
    before = listing(layout.root)
    with locked(layout):
        assert find_existing(layout, overwrite=False) is None
        begun = begin(layout, make_plan(), overwrite=False)
    assert begun.is_resumed
    assert listing(layout.root) == before


def test_going_on_although_overwriting_is_allowed(tmp_path: Path) -> None:
    """The option of the command that was stopped is given again, and deletes nothing then."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_unfinished(layout.root)
    with locked(layout):
        assert begin(layout, make_plan(), overwrite=True).is_resumed


OTHER_SHARD = SHARD.model_copy(update={"url": "file:///other"})


OTHERS: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"options": OPTIONS.model_copy(update={"dims": 9, "partition_by": PartitionBy.SITE})},
        ["dims is 9, was 3", "partition_by is site, was site,date"],
    ),
    ({"reading": {"unknown_site": "x"}}, ["unknown_site is x, was not given"]),
    ({"reading": {"drop_duplicates": True}}, ["drop_duplicates is True, was not given"]),
    ({"reading": {"site": ("a", "b")}}, ["site is a,b, was not given"]),
    ({"base": "00c0ffee"}, ["it appends to another state of the dataset"]),
    ({"shards": ()}, ["missing: file:///shard (10 bytes)"]),
    ({"shards": (SHARD, OTHER_SHARD)}, ["new: file:///other (10 bytes)"]),
    (
        {"shards": (SHARD.model_copy(update={"bytes": 1234}),)},
        ["changed since: file:///shard (1,234 bytes)"],
    ),
    (
        {"shards": (SHARD.model_copy(update={"version": "2"}),)},
        ["changed since: file:///shard (10 bytes)"],
    ),
]


@pytest.mark.parametrize(("other", "told"), OTHERS, ids=lambda value: str(value)[:50])
def test_another_one_is_refused(other: dict[str, Any], told: list[str], tmp_path: Path) -> None:
    """Each difference is named, and nothing is changed; with overwriting it starts afresh."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_unfinished(layout.root)
    before = listing(layout.root)
    plan = make_plan(**other)
    with locked(layout):
        with pytest.raises(UsageError, match="other inputs or options") as caught:
            begin(layout, plan, overwrite=False)
        for each in told:
            assert each in str(caught.value)
    assert listing(layout.root) == before
    with locked(layout):
        assert not begin(layout, plan, overwrite=True).is_resumed


def test_many_shards_are_not_all_named() -> None:
    """The first few are, and how many more there are."""
    urls = [f"file:///{number}" for number in range(1004)]
    many = make_plan(shards=[SHARD.model_copy(update={"url": url}) for url in urls])
    (told,) = make_plan(shards=()).differences(many)
    assert told == (
        "new: file:///0 (10 bytes), file:///1 (10 bytes), file:///2 (10 bytes) and 1,001 more"
    )


def test_scratch_elsewhere(tmp_path: Path) -> None:
    """A folder of one's own is made there; where it changes, runs that are there stay known."""
    layout = LocalLayout.at(tmp_path / "dataset")
    places = [Path(new_scratch(tmp_path / name)) for name in ("a", "a", "b")]
    assert len(set(places)) == 3
    found = []
    for place in places:
        with locked(layout):
            found.append(begin(layout, make_plan(scratch=(str(place),)), overwrite=False))
    assert [begun.scratch for begun in found] == [places[0], places[0], places[2]]
    assert Plan.read(layout).scratch == (str(places[0]), str(places[2]))
    assert [place.exists() for place in places] == [True, False, True]
    plan = make_plan(base="1")
    with locked(layout):
        begin(layout, plan, overwrite=True)
    assert not any(place.exists() for place in places)


def a_sorted_unit(layout: LocalLayout) -> SortedShards:
    """A unit of the first pass with its files."""
    empty = RunFile(bytes=0, checksum="00000000")
    path = layout.conversion / "runs" / "run"
    for suffix in (".embeddings", ".metadata.arrow", ".index.arrow"):
        path.with_suffix(suffix).touch()
    layout.staged_quarantine.mkdir()
    (layout.staged_quarantine / "a.jsonl").touch()
    run = RunFiles(
        path=str(path),
        dims=3,
        batch_rows=1,
        embeddings=empty,
        metadata=empty,
        index=empty,
        places_bytes=0,
    )
    kept = QuarantineFile(name="a.jsonl", bytes=0, checksum="00000000")
    shard = ShardSummary(label="a", url="file:///a", bytes=1, checksum="0", records=1, windows=1)
    quarantined = QuarantinedShard(
        label="a", reasons={Reason.BAD_LENGTH: 1}, files=(kept,), checksum=None
    )
    return SortedShards(positions=(0,), shards=(shard,), runs=(run,), quarantine=(quarantined,))


@pytest.mark.parametrize(
    ("before", "now", "is_used"),
    [(None, None, True), ("/n", "/n", True), ("/n", None, True), (None, "/n", False)],
)
def test_notebook_files_that_are_asked_for_later(
    before: str | None, now: str | None, tmp_path: Path, *, is_used: bool
) -> None:
    """The first pass, which writes them, is done again where it did not write them."""
    layout = LocalLayout.at(tmp_path / "dataset")
    with locked(layout):
        begin(layout, make_plan(npy_json=before), overwrite=False)
        unit = a_sorted_unit(layout)
        commit_sorted(layout, unit)
        begun = begin(layout, make_plan(npy_json=now), overwrite=False)
    assert begun.is_resumed
    assert begun.sorted == ((unit,) if is_used else ())
    assert Plan.read(layout).npy_json == now


def test_a_plan_of_another_version(tmp_path: Path) -> None:
    """It is refused with what to do, and can be overwritten."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_unfinished(layout.root)
    layout.plan.write_text('{"format": "a20_parquet", "version": 9}')
    with (
        locked(layout),
        pytest.raises(UsageError, match="is not a plan that this version can read"),
    ):
        begin(layout, make_plan(), overwrite=False)
    with locked(layout):
        find_existing(layout, overwrite=True)
        assert not begin(layout, make_plan(), overwrite=True).is_resumed


def test_a_folder_that_was_taken_away(tmp_path: Path) -> None:
    """Folders that are gone are made again: the units whose files are gone are done again."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_unfinished(layout.root)
    shutil.rmtree(layout.conversion / "runs")
    shutil.rmtree(layout.data)
    with locked(layout):
        begun = begin(layout, make_plan(), overwrite=False)
    assert begun.scratch.is_dir()
    assert layout.data.is_dir()


@pytest.mark.parametrize("left", [[], [".a20-parquet-scratch.json.tmp"]])
def test_a_scratch_folder_that_was_hardly_made(tmp_path: Path, left: list[str]) -> None:
    """Killed before its marker is written, or after it is removed, it is this conversion's."""
    layout = LocalLayout.at(tmp_path / "dataset")
    place = Path(new_scratch(tmp_path / "scratch"))
    plan = make_plan(scratch=(str(place),))
    with locked(layout):
        begin(layout, plan, overwrite=False)
        (place / ".a20-parquet-scratch.json").unlink()
        for name in left:
            (place / name).touch()
        begun = begin(
            layout, make_plan(scratch=(new_scratch(tmp_path / "scratch"),)), overwrite=False
        )
        assert begun.scratch == place
        remove_scratch(begun.own_scratch)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_plan_of_another_version_that_is_committed(tmp_path: Path) -> None:
    """It can be overwritten, and what it has staged is not lost before its data are."""
    layout = LocalLayout.at(tmp_path / "dataset")
    put_complete(layout.root)
    before = listing(layout.root)
    with locked(layout):
        content = layout.manifest.read_bytes()
        marker = {"manifest": hashlib.sha256(content).hexdigest()}
        write_whole(layout.commit, json.dumps(marker))
        layout.files.replace(layout.staged_files)
        layout.plan.write_text('{"format": "a20_parquet", "version": 9}')
    with (
        locked(layout),
        pytest.raises(UsageError, match="is not a plan that this version can read"),
    ):
        find_existing(layout, overwrite=False)
    with locked(layout):
        assert find_existing(layout, overwrite=True) is None
    assert listing(layout.root) == before
