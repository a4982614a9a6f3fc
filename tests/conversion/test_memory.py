"""The memory budget's arithmetic, and how options are read."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.conversion.memory import MemoryPlan, plan_memory
from a20_parquet.errors import UsageError
from a20_parquet.resources import METADATA_ROW_BYTES
from a20_parquet.runs.locations import LOCATION

MIB = 1 << 20
BATCH_COPIES = 6
"""A batch of records as bytes, as tensors and as decoded values, each with a copy in the making."""
BLOCK_COPIES = 2
"""A block that is on its way, in pieces and put together."""
COPY_BYTES = 4 * MIB
"""Through which a run or a file is written."""

FEATURE_COPIES = 3
"""A feature's values as they were read, joined, and in order."""

WORKERS = st.integers(1, 64)
DIMS = st.sampled_from([1, 128, 512, 1280]) | st.integers(1, 10_000)
ROW_GROUP_ROWS = st.sampled_from([1, 100, 2048, 100_000])
WINDOWS = st.integers(0, 10**7) | st.integers(0, 2 * 10**9)
FEATURE_BYTES = st.just(0) | st.sampled_from([4, 12, 40_000]) | st.integers(0, 10**6)
READ_AHEAD = st.just(0) | st.integers(0, 32)
BUDGETS = st.integers(1, 64 * MIB) | st.integers(1, 1 << 44)


def try_plan(**numbers: Any) -> MemoryPlan | None:
    """The plan, or none where the budget is refused."""
    try:
        return plan_memory(**numbers)
    except UsageError as error:
        assert "memory" in str(error)  # noqa: PT017
        return None


