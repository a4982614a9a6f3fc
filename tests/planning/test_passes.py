"""What passes take, beside the plans that conversions make of the same numbers."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.planning.partitions import KeyForecast
from a20_parquet.planning.passes import MergeForecast, SortForecast, Volume
from a20_parquet.runs.locations import LOCATION
from a20_parquet.runs.merge_plan import divide_shards, plan_merge, unit_rows
from a20_parquet.windows.order import Partitions
from a20_parquet.windows.partition import PartitionBy

ROW_BYTES = 5_120
MB = 1_000_000


@dataclass(frozen=True)
class Planned:
    """A run of which only the partitions are known."""

    partitions: Partitions


def volume(shards: int, windows_a_shard: int, windows_a_record: int = 12) -> Volume:
    """Shards of as many windows each, as many as they have at the most."""
    windows = shards * windows_a_shard
    return Volume(
        shard_bytes=[windows_a_shard * ROW_BYTES] * shards,
        records=max(1, windows // windows_a_record),
        windows=windows,
        most_windows=[windows_a_shard] * shards,
        embedding_bytes=ROW_BYTES,
        metadata_bytes=200,
    )


def key(files: int, size: int) -> KeyForecast:
    """As many files as partitions."""
    return KeyForecast(
        partition_by=PartitionBy.SITE_DATE,
        partitions=files,
        error=0.0,
        files=files,
        median_file_bytes=size,
        mean_file_bytes=size,
    )


def memory(runs: int, block_rows: int) -> MemoryPlan:
    """A budget with which a request reads 4 MB of a shard, or so many embeddings of a run."""
    return MemoryPlan(
        workers=1,
        batch_bytes=4 * MB,
        gather_rows=10**6,
        slice_rows=10**6,
        staging_rows=block_rows * runs,
        runs=runs,
        holds_all=False,
    )


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 100))
def test_units_are_consecutive_shards_that_fit_together(windows: list[int], most: int) -> None:
    """Each shard is in one unit; none can take the first shard of the next one too."""
    units = list(divide_shards(windows, most))
    assert [place for first, end in units for place in range(first, end)] == list(
        range(len(windows))
    )
    for first, end in units:
        assert first < end
        assert sum(windows[first:end]) <= most or sum(windows[first : end - 1]) == 0
    for (first, end), (_, next_end) in pairwise(units):
        assert next_end > end
        assert sum(windows[first : end + 1]) > most


def test_runs_are_as_many_as_units_or_more() -> None:
    """Shards that fit together share a run; a larger one takes several."""
    row = ROW_BYTES + 200
    for source, gathered, found in (
        (volume(10, 100), 250, (5, 5)),
        (volume(3, 1_000), 250, (3, 12)),
    ):
        sort = source.sort(replace(memory(1, 1), gather_rows=gathered))
        assert (sort.units, sort.runs, sort.merged) == (*found, found[1])
        assert sort.bytes == source.windows * row
    everything = replace(memory(1, 1), holds_all=True)
    assert volume(10, 100).sort(everything) == SortForecast(units=10, runs=0, bytes=0, merged=1)


def test_runs_of_located_windows_and_of_those_that_are_copied() -> None:
    """Metadata of many windows fit into a run; each unit writes its copied ones to runs too."""
    plan = replace(memory(1, 1), locates=True, located_rows=500, gather_rows=60)
    source = volume(10, 100)
    metadata, row = 200 + LOCATION.itemsize, ROW_BYTES + 200
    assert source.sort(plan) == SortForecast(units=2, runs=2, bytes=1_000 * metadata, merged=2)
    some = replace(source, copied=[0.0] * 5 + [1.0] * 5)
    assert some.sort(plan) == SortForecast(
        units=2, runs=1 + 9, bytes=500 * metadata + 500 * row, merged=10
    )
    assert some.located_bytes == sum(source.shard_bytes) // 2
    in_memory = replace(plan, holds_all=True, located_rows=10**6)
    assert source.sort(in_memory) == SortForecast(units=10, runs=0, bytes=0, merged=1)
    mixed = replace(source, copied=[0.5] * 10)
    assert mixed.sort(in_memory) == SortForecast(units=10, runs=10, bytes=500 * row, merged=11)
    none_left = replace(source, copied=[1.0] * 10)
    assert none_left.sort(in_memory).merged == none_left.sort(in_memory).runs == 20


@pytest.mark.parametrize("partitions", [5, 300, 4_000])
@pytest.mark.parametrize("runs", [3, 200])
def test_ranges_and_slices_are_those_of_a_plan(partitions: int, runs: int) -> None:
    """Within a tenth, of records that lie in runs at random."""
    records, rows = 60_000, 2_000
    draw = np.random.default_rng(0)
    found = [
        Planned(
            Partitions(
                pa.array(["a"] * len(cells)), pa.array(cells.astype(np.int32)), counts[cells] * 12
            )
        )
        for counts in (
            np.bincount(draw.integers(0, partitions, records // runs)) for _ in range(runs)
        )
        for cells in [np.flatnonzero(counts)]
    ]
    rows_per_unit = unit_rows(rows, runs)
    plan = plan_merge(found, rows_per_file=10**6, rows_per_unit=rows_per_unit)
    slices = np.diff(plan.bounds, axis=0)
    forecast = volume(records // 10, 120).merge(runs, partitions, rows)
    assert forecast.ranges == pytest.approx(len(plan), rel=0.1, abs=1)
    assert forecast.slices == pytest.approx(np.count_nonzero(slices), rel=0.1)
    assert forecast.slice_rows == pytest.approx(slices[slices > 0].mean(), rel=0.1)


def test_a_slice_is_read_in_pieces() -> None:
    """As many as its rows need."""
    merge = MergeForecast(ranges=10, slices=100, slice_rows=205.0)
    assert [merge.reads(rows) for rows in (500, 205, 204, 100)] == [100, 100, 200, 300]


def test_requests_of_a_conversion_in_memory() -> None:
    """Each shard's start and its blocks, and what is written: no run."""
    source = volume(1_500, 2_000)
    merge = source.merge(1, 400)
    sort = SortForecast(units=1_500, runs=0, bytes=0, merged=1)
    found = source.requests(sort, merge, key(400, 30 * MB), memory(runs=1, block_rows=1))
    assert found.lists == 2
    assert found.reads == 1_500 * (1 + ceil(2_000 * ROW_BYTES / (4 * MB)))
    # A file of 30 MB is begun, put in four parts, and completed.
    assert found.writes == 1_500 + merge.ranges + 400 * 6 + 6


