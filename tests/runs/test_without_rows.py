"""Runs of which rows are left out."""

import random
from itertools import groupby

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.runs.merge_plan import plan_merge
from a20_parquet.runs.without_rows import WithoutRows
from tests.helpers.metadata import make_keyed
from tests.helpers.runs import DIMS, embeddings_of, held, random_rows, read_run, sort_key


@given(
    seed=st.integers(0, 50),
    kept=st.lists(st.booleans(), min_size=1, max_size=40),
    bounds=st.tuples(st.integers(0, 40), st.integers(0, 40)),
    piece_rows=st.integers(1, 9),
)
def test_a_run_without_rows_is_the_list_without_them(
    seed: int, kept: list[bool], bounds: tuple[int, int], piece_rows: int
) -> None:
    """Any slice of what remains has the rows that a list without them has there."""
    rng = random.Random(seed)  # noqa: S311 - the same each time
    rows = sorted(random_rows(rng, len(kept), 0), key=sort_key)
    expected = [row for row, keep in zip(rows, kept, strict=True) if keep]
    groups = [(k, len(list(g))) for k, g in groupby(expected, lambda r: (r["site"], r["period"]))]
    whole, dropped = held(rows, rng), np.flatnonzero(np.logical_not(kept))
    for run in (WithoutRows(whole, dropped, piece_rows * DIMS * 4), WithoutRows(whole, dropped)):
        found = run.partitions
        assert found.site.to_pylist() == [site for (site, _), _ in groups]
        assert found.period.to_pylist() == [period for (_, period), _ in groups]
        assert found.rows.tolist() == [count for _, count in groups]
        start, stop = sorted(min(bound, len(expected)) for bound in bounds)
        if start < stop:
            told, values = read_run(run, start, stop)
            assert told == make_keyed(expected[start:stop]).to_pylist()
            assert values.tobytes() == embeddings_of(expected[start:stop]).tobytes()


def test_a_run_of_which_nothing_remains_can_be_merged() -> None:
    """A run without all of its rows has no partition, and the merge plans nothing for it."""
    rows = random_rows(random.Random(0), 6, 0)  # noqa: S311 - the same each time
    run = WithoutRows(held(rows), np.arange(6))
    assert len(run.partitions) == 0
    assert run.on_disk is False
    assert not plan_merge([run], rows_per_file=5, rows_per_unit=5)
    units = plan_merge([run, held(rows)], rows_per_file=5, rows_per_unit=50)
    assert [unit.slices.tolist() for unit in units] == [[[0, 0], [0, 6]]]