@settings(max_examples=300)
@given(BUDGETS, WORKERS, DIMS, ROW_GROUP_ROWS, WINDOWS, FEATURE_BYTES, READ_AHEAD, st.booleans())
def test_the_budget_is_kept(  # noqa: PLR0913, PLR0917 - what buffers depend on
    budget: int,
    workers: int,
    dims: int,
    row_group_rows: int,
    windows: int,
    feature_bytes: int,
    read_ahead: int,
    locates: bool,  # noqa: FBT001 - drawn
) -> None:
    """What all workers may hold at once, in either pass, is within the budget."""
    plan = try_plan(
        budget=budget,
        workers=workers,
        dims=dims,
        row_group_rows=row_group_rows,
        windows=windows,
        feature_bytes=feature_bytes,
        read_ahead=read_ahead,
        locates=locates,
    )
    if plan is None:
        return
    sorted_bytes = METADATA_ROW_BYTES + FEATURE_COPIES * feature_bytes
    row_bytes = dims * 4 + sorted_bytes
    blocks = BLOCK_COPIES * read_ahead + 1 if read_ahead else 0
    decoding = (BATCH_COPIES + blocks) * plan.batch_bytes
    row_group = row_group_rows * row_bytes + COPY_BYTES
    assert 1 <= plan.workers <= workers
    assert min(plan.batch_bytes, plan.gather_rows, plan.slice_rows, plan.staging_rows) >= 1
    copied = plan.gather_rows * row_bytes + COPY_BYTES
    located_bytes = sorted_bytes + 3 * LOCATION.itemsize
    assert locates or not plan.locates
    if plan.locates and plan.holds_all:
        each = plan.workers * (decoding + row_group + copied)
        assert windows * located_bytes + each <= budget
    elif plan.holds_all:
        assert windows * row_bytes + plan.workers * (decoding + row_group) <= budget
    else:
        sorting = decoding + copied
        if plan.locates:
            sorting += plan.located_rows * located_bytes + COPY_BYTES
        runs = -(-windows // plan.unit_rows)
        # A run may have two slices of metadata waiting.
        slices = 2 * runs * plan.slice_rows * sorted_bytes
        staging = plan.staging_rows * (dims * 4 + METADATA_ROW_BYTES)
        merging = row_group + staging + slices
        assert plan.workers * sorting <= budget
        assert plan.workers * merging <= budget


@settings(max_examples=200)
@given(
    BUDGETS,
    st.integers(0, 1 << 34),
    st.integers(1, 8),
    st.fixed_dictionaries(
        {
            "dims": DIMS,
            "row_group_rows": ROW_GROUP_ROWS,
            "windows": st.integers(0, 10**8),
            "feature_bytes": FEATURE_BYTES,
            "read_ahead": READ_AHEAD,
        }
    ),
)
def test_more_budget_gives_no_smaller_buffers(
    budget: int, more: int, workers: int, numbers: dict[str, Any]
) -> None:
    """With as many workers a larger budget makes nothing smaller, but for a rounded row."""
    small = try_plan(budget=budget, workers=workers, **numbers)
    if small is None:
        return
    # Batches take whole bytes of a part of a share: budgets in such steps have no rounded row.
    ahead = numbers["read_ahead"]
    step = 4 * (BATCH_COPIES + (BLOCK_COPIES * ahead + 1 if ahead else 0)) * small.workers
    before = try_plan(budget=-(-budget // step) * step, workers=small.workers, **numbers)
    after = try_plan(
        budget=(-(-budget // step) + more // step) * step, workers=small.workers, **numbers
    )
    assert before is not None
    assert after is not None
    assert after.workers == before.workers
    for name in ("batch_bytes", "gather_rows", "slice_rows", "staging_rows", "holds_all"):
        assert getattr(after, name) >= getattr(before, name), name


def test_too_little() -> None:
    """A budget that does not even suffice for one worker is refused, with what would suffice."""
    numbers: dict[str, Any] = {"workers": 4, "dims": 1280, "row_group_rows": 2048, "windows": 100}
    with pytest.raises(UsageError, match=r"memory 1000 is too little .*row_group_rows") as told:
        plan_memory(budget=1000, **numbers)
    words = str(told.value).split()
    least = int(words[words.index("least") + 1])
    assert plan_memory(budget=least, **numbers).workers == 1
    with pytest.raises(UsageError):
        plan_memory(budget=least - 1, **numbers)


def test_fewer_workers_than_asked_for() -> None:
    """Workers for whom the budget would not go round are left out."""
    numbers: dict[str, Any] = {"dims": 1280, "row_group_rows": 2048, "windows": 1000}
    counts = [
        plan_memory(budget=size * MIB, workers=8, **numbers).workers for size in (40, 64, 1000)
    ]
    assert counts == sorted(counts)
    assert counts[0] < 8
    assert counts[-1] == 8


def test_asking_for_more_workers_is_no_reason_to_refuse() -> None:
    """Where one worker can merge all runs within the budget, asking for several works too."""
    for size, windows in itertools.product((32, 64, 128, 256), (10**6, 10**7, 10**8)):
        numbers = {
            "budget": size * MIB,
            "dims": 1280,
            "row_group_rows": 2048,
            "windows": windows,
        }
        if try_plan(workers=1, **numbers) is not None:
            assert try_plan(workers=8, **numbers) is not None, (size, windows)


@pytest.mark.parametrize("windows", [0, 1, 1000])
def test_small_input_is_held(windows: int) -> None:
    """Input that fits the budget makes no run on disk."""
    plan = plan_memory(
        budget=500_000_000, workers=2, dims=1280, row_group_rows=2048, windows=windows
    )
    assert plan.holds_all


def test_a_small_budget_sorts_much() -> None:
    """A budget of 4 GB sorts the 7 TB archive, as the design says."""
    plan = plan_memory(
        budget=4 * 10**9, workers=1, dims=1280, row_group_rows=2048, windows=1_400_000_000
    )
    assert not plan.holds_all


def test_features_take_memory() -> None:
    """Logits of 10,000 classes leave room for fewer windows, and without them nothing changes."""
    numbers: dict[str, Any] = {
        "budget": 2 * 10**9,
        "workers": 1,
        "dims": 1280,
        "row_group_rows": 2048,
        "windows": 10**6,
    }
    without = plan_memory(**numbers)
    assert plan_memory(**numbers, feature_bytes=0) == without
    logits = plan_memory(**numbers, feature_bytes=40_000)
    assert logits.gather_rows < without.gather_rows // 20
    assert logits.slice_rows < without.slice_rows
    with pytest.raises(UsageError, match=r"memory 100000000 .* of 11280 floats"):
        plan_memory(**numbers | {"budget": 10**8}, feature_bytes=40_000)


def test_reading_ahead_takes_memory() -> None:
    """Blocks that a store sends ahead are part of the share; local shards have none."""
    numbers: dict[str, Any] = {
        "budget": 2 * 10**9,
        "workers": 2,
        "dims": 1280,
        "row_group_rows": 2048,
        "windows": 10**7,
    }
    local = plan_memory(**numbers)
    assert plan_memory(**numbers, read_ahead=0) == local
    ahead = plan_memory(**numbers, read_ahead=4)
    assert ahead.batch_bytes == local.batch_bytes == 8 * MIB
    row_bytes = 1280 * 4 + METADATA_ROW_BYTES
    blocks = 4 * BLOCK_COPIES + 1
    assert local.gather_rows - ahead.gather_rows == pytest.approx(
        blocks * ahead.batch_bytes / row_bytes, abs=1
    )
    small = numbers | {"budget": 200 * MIB}
    assert plan_memory(**small, read_ahead=4).batch_bytes < plan_memory(**small).batch_bytes


def test_more_memory_than_there_is() -> None:
    """Buffers are no larger than the input needs, however large the budget is."""
    numbers: dict[str, Any] = {"workers": 2, "dims": 8, "row_group_rows": 2048}
    assert plan_memory(budget=1 << 90, windows=1000, **numbers).staging_rows == 1000


def test_texts_of_a_run_fit_into_arrows_offsets() -> None:
    """No batch may have more texts than 2 GiB of them, however large the budget."""
    numbers: dict[str, Any] = {"workers": 1, "dims": 4, "windows": 10**9, "feature_bytes": 1 << 16}
    plan = plan_memory(budget=1 << 44, row_group_rows=2048, text_bytes=1 << 16, **numbers)
    assert plan.gather_rows << 16 < 1 << 31
    assert not plan.holds_all
    with pytest.raises(UsageError, match=r"row_group_rows 32768 is too many .*: give 32767 at"):
        plan_memory(budget=1 << 44, row_group_rows=1 << 15, text_bytes=1 << 16, **numbers)