def test_requests_of_runs() -> None:
    """Every run's index, and of each slice the metadata twice and the embeddings in blocks."""
    source = volume(100, 2_000)
    sort = source.sort(replace(memory(1, 1), gather_rows=4_000))
    merge = source.merge(sort.runs, 400)
    blocks = memory(sort.runs, 100)
    none = SortForecast(units=sort.units, runs=0, bytes=0, merged=1)
    small, large = key(400, MB), key(400, 120 * MB)
    with_runs = source.requests(sort, merge, small, blocks)
    without = source.requests(none, merge, small, blocks)
    compared = source.merge(sort.runs, 400, 1 << 18)
    assert with_runs.reads - without.reads == (
        sort.runs + compared.slices + merge.slices + merge.reads(100)
    )
    # The embeddings of a run are 21 MB, in three parts; files of 120 MB are fifteen.
    assert with_runs.writes - without.writes == (2 + 2 + 3) * sort.runs
    assert source.requests(sort, merge, large, blocks).writes - with_runs.writes == 400 * (
        2 + 15 - 1
    )
    # Shards whose embeddings stay there are on this machine.
    located = source.requests(sort, merge, small, replace(blocks, locates=True))
    assert (located.lists, located.writes) == (0, with_runs.writes)
    assert located.reads == with_runs.reads - without.reads
