"""The commit: whoever is killed, readers see the state before or the one after, nothing else."""

# ruff: noqa: S311 - random rows, the same each time

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from a20_parquet.conversion.transaction.begin import abandon, begin, find_existing, make_way
from a20_parquet.conversion.transaction.checkpoints import Plan
from a20_parquet.conversion.transaction.commit import clean_up, commit, is_committed, remove_strays
from a20_parquet.conversion.transaction.lock import State, find_state, locked
from a20_parquet.conversion.transaction.scratch import new_scratch, remove_scratch
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.manifest_content import make_manifest
from a20_parquet.dataset.options import ReadingOptions
from a20_parquet.dataset.quarantine import QuarantineWriter
from a20_parquet.dataset.sites import kept_content, read_sites
from a20_parquet.dataset.summaries import (
    ConversionSummary,
    DuplicateCounts,
    FileSummary,
    ShardSummary,
)
from a20_parquet.dataset.write_file_list import files_content
from a20_parquet.errors import DatasetError
from a20_parquet.storage.files import write_whole
from a20_parquet.storage.path import AnyPath
from a20_parquet.windows.filenames.site_table import SiteTable
from a20_parquet.windows.rejection import Reason, Rejection
from tests.helpers.layout import LocalLayout
from tests.helpers.places import Put, put_complete, put_nothing, put_unfinished
from tests.helpers.runs import held, random_rows
from tests.helpers.shards import frame
from tests.helpers.units import OPTIONS, make_plan, write_runs

_TABLE = SiteTable.of(pl.DataFrame({"name": ["Arkaba"], "site_id": [285]}))
SITES = kept_content(None, _TABLE, 0)
READ = ConversionSummary(
    reading=ReadingOptions(sites=_TABLE.fingerprint), duplicates=DuplicateCounts()
)


class Killed(BaseException):
    """Stands for the end of the process."""


