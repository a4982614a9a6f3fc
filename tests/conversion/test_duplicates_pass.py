"""Windows that come twice, in runs and in the dataset that they are appended to."""

# ruff: noqa: S311 - random rows, the same each time

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.conversion.duplicates_pass import Comparison, find_duplicates
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError
from a20_parquet.execution.threads import ThreadExecutor
from a20_parquet.progress import NoProgress
from a20_parquet.runs.run import InMemoryRun, Run
from a20_parquet.runs.stored_run import StoredRun, write_run
from a20_parquet.runs.without_rows import WithoutRows
from a20_parquet.windows.duplicates import Duplicates
from a20_parquet.windows.order import keyed_schema
from a20_parquet.windows.schema import Feature
from tests.helpers.metadata import make_keyed, window_table
from tests.helpers.repeated import (
    Found,
    names_of,
    repeated_rows,
    run_of,
    search,
    write_held,
)
from tests.helpers.runs import DIMS, Row, sort_key


class CountedProgress(NoProgress):
    """Adds up what it is told."""

    def __init__(self) -> None:
        self.total = 0
        self.done = 0

    def start(self, name: str, total_bytes: int) -> None:
        """Take the total."""
        assert name == "finding duplicates"
        self.total = total_bytes

    def advance(self, count_bytes: int) -> None:
        """Add to what is done."""
        self.done += count_bytes


def find(
    runs: Sequence[Run], held: Catalog | None = None, workers: int = 1, **options: Any
) -> Duplicates:
    """Find duplicates, two rows at a time; all progress is told."""
    progress = CountedProgress()
    comparison = Comparison(runs=runs, existing=held, dims=DIMS, batch_rows=2, **options)
    found = find_duplicates(comparison, workers=workers, executor=ThreadExecutor(workers, progress))
    rows = sum(int(run.partitions.rows.sum()) for run in runs)
    assert progress.done == progress.total == rows * DIMS * 4
    return found


def check(found: Duplicates, expected: Found, rows: Sequence[Sequence[Row]]) -> None:
    """Compare counts, names and rows with those of the plain search."""
    assert found.identical.count == len(expected.identical)
    assert found.different.count == len(expected.different)
    assert found.identical.names == names_of(expected.identical)
    assert found.different.names == names_of(expected.different)
    records = [
        [sorted(mine, key=sort_key)[row]["record"] for row in dropped]
        for mine, dropped in zip(rows, found.dropped, strict=True)
    ]
    assert records == [
        [row["record"] for row in expected.identical if row["shard"] == shard]
        for shard in range(len(rows))
    ]


@pytest.mark.slow
@settings(max_examples=20)
@given(rng=st.randoms(use_true_random=False))
def test_duplicates_in_runs(tmp_path_factory: pytest.TempPathFactory, rng: random.Random) -> None:
    """Runs in memory and on disk give what a plain search gives, whatever the units are."""
    sizes = [rng.randint(1, 30) for _ in range(rng.choice([1, 2, 5]))]
    names = rng.choice([2, 12, 300])
    rows = [repeated_rows(rng, size, shard, names) for shard, size in enumerate(sizes)]
    runs: list[Run] = [run_of(mine) for mine in rows]
    if rng.random() < 0.5:
        folder = tmp_path_factory.mktemp("runs")
        runs = [
            StoredRun(write_run(run_of(mine), folder / str(i), 2)) for i, mine in enumerate(rows)
        ]
    expected = search([], [row for mine in rows for row in mine])
    small: dict[str, Any] = {"block_bytes": DIMS * 4 * 3, "memory_rows": rng.randint(1, 5)}
    for options in ({}, *({"unit_rows": unit_rows} | small for unit_rows in (1, 10, 1000))):
        check(find(runs, workers=rng.randint(1, 3), **options), expected, rows)


