"""Plans of the merge: their invariants, and the hint on the Hive keys."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.runs.merge_plan import (
    MergePlan,
    MergeUnit,
    OutputFile,
    group_files,
    plan_merge,
    split_rows,
    unit_rows,
)
from a20_parquet.windows.order import Partitions
from a20_parquet.windows.partition import PartitionBy, sparse_partitions_hint

Key = tuple[str, int | None]
Run = dict[Key, int]

KEYS = st.tuples(
    st.sampled_from(["a", "a-b", "a\0", "b", "site_0285"]),
    st.sampled_from([None, -1, 0, 1, 18_549]),
)
RUNS = st.lists(st.dictionaries(KEYS, st.integers(1, 30), max_size=10), max_size=6)
SIZES = st.integers(1, 40)


def order(key: Key) -> tuple[bytes, bool, int]:
    """The order of partitions: null first, text by its bytes."""
    return key[0].encode(), key[1] is not None, key[1] or 0


def partitions(run: Run) -> Partitions:
    """A run's partitions in order."""
    keys = sorted(run, key=order)
    return Partitions(
        pa.array([site for site, _ in keys], pa.string()),
        pa.array([period for _, period in keys], pa.int32()),
        np.array([run[key] for key in keys], np.int64),
    )


@dataclass(frozen=True)
class Planned:
    """A run of which only the partitions are known, built each time they are read."""

    run: Run

    @property
    def partitions(self) -> Partitions:
        """In order."""
        return partitions(self.run)


def plan(
    runs: list[Run],
    rows_per_file: int = 10,
    rows_per_unit: int = 20,
    buffered_partitions: int = 1 << 21,
) -> MergePlan:
    """A plan for runs given as dictionaries."""
    planned = [Planned(run) for run in runs]
    return plan_merge(
        planned,
        rows_per_file=rows_per_file,
        rows_per_unit=rows_per_unit,
        buffered_partitions=buffered_partitions,
    )


def files(units: Sequence[MergeUnit]) -> list[tuple[str, int | None, int, int]]:
    """All files in order."""
    return [(file.site, file.period, file.part, file.rows) for unit in units for file in unit.files]


def totals(runs: list[Run]) -> Counter[Key]:
    """Rows of each partition over all runs."""
    total: Counter[Key] = Counter()
    for run in runs:
        total.update(run)
    return total


@settings(max_examples=50)
@given(RUNS, SIZES, SIZES)
def test_each_row_is_in_one_unit(runs: list[Run], rows_per_file: int, rows_per_unit: int) -> None:
    """Units follow one another in the merged order, from its first to its last row."""
    units = plan(runs, rows_per_file, rows_per_unit)
    assert [unit.number for unit in units] == list(range(len(units)))
    done = 0
    for unit in units:
        assert unit.slices[:, 0].sum() + unit.skipped == done
        done += unit.rows
        assert unit.rows > 0
        assert done <= unit.slices[:, 1].sum()
    assert done == totals(runs).total()


@settings(max_examples=50)
@given(RUNS, SIZES, SIZES)
def test_slices_hold_the_partitions_of_the_files(
    runs: list[Run], rows_per_file: int, rows_per_unit: int
) -> None:
    """All of their rows in each run, and no others."""
    for unit in plan(runs, rows_per_file, rows_per_unit):
        mine = {(file.site, file.period) for file in unit.files}
        for run, (start, stop) in zip(runs, unit.slices, strict=True):
            rows = [key for key in sorted(run, key=order) for _ in range(run[key])]
            assert Counter(rows[start:stop]) == Counter({k: run[k] for k in mine & run.keys()})


