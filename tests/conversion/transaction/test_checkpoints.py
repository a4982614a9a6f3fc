"""Commit markers: what counts as done, and what has to be done again."""

# ruff: noqa: S311 - random rows, the same each time

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from a20_parquet.conversion.transaction.checkpoints import (
    Plan,
    SortedShards,
    commit_sorted,
    commit_unit,
    committed_files,
    is_whole,
    remove_stray_runs,
    sorted_units,
)
from a20_parquet.dataset.quarantine import QuarantineWriter
from a20_parquet.dataset.summaries import FileSummary, ShardSummary
from a20_parquet.runs.stored_run import write_run
from a20_parquet.windows.rejection import Reason, Rejection
from tests.helpers.layout import LocalLayout
from tests.helpers.runs import held, random_rows
from tests.helpers.shards import frame
from tests.helpers.spoiling import flip
from tests.helpers.units import make_plan, write_all

Spoil = Callable[[Path], object]


def cut(path: Path) -> None:
    """Take the last byte."""
    path.write_bytes(path.read_bytes()[:-1])


def grow(path: Path) -> None:
    """Add a byte."""
    path.write_bytes(path.read_bytes() + b"\0")


def zero(path: Path) -> None:
    """Leave the size and nothing else, as a power cut may."""
    path.write_bytes(bytes(path.stat().st_size))


SPOILING: list[Spoil] = [Path.unlink, flip, cut, grow, zero]


def sort_unit(layout: LocalLayout, position: int) -> SortedShards:
    """A finished unit of the first pass, with a run and a record in quarantine."""
    rows = random_rows(random.Random(position), 9, position)
    run = write_run(held(rows), layout.conversion / "runs" / f"run-{position}", 2)
    with QuarantineWriter(layout.staged_quarantine, f"shard-{position}") as writer:
        writer.keep_record(Rejection(0, Reason.BAD_FILENAME, "m"), 0, frame(b"x"))
        writer.keep_damage(Rejection(1, Reason.BAD_PAYLOAD, "m"), 17, b"abc")
        quarantined = writer.finish()
    assert quarantined is not None
    summary = ShardSummary(
        label=f"shard-{position}", url="u", bytes=1, checksum="0", records=1, windows=9
    )
    return SortedShards(
        positions=(position,), shards=(summary,), runs=(run,), quarantine=(quarantined,)
    )


def found_units(layout: LocalLayout) -> list[SortedShards]:
    """The units that count as finished."""
    plan = Plan.read(layout)
    return list(sorted_units(layout, plan.own_scratch(layout), 1000))


def test_sorted_units_come_back(claimed: LocalLayout) -> None:
    """All that was told of them does, in the order of their shards."""
    units = [sort_unit(claimed, position) for position in (2, 0, 1)]
    for unit in units:
        commit_sorted(claimed, unit)
    assert found_units(claimed) == sorted(units, key=lambda unit: unit.positions)
    (claimed.sorted / "shards-000009.json.tmp").write_text("{")
    assert len(found_units(claimed)) == 3


def test_a_shard_counts_once(claimed: LocalLayout) -> None:
    """Of markers that share a shard one counts; which does not depend on what else there is."""
    single, double = sort_unit(claimed, 0), sort_unit(claimed, 1)
    double = double.model_copy(
        update={"positions": (0, 1), "shards": (*single.shards, *double.shards)}
    )
    commit_sorted(claimed, single, "-one")
    commit_sorted(claimed, double, "-two")
    commit_sorted(claimed, sort_unit(claimed, 2))
    assert [unit.positions for unit in found_units(claimed)] == [(0,), (2,)]


def test_runs_that_no_unit_names_are_removed(claimed: LocalLayout) -> None:
    """What was killed leaves them; other files stay."""
    unit = sort_unit(claimed, 0)
    folder = claimed.conversion / "runs"
    before = set(folder.iterdir())
    (folder / "mine.txt").touch()
    for name in ("run-9-aa.embeddings", "run-0-b.metadata.arrow", "run-9.index.arrow"):
        (folder / name).touch()
    remove_stray_runs([folder, folder / "missing"], [unit])
    assert set(folder.iterdir()) == {*before, folder / "mine.txt"}


@pytest.mark.parametrize("spoil", SPOILING)
@pytest.mark.parametrize(
    "name",
    [
        "runs/run-1.embeddings",
        "runs/run-1.metadata.arrow",
        "runs/run-1.index.arrow",
        "quarantine/shard-1.tfrecord",
        "quarantine/shard-1.damaged",
        "quarantine/shard-1.jsonl",
    ],
)
def test_a_sorted_unit_whose_file_was_changed(
    claimed: LocalLayout, name: str, spoil: Spoil
) -> None:
    """Its marker counts for nothing, the others' do."""
    units = [sort_unit(claimed, position) for position in range(3)]
    for unit in units:
        commit_sorted(claimed, unit)
    spoil(claimed.conversion / name)
    assert found_units(claimed) == [units[0], units[2]]


def test_merge_units_come_back(claimed: LocalLayout) -> None:
    """With all their files, however they were divided; one that was not finished has no marker."""
    _, files, _ = write_all(claimed, [random_rows(random.Random(0), 40, 0)])
    assert len(files) > 4
    assert committed_files(claimed) == {}
    commit_unit(claimed, files[2:4])
    commit_unit(claimed, files[:2])
    commit_unit(claimed, files[1:3], "-again")
    commit_unit(claimed, files[:2], "-again")
    (claimed.units / "unit-000003.json.tmp").write_text("[")
    found = committed_files(claimed)
    assert found == {file.path: file for file in files[:4]}
    assert is_whole(claimed, list(found.values()))


@pytest.mark.parametrize("spoil", SPOILING)
def test_a_merge_unit_whose_file_was_changed(claimed: LocalLayout, spoil: Spoil) -> None:
    """It is not whole, whichever of its files it is."""
    _, files, _ = write_all(claimed, [random_rows(random.Random(0), 40, 0)])
    assert len(files) > 2
    path = claimed.root / files[1].path
    spoil(path)
    assert not is_whole(claimed, files)
    assert is_whole(claimed, [file for file in files if file != files[1]])


def test_files_without_windows_in_time(claimed: LocalLayout) -> None:
    """What is null in a data file's description comes back as null."""
    path = "data/site=s/date=__HIVE_DEFAULT_PARTITION__/part-0000.parquet"
    file = FileSummary(
        path=path,
        site="s",
        period=None,
        rows=1,
        bytes=2,
        checksum="00000000",
        first_window_us=None,
        last_window_us=None,
    )
    commit_unit(claimed, [file])
    assert committed_files(claimed) == {path: file}


def test_a_plan_comes_back(claimed: LocalLayout) -> None:
    """As it was written, and without a difference to itself."""
    plan = make_plan()
    read = Plan.read(claimed)
    assert read == plan.model_copy(update={"id": read.id})
    assert list(read.differences(plan)) == []
    elsewhere = make_plan(scratch=("/x/a20-parquet-runs-0123456789abcdef",), npy_json="/y")
    assert list(plan.differences(elsewhere)) == []
