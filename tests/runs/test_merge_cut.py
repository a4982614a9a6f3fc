"""Cuts of the merged order: those that sorting all rows gives, found by reading few of them."""

# ruff: noqa: S311 - random rows, the same each time

import random
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.errors import DatasetError
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.merge_cut import find_cut, unit_slices
from a20_parquet.runs.merge_plan import plan_merge
from a20_parquet.runs.run import InMemoryRun, Run
from a20_parquet.runs.stored_run import StoredRun, write_run
from a20_parquet.runs.without_rows import WithoutRows
from tests.helpers.runs import DIMS, Row, embeddings_of, held, random_rows, sort_key

BATCHES = (1, 2, 7, 1024)


def random_runs(rng: random.Random, most_rows: int) -> list[list[Row]]:
    """Rows of some runs: of the same times, or each of times of its own."""
    sites = rng.choice(["a", "abc"])
    runs = [
        random_rows(rng, rng.randint(1, most_rows), shard, sites)
        for shard in range(rng.randint(1, 7))
    ]
    if rng.random() < 0.3:
        every = sorted((row for run in runs for row in run), key=sort_key)
        bounds = [0, *accumulate(map(len, runs))]
        runs = [every[start:stop] for start, stop in pairwise(bounds)]
    return runs


def sorted_cut(
    runs: Sequence[list[Row]], slices: Sequence[tuple[int, int]], rank: int
) -> list[int]:
    """What Python's ``sorted`` gives."""
    in_order = sorted(
        (sort_key(row), number)
        for number, (run, (start, stop)) in enumerate(zip(runs, slices, strict=True))
        for row in sorted(run, key=sort_key)[start:stop]
    )
    cut = [start for start, _ in slices]
    for _, number in in_order[:rank]:
        cut[number] += 1
    return cut


@given(seed=st.integers(0, 2**32), most_rows=st.sampled_from([3, 30, 300]), stores=st.booleans())
def test_a_cut_is_where_sorting_puts_it(
    tmp_path_factory: pytest.TempPathFactory, seed: int, most_rows: int, *, stores: bool
) -> None:
    """Of any slices of any runs, of which many keys are equal, in memory or on disk."""
    rng = random.Random(seed)
    rows = random_runs(rng, most_rows)
    runs: list[Run] = [held(run) for run in rows]
    if stores:
        folder = tmp_path_factory.mktemp("runs")
        runs = [
            StoredRun(write_run(run, folder / f"run-{number}", rng.randint(1, 9)))
            for number, run in enumerate(runs)
            if isinstance(run, InMemoryRun)
        ]
    slices = [
        (start, rng.randint(start, len(run)))
        for run in rows
        for start in [rng.randint(0, len(run))]
    ]
    count = sum(stop - start for start, stop in slices)
    for rank in {0, rng.randint(0, count), count}:
        expected = sorted_cut(rows, slices, rank)
        for batch_rows in BATCHES:
            assert find_cut(runs, slices, rank, batch_rows=batch_rows).tolist() == expected


@given(seed=st.integers(0, 2**32))
def test_equal_rows_keep_the_order_of_runs(seed: int) -> None:
    """Windows of one record in several runs may be equal in all keys: then they are as read."""
    rng = random.Random(seed)
    row = random_rows(rng, 1, 0)[0]
    sizes = [rng.randint(1, 20) for _ in range(rng.randint(1, 5))]
    runs = [held([row] * size) for size in sizes]
    slices = [(0, size) for size in sizes]
    rank = rng.randint(0, sum(sizes))
    ends = [*accumulate(sizes)]
    expected = [min(size, max(0, rank - end + size)) for size, end in zip(sizes, ends, strict=True)]
    for batch_rows in BATCHES:
        assert find_cut(runs, slices, rank, batch_rows=batch_rows).tolist() == expected