@settings(max_examples=50)
@given(RUNS, SIZES, SIZES)
def test_only_large_partitions_are_divided(
    runs: list[Run], rows_per_file: int, rows_per_unit: int
) -> None:
    """Those with more rows than a unit and a file, into units no larger than these."""
    units = plan(runs, rows_per_file, rows_per_unit)
    total = totals(runs)
    seen = Counter(key for unit in units for key in {(f.site, f.period) for f in unit.files})
    for key, rows in total.items():
        is_large = rows > max(rows_per_file, rows_per_unit)
        assert (seen[key] > 1) == is_large
    for unit in units:
        if unit.skipped:
            assert len({(file.site, file.period) for file in unit.files}) == 1
            assert unit.rows <= max(rows_per_file, rows_per_unit)


@settings(max_examples=50)
@given(RUNS, SIZES, SIZES)
def test_files_follow_from_rows_alone(
    runs: list[Run], rows_per_file: int, rows_per_unit: int
) -> None:
    """However rows lie in runs and units, the files are the same, full ones first."""
    total = totals(runs)
    expected = []
    for key in sorted(total, key=order):
        full, rest = divmod(total[key], rows_per_file)
        sizes = [rows_per_file] * full + [rest] * (rest > 0)
        expected += [(*key, part, rows) for part, rows in enumerate(sizes)]
    assert files(plan(runs, rows_per_file, rows_per_unit)) == expected
    assert files(plan([dict(total)], rows_per_file, 1)) == expected


@settings(max_examples=50)
@given(RUNS, SIZES)
def test_size_of_units(runs: list[Run], rows_per_unit: int) -> None:
    """A unit without its last partition is no larger than asked for, so the work is shared out."""
    for unit in plan(runs, 10, rows_per_unit):
        last = unit.files[-1]
        before = [f.rows for f in unit.files if (f.site, f.period) != (last.site, last.period)]
        assert sum(before) < rows_per_unit
        assert unit.rows - sum(before) <= max(10, rows_per_unit)


@pytest.mark.parametrize("runs", [[], [{}], [{}, {}]])
def test_nothing_to_merge(runs: list[Run]) -> None:
    """No runs, or runs without rows, need no unit."""
    assert len(plan(runs)) == 0


def test_a_run_without_rows_beside_others() -> None:
    """An empty run has an empty slice in each unit."""
    units = plan([{}, {("a", None): 3, ("a", 1): 30, ("b", None): 1}, {}])
    assert [(unit.skipped, unit.slices.tolist()) for unit in units] == [
        (0, [[0, 0], [0, 33], [0, 0]]),
        (20, [[0, 0], [3, 33], [0, 0]]),
        (0, [[0, 0], [33, 34], [0, 0]]),
    ]
    assert files(units) == [
        ("a", None, 0, 3),
        ("a", 1, 0, 10),
        ("a", 1, 1, 10),
        ("a", 1, 2, 10),
        ("b", None, 0, 1),
    ]


@settings(max_examples=50)
@given(RUNS, SIZES, SIZES, st.integers(1, 12))
def test_runs_may_be_many(
    runs: list[Run], rows_per_file: int, rows_per_unit: int, buffered: int
) -> None:
    """However few partitions are added up at a time, the plan is the same."""
    expected = plan(runs, rows_per_file, rows_per_unit)
    found = plan(runs, rows_per_file, rows_per_unit, buffered_partitions=buffered)
    assert files(found) == files(expected)
    np.testing.assert_array_equal(found.bounds, expected.bounds)
    assert found.rows.tolist() == [unit.rows for unit in expected]


@settings(max_examples=50)
@given(RUNS, SIZES)
def test_units_are_a_sequence(runs: list[Run], rows_per_unit: int) -> None:
    """Units can be asked for in any order, from the end and several at a time."""
    units = plan(runs, 10, rows_per_unit)
    every = list(units)
    assert [unit.files for unit in units[::-2]] == [unit.files for unit in every[::-2]]
    if every:
        assert units[-1].number == every[-1].number
    with pytest.raises(IndexError):
        units[len(every)]