@pytest.mark.slow
@pytest.mark.parametrize("by", ["site,date", "site,month", "site,year", "site"])
@settings(max_examples=5)
@given(rng=st.randoms(use_true_random=False))
def test_duplicates_of_what_the_dataset_holds(
    by: str, tmp_path_factory: pytest.TempPathFactory, rng: random.Random
) -> None:
    """Windows of the dataset come before all new ones, and are not counted themselves."""
    period = {"site,date": 18_000, "site,month": 600, "site,year": 2019, "site": 0}[by]

    def rows_of(count: int, shard: int) -> list[Row]:
        rows = repeated_rows(rng, count, shard, 40)
        for row in rows:
            if by == "site":
                row["period"] = 0
            elif row["period"] is not None:
                row["period"] += period - 18_000
        return rows

    conversions = [rows_of(rng.randint(1, 40), shard) for shard in range(rng.randint(1, 3))]
    new = [rows_of(rng.randint(1, 30), shard) for shard in range(2)]
    # One window that is there comes again, and again with another embedding, whatever was drawn.
    known = conversions[0][0] | {"filename": "known", "record": 999, "value": 0}
    conversions[0].append(known)
    new[0] += [known, known | {"record": 1000, "value": 1}]
    held = write_held(tmp_path_factory.mktemp("parent") / "dataset", conversions, by)
    expected = search(
        [row for mine in conversions for row in mine], [row for mine in new for row in mine]
    )
    assert expected.identical
    assert expected.different
    check(find([run_of(mine) for mine in new], held, workers=2), expected, new)


def test_only_touched_partitions_are_opened(tmp_path: Path) -> None:
    """A file of a partition that gets no new window may even be missing; another one may not."""
    old = repeated_rows(random.Random(1), 60, 0, 40)
    held = write_held(tmp_path / "dataset", [old])
    new = [row for row in repeated_rows(random.Random(2), 60, 0, 40) if row["site"] == "a"]
    expected = search(old, new)
    for path in (tmp_path / "dataset" / "data" / "site=b").rglob("*.parquet"):
        path.unlink()
    check(find([run_of(new)], held), expected, [new])
    for path in (tmp_path / "dataset" / "data" / "site=a").rglob("*.parquet"):
        path.unlink()
    with pytest.raises(DatasetError, match="is missing, though files"):
        find([run_of(new)], held)


def test_nothing_repeated_reads_no_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without duplicates no embedding is read, and nothing is dropped."""
    rows = [{"filename": f"{n:03d}", "record": n, "value": 0} for n in range(100)]
    rows = [{"site": "a", "period": 0, "shard": 0} | row for row in rows]
    run = run_of(rows)

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(InMemoryRun, "read_embeddings", refuse)
    found = find([run])
    assert (found.identical.count, found.different.count) == (0, 0)
    assert [rows.tolist() for rows in found.dropped] == [[]]


def test_no_runs_have_no_duplicates() -> None:
    """Nothing is found in nothing."""
    assert find([]).dropped == ()


def test_r1_r1_r3_r3() -> None:
    """Of r1, r2 = r1, r3 != r1 and r4 = r3 the second and the fourth are dropped."""
    rows = [
        {"site": "a", "period": 0, "shard": 0, "record": record, "value": value}
        for record, value in enumerate([4, 4, 2, 2])
    ]
    found = find([run_of(rows)])
    assert (found.identical.count, found.different.count) == (2, 1)
    assert found.identical.names == found.different.names == (("f", 0.0, 0),)
    assert [dropped.tolist() for dropped in found.dropped] == [[1, 3]]


def test_features_are_compared_too() -> None:
    """Windows whose features differ, or are there in one only, differ."""
    features = (Feature("label", 2),)
    rows = [{"site": "a", "period": 0, "record": record} for record in range(5)]
    labels = [[1.0, 2.0], None, [1.0, 2.0], [1.0, 3.0], None]
    schema = keyed_schema(features)
    columns = dict(zip(keyed_schema().names, make_keyed(rows).columns, strict=True))
    columns["label"] = pa.array(labels, schema.field("label").type)
    keyed = pa.table([columns[name] for name in schema.names], schema=schema)
    run = InMemoryRun(np.zeros((5, DIMS), np.float32), np.arange(5), window_table(keyed))
    comparison = Comparison(runs=[run], dims=DIMS, features=features, batch_rows=2)
    found = find_duplicates(comparison, workers=1, executor=ThreadExecutor(1, NoProgress()))
    assert (found.identical.count, found.different.count) == (2, 2)
    assert [dropped.tolist() for dropped in found.dropped] == [[2, 4]]


@settings(max_examples=20)
@given(rng=st.randoms(use_true_random=False))
def test_dropping_leaves_nothing_to_drop(rng: random.Random) -> None:
    """Runs without what was found have no identical windows, and as many different ones."""
    rows = [repeated_rows(rng, 30, shard, 15) for shard in range(3)]
    runs = [run_of(mine) for mine in rows]
    found = find(runs)
    assert found.identical.count
    left = [WithoutRows(run, dropped) for run, dropped in zip(runs, found.dropped, strict=True)]
    after = find(left)
    assert after.identical.count == 0
    assert after.different == found.different
