"""The memory budget: how large each buffer may be, by arithmetic alone."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from a20_parquet.errors import UsageError

METADATA_ROW_BYTES = 450
"""What a window's metadata and keys take while they are sorted: twice about 190 bytes, and room."""

_MIB = 1 << 20
_BATCH_COPIES = 6
_MIN_BATCH_BYTES = 256 << 10
_MAX_BATCH_BYTES = 8 * _MIB
_COPY_BYTES = 4 * _MIB
_MIN_STAGING_ROWS = 64
_MIN_SLICE_ROWS, _MAX_SLICE_ROWS = 8, 1024
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """How a budget is divided. All sizes are for each worker."""

    workers: int
    """How many workers share the budget; fewer than asked for where it would not go round."""
    batch_bytes: int
    """Records are read and decoded in batches of about this size."""
    gather_rows: int
    """Windows that are gathered for one run."""
    slice_rows: int
    """Rows of metadata that the merge reads of one run at a time."""
    staging_rows: int
    """Windows of several runs that the merge puts in order at a time."""
    holds_all: bool
    """Whether all windows of the input can stay in memory, so that no run is written."""


def plan_memory(
    *, budget: int, workers: int, dims: int, row_group_rows: int, windows: int
) -> MemoryPlan:
    """Divide a budget.

    Args:
        budget: bytes for all buffers of all workers.
        workers: how many workers are asked for.
        dims: floats an embedding.
        row_group_rows: rows of a row group, which the merge holds whole.
        windows: how many windows the input has at the most.

    Raises:
        UsageError: the budget does not suffice for a single worker.
    """
    embedding_bytes = dims * 4
    row_bytes = embedding_bytes + METADATA_ROW_BYTES
    row_group_bytes = row_group_rows * row_bytes + _COPY_BYTES
    least = max(row_group_bytes + 2 * _MIN_STAGING_ROWS * row_bytes, 2 * _COPY_BYTES)
    least += _BATCH_COPIES * _MIN_BATCH_BYTES
    workers = min(workers, budget // least)
    if workers == 0:
        raise UsageError(
            f"--memory {budget} is too little for row groups of {row_group_rows} rows: give at "
            f"least {least} bytes or set a smaller --row-group-rows."
        )
    share = budget // workers
    batch_bytes = min(max(share // (4 * _BATCH_COPIES), _MIN_BATCH_BYTES), _MAX_BATCH_BYTES)
    decoding = _BATCH_COPIES * batch_bytes
    gather_rows = (share - decoding - _COPY_BYTES) // row_bytes

    merging = share - row_group_bytes
    runs = max(1, -(-windows // gather_rows))
    # Half of what merging has is for metadata, of which a run may have two slices waiting.
    slice_rows = merging // 2 // (2 * runs * METADATA_ROW_BYTES)
    if slice_rows < _MIN_SLICE_ROWS:
        raise UsageError(
            f"--memory {budget} is too little to merge about {runs} runs: give more memory."
        )
    holding = windows * row_bytes + workers * (decoding + row_group_bytes)
    return MemoryPlan(
        workers=workers,
        batch_bytes=batch_bytes,
        gather_rows=gather_rows,
        slice_rows=min(slice_rows, _MAX_SLICE_ROWS),
        staging_rows=max(_MIN_STAGING_ROWS, merging // 2 // row_bytes),
        holds_all=holding <= budget,
    )


def default_budget() -> int:
    """A quarter of the memory that this process may use, in bytes."""
    limits = [int(psutil.virtual_memory().total)]
    for path in _CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):
            continue  # absent, or "max" for no limit
    return min(limits) // 4


def default_workers() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