@given(st.integers(0, 10**6), st.integers(0, 10**5))
def test_slices_do_not_shrink_with_runs(rows: int, runs: int) -> None:
    """Few runs change nothing; of many, each still has a 64th of a unit of few."""
    found = unit_rows(rows, runs)
    assert found == max(1, rows) if runs <= 64 else found >= rows
    assert found >= runs * (rows // 64)


@settings(max_examples=50)
@given(st.integers(0, 10_000), st.integers(1, 500))
def test_split_rows(rows: int, most: int) -> None:
    """Pieces are full but for the last one, and together all rows."""
    pieces = list(split_rows(rows, most))
    assert sum(pieces) == rows
    assert all(piece == most for piece in pieces[:-1])
    assert all(0 < piece <= most for piece in pieces)


MB = 1_000_000


def days(first: str, count: int, size: int, site: str = "a") -> list[tuple[str, int | None, int]]:
    """One file a day of some bytes."""
    start = np.datetime64(first, "D").astype(np.int64)
    return [(site, int(start) + day, size) for day in range(count)]


@pytest.mark.parametrize(
    ("files", "by", "named"),
    [
        ([], "site,date", None),
        (days("2020-01-01", 31, MB), "site,date", None),
        (days("2020-01-01", 31, MB - 1), "site,date", "site,month"),
        (days("2020-01-01", 31, MB // 31 + 1), "site,date", "site,month"),
        (days("2020-01-01", 31, MB // 32), "site,date", None),
        (days("2020-01-01", 366, MB // 300), "site,date", "site,year"),
        (days("2019-07-01", 366, MB // 300), "site,date", "site"),
        ([("a", None, 10), ("a", 600, MB)], "site,month", "site"),
        ([("a", period, 100_000) for period in range(-12, 0)], "site,month", "site,year"),
        ([("a", period, MB // 2) for period in (-1, 0)], "site,month", "site"),
        ([("a", 2019, MB // 2), ("a", 2020, MB // 2)], "site,year", "site"),
        ([("a", 2020, MB // 2), ("b", 2020, MB // 2)], "site,year", None),
        ([("a", 0, 10)], "site", None),
        # The median counts: many large ones hide few small ones.
        (days("2020-01-01", 3, 2 * MB) + days("2021-01-01", 2, 1), "site,date", None),
    ],
)
def test_hint(files: list[tuple[str, int | None, int]], by: str, named: str | None) -> None:
    """The hint names the first coarser key whose median partition reaches 1 MB."""
    hint = sparse_partitions_hint(iter(files), PartitionBy(by))
    if named is None:
        assert hint is None
    else:
        assert hint is not None
        assert f"--partition-by {named} would" in hint


def test_hint_tells_what_it_would_make() -> None:
    """The hint tells how many files there are and what would be there instead."""
    hint = sparse_partitions_hint(days("2020-01-01", 60, 100_000), PartitionBy.SITE_DATE)
    assert hint == (
        "half of the 60 files are smaller than 0.10 MB, which readers are slow on; "
        "--partition-by site,month would make 2 partitions of 3.0 MB"
    )


def test_hint_joins_the_parts_of_a_partition() -> None:
    """Parts of one partition count together in the coarser one."""
    parts: list[Any] = [("a", 0, MB // 2), ("a", 0, MB // 2), ("a", 1, MB // 2)]
    hint = sparse_partitions_hint(parts, PartitionBy.SITE_DATE)
    assert hint is not None
    assert "site,month would make 1 partitions of 1.5 MB" in hint


@given(
    rows=st.lists(st.integers(1, 40), max_size=30),
    most_rows=st.integers(1, 50),
    small_rows=st.integers(1, 50),
)
def test_files_are_grouped_in_order(rows: list[int], most_rows: int, small_rows: int) -> None:
    """Each file is in one group; groups of several hold small files that fit together."""
    small_rows = min(small_rows, most_rows)
    files = [OutputFile(site="a", period=0, part=i, rows=n) for i, n in enumerate(rows)]
    groups = list(group_files(files, most_rows, small_rows))
    assert [file for group in groups for file in group] == files
    for group in groups:
        if len(group) > 1:
            assert max(file.rows for file in group) <= small_rows
            assert sum(file.rows for file in group) <= most_rows