class Death:
    """Lets a number of changes to the file system happen, and none after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, changes: int) -> None:
        self.left = changes
        self.died = False
        for name in ("unlink", "rmdir", "mkdir", "replace", "remove"):
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name)))

    def _wrap(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def limited(*args: Any, **options: Any) -> Any:
            if self.left == 0:
                self.died = True
                raise Killed
            self.left -= 1
            return change(*args, **options)

        return limited


def quarantine(folder: Path, label: str) -> Any:
    """Keep a record of a shard."""
    with QuarantineWriter(folder, label) as writer:
        writer.keep_record(Rejection(0, Reason.BAD_FILENAME, "m"), 0, frame(b"x"))
        return writer.finish()


def prepare(layout: LocalLayout, part: int = 1) -> tuple[Manifest, list[FileSummary]]:
    """Do all of a conversion but its commit: five more windows, one more shard in quarantine."""
    with locked(layout):
        before = find_existing(layout, overwrite=False)
        base = before.manifest.files_checksum if before else None
        begin(layout, make_plan(base=base), overwrite=True)
        rows = random_rows(random.Random(1), 5, 1)
        _, files, _ = write_runs(layout, [held(rows)], first_part=part)
    all_files: list[FileSummary] = [*(before.files if before else ()), *files]
    all_files.sort(key=lambda file: file.path)
    content = files_content(all_files, OPTIONS.partition_by)
    kept = [*(before.manifest.quarantine if before else ())]
    kept += [quarantine(layout.staged_quarantine, f"shard-{len(kept)}")]
    manifest = make_manifest(
        OPTIONS,
        files=all_files,
        files_content=content,
        shards=[],
        conversions=[READ],
        quarantine=kept,
    )
    return manifest, all_files


def own_scratch(layout: LocalLayout) -> tuple[AnyPath, ...]:
    """Folders of the runs of the conversion that is under way."""
    return tuple(Plan.read(layout).own_scratch(layout).values())


def windows(layout: LocalLayout) -> int | None:
    """How many windows readers find, all of them read; none where there is no dataset."""
    try:
        catalog = Catalog.open(layout.root)
    except DatasetError:
        return None
    count = len(a20_parquet.scan(layout.root).collect())
    assert catalog.manifest.totals.windows == count
    return count


def names(layout: LocalLayout) -> set[str]:
    """What lies in the dataset's folder."""
    return {path.name for path in layout.root.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("put", [put_nothing, put_complete])
def test_readers_see_the_old_state_until_the_manifest_and_then_the_new(
    put: Put, tmp_path: Path
) -> None:
    """Killed at any change of the commit or after it: nothing in between is ever seen."""
    seen = set()
    for changes in range(100):
        layout = LocalLayout.at(tmp_path / str(changes))
        put(layout.root)
        old = windows(layout)
        manifest, files = prepare(layout)
        assert windows(layout) == old
        new = (old or 0) + 5
        with pytest.MonkeyPatch.context() as patch:
            death = Death(patch, changes)
            with contextlib.suppress(Killed):
                commit(layout, manifest, files, SITES)
                clean_up(layout, own_scratch(layout))
        found = windows(layout)
        assert found in (old, new)
        was_committed = found == new
        seen.add((was_committed, death.died))
        # The next command finishes what was committed, or goes on with what was not.
        with locked(layout):
            held_now = find_existing(layout, overwrite=False)
        if was_committed:
            assert held_now is not None
            assert find_state(layout) is State.COMPLETE
            assert names(layout) == {
                "README.md",
                "data",
                "files.parquet",
                "manifest.json",
                "quarantine",
                "sites.parquet",
            }
            kept = {path.name for path in layout.quarantine.iterdir()}
            assert kept == {file.name for shard in manifest.quarantine for file in shard.files}
            assert read_sites(layout.sites).frame["site_id"].to_list() == [285]
        else:
            assert find_state(layout) is State.UNFINISHED
            assert not is_committed(layout)
        assert windows(layout) == found
        if not death.died:
            break
    else:
        pytest.fail("it never came to an end")
    assert seen == {(False, True), (True, True), (True, False)}


def test_killed_while_it_removes_scratch(tmp_path: Path) -> None:
    """Runs elsewhere are known to be the conversion's until the last of them is gone."""
    for changes in range(100):
        layout = LocalLayout.at(tmp_path / str(changes))
        plan = make_plan(scratch=(new_scratch(tmp_path / "scratch"),))
        with locked(layout):
            begun = begin(layout, plan, overwrite=False)
        for number in range(3):
            write_whole(begun.scratch / f"run-{number:06d}-0000.embeddings", "1")
        with pytest.MonkeyPatch.context() as patch:
            death = Death(patch, changes)
            with contextlib.suppress(Killed):
                remove_scratch(begun.own_scratch)
        if not death.died:
            assert changes > 3
            assert not begun.scratch.exists()
            return
        left = {path.name for path in begun.scratch.iterdir()}
        assert not left or tuple(plan.own_scratch(layout).values()) == begun.own_scratch
    pytest.fail("it never came to an end")


@pytest.mark.parametrize("put", [put_nothing, put_complete])
def test_killed_while_it_abandons(put: Put, tmp_path: Path) -> None:
    """What was there is there all the while, and it can be abandoned again."""
    for changes in range(100):
        layout = LocalLayout.at(tmp_path / str(changes))
        put(layout.root)
        old = windows(layout)
        plan = make_plan(options=OPTIONS.model_copy(update={"dims": 9}))
        with locked(layout):
            begun = begin(layout, plan, overwrite=True)
            # An append that died before has left a file.
            (layout.data / "site=x").mkdir(exist_ok=True)
            (layout.data / "site=x" / "part-0007.parquet").write_bytes(b"stray")
        with pytest.MonkeyPatch.context() as patch:
            death = Death(patch, changes)
            with contextlib.suppress(Killed):
                abandon(layout, begun)
        assert windows(layout) == old
        with locked(layout):
            if layout.plan.exists():
                assert begin(layout, plan, overwrite=False).is_resumed
                abandon(layout, begun)
            assert find_state(layout) is (State.EMPTY if old is None else State.COMPLETE)
        assert not list(layout.root.rglob("part-0007.parquet"))
        if not death.died:
            assert changes > 0
            return
    pytest.fail("it never came to an end")


@pytest.mark.parametrize("put", [put_nothing, put_unfinished, put_complete])
def test_killed_while_it_begins_afresh(put: Put, tmp_path: Path) -> None:
    """Nothing broken passes for complete, and the place can be taken again."""
    for changes in range(1000):
        layout = LocalLayout.at(tmp_path / str(changes))
        put(layout.root)
        plan = make_plan(options=OPTIONS.model_copy(update={"dims": 9}))
        layout.conversion.mkdir(parents=True, exist_ok=True)
        with pytest.MonkeyPatch.context() as patch:
            death = Death(patch, changes)
            with contextlib.suppress(Killed):
                make_way(layout, begin(layout, plan, overwrite=True))
        assert windows(layout) in (None, 9)
        with locked(layout):
            find_existing(layout, overwrite=True)
            begun = begin(layout, plan, overwrite=True)
            assert begun.plan == plan
            make_way(layout, begun)
            assert windows(layout) is None
        assert {path.name for path in layout.conversion.iterdir()} == {
            "plan.json",
            "runs",
            "sorted",
            "units",
        }
        # No marker of what was there before passes for one of this conversion.
        assert not any(layout.units.iterdir())
        if not death.died:
            assert changes > 0
            return
    pytest.fail("it never came to an end")


def test_settling_again_changes_nothing(tmp_path: Path) -> None:
    """Whatever is settled already stays."""
    layout = LocalLayout.at(tmp_path / "dataset")
    manifest, files = prepare(layout)
    commit(layout, manifest, files, None)
    assert is_committed(layout)
    scratch = own_scratch(layout)
    clean_up(layout, scratch)
    before = {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()}
    clean_up(layout, scratch)
    after = {path: path.read_bytes() for path in layout.root.rglob("*") if path.is_file()}
    assert after == before


def test_what_left_quarantine_is_removed(tmp_path: Path) -> None:
    """Files of shards that the new manifest does not name go, and the folder when it is empty."""
    layout = LocalLayout.at(tmp_path / "dataset")
    layout.conversion.mkdir(parents=True)
    for labels in (["a", "b"], ["b"], []):
        kept = [quarantine(layout.staged_quarantine, label) for label in labels]
        listed = files_content([], OPTIONS.partition_by)
        shards = [
            ShardSummary(label=label, url=label, bytes=0, checksum="", records=0, windows=0)
            for label in "ab"
        ]
        manifest = make_manifest(
            OPTIONS, files=[], files_content=listed, shards=shards, quarantine=kept
        )
        commit(layout, manifest, [], None)
        clean_up(layout, [])
        found = {path.stem for path in layout.quarantine.glob("*")}
        assert found == set(labels)
        assert layout.quarantine.exists() == bool(labels)


def test_a_sites_table_stays_without_a_new_one(tmp_path: Path) -> None:
    """An append that was given none leaves the dataset's."""
    layout = LocalLayout.at(tmp_path / "dataset")
    for part, content in enumerate((SITES, None)):
        manifest, files = prepare(layout, part)
        commit(layout, manifest, files, content)
        clean_up(layout, [])
        assert layout.sites.read_bytes() == SITES


def test_strays(tmp_path: Path) -> None:
    """Files in data/ that nothing names are removed, and folders that are empty then."""
    layout = LocalLayout.at(tmp_path / "dataset")
    paths = [f"data/site={site}/date=2020-01-01/part-000{n}.parquet" for site in "ab" for n in "01"]
    for path in paths:
        (layout.root / path).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / path).touch()
    remove_strays(layout, [paths[1]])
    assert list(layout.data.rglob("*.parquet")) == [layout.root / paths[1]]
    assert [path.name for path in layout.data.iterdir()] == ["site=a"]
    remove_strays(layout, [])
    assert list(layout.data.iterdir()) == []
