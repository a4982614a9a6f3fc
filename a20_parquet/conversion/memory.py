"""The memory budget: how large each buffer may be, by arithmetic alone."""

from bisect import bisect_left
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from a20_parquet.errors import UsageError
from a20_parquet.resources import METADATA_ROW_BYTES

_MIB = 1 << 20
# Before, while and after rows are put in order: decoded or read, joined, and sorted.
_FEATURE_COPIES = 3
_BATCH_COPIES = 6
# A block on its way comes in pieces, which are then put together.
_BLOCK_COPIES = 2
_MIN_BATCH_BYTES = 256 << 10
_MAX_BATCH_BYTES = 8 * _MIB
_COPY_BYTES = 4 * _MIB
_MOST_BUDGET = 1 << 50
_MIN_ROWS = 64
# Arrow's strings of one batch may take 2 GiB in all: room for names of 250 bytes. Lists of one
# length have no such limit, as they need no offsets.
_MOST_TEXT_BYTES = (1 << 31) - 1
_MAX_RUN_ROWS = 8_000_000
_MIN_SLICE_ROWS, _MAX_SLICE_ROWS = 8, 1024


LEAST_BUDGET = _BATCH_COPIES * _MIN_BATCH_BYTES + _COPY_BYTES + _MIN_ROWS * (4 + METADATA_ROW_BYTES)
"""Bytes that no conversion can do without, however small its embeddings are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """How a budget is divided. All sizes are for each worker."""

    workers: int
    """How many workers share the budget; fewer than asked for where it would not go round."""
    batch_bytes: int
    """Records are read, from stores in blocks of this size, and decoded in batches of about it."""
    gather_rows: int
    """Windows that are gathered for one run."""
    slice_rows: int
    """Rows of metadata that the merge reads of one run at a time."""
    staging_rows: int
    """Windows of several runs that the merge puts in order at a time."""
    runs: int
    """How many runs there are at the most."""
    holds_all: bool
    """Whether all windows of the input can stay in memory, so that no run is written."""
    spare_rows: int = 0
    """For how many windows more, of all shards, there is room then: how many a shard holds is not
    known before it is read."""

    def slice_rows_of(self, runs: int) -> int:
        """Rows of metadata to read of each run at a time, where there are so many of them.

        There may be more than planned where a conversion goes on with a larger budget.
        """
        return max(1, min(self.slice_rows, self.slice_rows * self.runs // max(runs, 1)))

    def block_rows_of(self, runs: int) -> int:
        """Embeddings that the merge has room for of each run at a time, where there are so many."""
        return max(1, self.staging_rows // max(runs, 1))


def check_budget(budget: int) -> None:
    """Refuse a budget of so many bytes that no conversion can keep to.

    Raises:
        UsageError: it is one.
    """
    if budget < LEAST_BUDGET:
        raise UsageError(
            f"--memory {budget} is too little for any conversion: give at least {LEAST_BUDGET} "
            "bytes."
        )


def plan_memory(  # noqa: PLR0913 - what buffers depend on, each a keyword
    *,
    budget: int,
    workers: int,
    dims: int,
    row_group_rows: int,
    windows: int,
    feature_bytes: int = 0,
    text_bytes: int = 0,
    read_ahead: int = 0,
) -> MemoryPlan:
    """Divide a budget.

    Args:
        budget: bytes for all buffers of all workers.
        workers: how many workers are asked for.
        dims: floats an embedding.
        row_group_rows: rows of a row group, which the merge holds whole.
        windows: how many windows the input has at the most.
        feature_bytes: of all features of a window that become columns.
        text_bytes: of the longest text that may be among them.
        read_ahead: blocks of ``batch_bytes`` that each worker asks a store for before it needs
            them; 0 where all shards are local.

    Raises:
        UsageError: the budget does not suffice for a single worker, or no budget does.
    """
    most_rows = min(_MAX_RUN_ROWS, _MOST_TEXT_BYTES // max(text_bytes, 1))
    if text_bytes and row_group_rows > most_rows:
        raise UsageError(
            f"--row-group-rows {row_group_rows} is too many where a --feature may have texts of "
            f"{text_bytes:,} bytes: give {most_rows} at the most."
        )
    row = _Row(dims * 4, METADATA_ROW_BYTES + _FEATURE_COPIES * feature_bytes)
    # The block that is being read lies beside those that are on their way.
    blocks = 1 + _BLOCK_COPIES * read_ahead if read_ahead else 0
    divide = partial(
        _divide,
        row=row,
        row_group_rows=row_group_rows,
        windows=windows,
        copies=_BATCH_COPIES + blocks,
        most_rows=most_rows,
    )
    for count in range(workers, 0, -1):
        plan = divide(budget, count)
        if plan is not None:
            return plan
    least = bisect_left(
        range(_MOST_BUDGET),
        True,
        key=lambda more: divide(more, 1) is not None,
    )
    raise UsageError(
        f"--memory {budget} is too little for {windows} windows of {dims + feature_bytes // 4} "
        f"floats in row groups of {row_group_rows} rows: give at least {least} bytes, or set a "
        "smaller --row-group-rows."
    )


class _Row(NamedTuple):
    """What a window takes, in bytes."""

    embedding: int
    sorted: int
    """All else, which is copied while it is sorted."""


def _divide(  # noqa: PLR0913 - likewise
    budget: int,
    workers: int,
    *,
    row: _Row,
    row_group_rows: int,
    windows: int,
    copies: int,
    most_rows: int,
) -> MemoryPlan | None:
    share = budget // workers
    row_bytes = row.embedding + row.sorted
    batch_bytes = min(max(share // (4 * copies), _MIN_BATCH_BYTES), _MAX_BATCH_BYTES)
    decoding = copies * batch_bytes
    gather_rows = min((share - decoding - _COPY_BYTES) // row_bytes, most_rows)
    row_group_bytes = row_group_rows * row_bytes + _COPY_BYTES
    merging = share - row_group_bytes
    staging_rows = merging // 2 // (row.embedding + METADATA_ROW_BYTES)
    if gather_rows < _MIN_ROWS or staging_rows < _MIN_ROWS:
        return None
    # Shards that do not quite fit together leave a run half empty at the worst.
    runs = 2 * (windows // gather_rows) + 1
    # Half of what merging has is for metadata, of which a run may have two slices waiting.
    slice_rows = merging // 2 // (2 * runs * row.sorted)
    if slice_rows < _MIN_SLICE_ROWS:
        return None
    holding = windows * row_bytes + workers * (decoding + row_group_bytes)
    spare_rows = min((budget - holding) // row_bytes, most_rows - windows)
    return MemoryPlan(
        workers=workers,
        batch_bytes=batch_bytes,
        gather_rows=gather_rows,
        slice_rows=min(slice_rows, _MAX_SLICE_ROWS),
        staging_rows=min(staging_rows, max(windows, _MIN_ROWS)),
        runs=runs,
        holds_all=holding <= budget and windows <= most_rows,
        spare_rows=max(spare_rows, 0),
    )