@given(
    seed=st.integers(0, 2**32),
    rows_per_file=st.integers(1, 30),
    rows_per_unit=st.integers(1, 60),
    drops=st.booleans(),
)
def test_units_are_the_merged_order(
    seed: int, rows_per_file: int, rows_per_unit: int, *, drops: bool
) -> None:
    """However partitions are divided, also where rows of runs are left out."""
    rng = random.Random(seed)
    rows = random_runs(rng, 40)
    runs: list[Run] = [held(run) for run in rows]
    kept = [sorted(run, key=sort_key) for run in rows]
    if drops:
        for number, run in enumerate(kept):
            dropped = sorted(rng.sample(range(len(run)), len(run) // 3))
            runs[number] = WithoutRows(runs[number], np.array(dropped, np.int64))
            kept[number] = [row for place, row in enumerate(run) if place not in set(dropped)]
    expected = sorted((row for run in kept for row in run), key=sort_key)
    units = plan_merge(runs, rows_per_file=rows_per_file, rows_per_unit=rows_per_unit)
    done = 0
    ends = np.array([start for start, _ in units[0].slices])
    for unit in units:
        slices = unit_slices(runs, unit, batch_rows=rng.choice(BATCHES))
        # Each run's rows follow those of the unit before.
        assert slices[:, 0].tolist() == ends.tolist()
        ends = slices[:, 1]
        out = np.empty((unit.rows, DIMS), np.float32)
        cursor = MergeCursor(runs, slices, batch_rows=3, staging=np.empty((5, DIMS), np.float32))
        metadata = cursor.read(out).to_pylist()
        mine = expected[done : done + unit.rows]
        assert [row["record"] for row in metadata] == [row["record"] for row in mine]
        assert out.tobytes() == embeddings_of(mine).tobytes()
        done += unit.rows
    assert done == len(expected)


class _Counted:
    """A run that counts the rows that are read of it."""

    on_disk = True
    is_remote = False

    def __init__(self, run: InMemoryRun) -> None:
        self.partitions = run.partitions
        self.reads: list[int] = []
        self._run = run

    def read_metadata(self, start: int, stop: int) -> Any:
        self.reads.append(stop - start)
        return self._run.read_metadata(start, stop)

    def read_embeddings(self, start: int, out: Any) -> None:
        raise AssertionError(f"a cut needs no embeddings: {len(out)} from {start}")


@pytest.mark.parametrize("kind", ["shuffled", "one after the other"])
def test_few_rows_are_read(kind: str) -> None:
    """Records in random order are found at once, and others in a few rounds."""
    rng = random.Random(0)
    times = rng.sample(range(10**6), 8 * 2_000)
    if kind != "shuffled":
        times.sort()
    rows = [
        {"site": "a", "filename": "x", "window_start": time, "shard": number // 2_000, "record": 0}
        for number, time in enumerate(times)
    ]
    runs = [_Counted(held(rows[start : start + 2_000])) for start in range(0, len(rows), 2_000)]
    slices = [(0, 2_000)] * len(runs)
    for rank in (1, 5_000, 8_000, 15_999):
        before = np.array([len(run.reads) for run in runs])
        cut = find_cut(runs, slices, rank, batch_rows=125)
        assert cut.sum() == rank
        reads = np.array([len(run.reads) for run in runs]) - before
        assert reads.mean() <= (4 if kind == "shuffled" else 11)
        assert max(max(run.reads) for run in runs) <= 500


def test_unit_of_whole_partitions_reads_nothing() -> None:
    """Where no partition is divided, planning is all there is to do."""
    rng = random.Random(1)
    runs = [_Counted(held(random_rows(rng, 50, shard))) for shard in range(3)]
    for unit in plan_merge(runs, rows_per_file=100, rows_per_unit=1):
        assert unit_slices(runs, unit, batch_rows=10).tolist() == unit.slices.tolist()
    assert not any(run.reads for run in runs)


def test_damage_is_an_error(tmp_path: Path) -> None:
    """A run that was cut short is named."""
    rng = random.Random(2)
    files = [
        write_run(held(random_rows(rng, 300, shard)), tmp_path / f"run-{shard}", 4)
        for shard in range(2)
    ]
    (tmp_path / "run-1.metadata.arrow").write_bytes(b"")
    runs = [StoredRun(each) for each in files]
    with pytest.raises(DatasetError, match=r"run-1\.metadata\.arrow has been cut short"):
        find_cut(runs, [(0, 300)] * 2, 300, batch_rows=8)
