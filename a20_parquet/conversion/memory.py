"""Dividing the memory budget: sizes of all buffers, by arithmetic alone."""

from bisect import bisect_left
from dataclasses import dataclass
from itertools import product

from a20_parquet.errors import UsageError
from a20_parquet.resources import METADATA_ROW_BYTES

_MIB = 1 << 20
# Features as decoded or read, joined, and sorted.
_FEATURE_COPIES = 3
_BATCH_COPIES = 6
# A block from a store, in pieces and joined.
_BLOCK_COPIES = 2
_MIN_BATCH_BYTES = 256 << 10
_MAX_BATCH_BYTES = 8 * _MIB
_COPY_BYTES = 4 * _MIB
_MOST_BUDGET = 1 << 50
_MIN_ROWS = 64
# Strings of one Arrow batch may take 2 GiB in all: 8 million names of 250 bytes. Fixed-size lists
# have no such limit, as they need no offsets.
_MOST_TEXT_BYTES = (1 << 31) - 1
_MAX_RUN_ROWS = 8_000_000
# Gathered for each shard, joined, and sorted.
_LOCATION_BYTES = 3 * 28
_MIN_SLICE_ROWS, _MAX_SLICE_ROWS = 8, 4096
_UNITS_A_WORKER = 8


LEAST_BUDGET = _BATCH_COPIES * _MIN_BATCH_BYTES + _COPY_BYTES + _MIN_ROWS * (4 + METADATA_ROW_BYTES)
"""Bytes that every conversion needs, however small its embeddings are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """How a budget is divided. All sizes are for each worker."""

    workers: int
    """How many workers share the budget; fewer than asked for if it does not suffice for all."""
    batch_bytes: int
    """Size of a batch of records to decode, and of a block to read from a store."""
    gather_rows: int
    """Windows of one run whose embeddings are copied."""
    slice_rows: int
    """Rows of metadata that the merge reads of one run at a time."""
    staging_rows: int
    """Windows of several runs that the merge sorts at a time."""
    runs: int
    """The largest number of runs."""
    holds_all: bool
    """Whether all windows of the input can stay in memory, so that no run is written."""
    spare_rows: int = 0
    """Windows beyond the estimate that fit in memory too, of all shards together."""
    locates: bool = False
    """Whether embeddings stay in the shards until they are written."""
    located_rows: int = 0
    """Windows of one run whose embeddings stay in the shards."""
    buffer_bytes: int = 0
    """Bytes of all workers' buffers at the most."""

    @property
    def unit_rows(self) -> int:
        """Windows of one unit of the first pass, which fill a run."""
        return self.located_rows if self.locates else self.gather_rows

    def unit_rows_of(self, windows: int, slots: int) -> int:
        """Return the most windows of a unit of the first pass.

        Args:
            windows: of all units, at the most.
            slots: least number of units, as far as shards can be divided.
        """
        # Located windows may all stay in memory, but a unit writes a run of those that are copied.
        few = self.workers * _UNITS_A_WORKER if self.locates and self.holds_all else 1
        return min(self.unit_rows, -(-windows // max(slots, few)))

    def slice_rows_of(self, runs: int) -> int:
        """Return the rows of metadata to read of each of ``runs`` runs at a time.

        There may be more runs than planned if a conversion resumes with a larger budget.
        """
        return max(1, min(self.slice_rows, self.slice_rows * self.runs // max(runs, 1)))

    def block_rows_of(self, runs: int) -> int:
        """Return the embeddings to read of each of ``runs`` runs at a time."""
        return max(1, self.staging_rows // max(runs, 1))


def check_budget(budget: int) -> None:
    """Raise UsageError if the budget, in bytes, is too little for every conversion."""
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
    half_bytes: int = 0,
    feature_bytes: int = 0,
    text_bytes: int = 0,
    read_ahead: int = 0,
    locates: bool = False,
) -> MemoryPlan:
    """Divide a budget.

    Args:
        budget: bytes for all buffers of all workers.
        workers: how many workers are asked for.
        dims: floats of an embedding.
        row_group_rows: rows of a row group, which the merge holds in memory.
        windows: the largest number of windows that the input may have.
        half_bytes: bytes of an embedding's copy in half precision; 0 if files store float32.
        feature_bytes: bytes of all further features of a window.
        text_bytes: bytes of the longest text that a feature may have.
        read_ahead: blocks of ``batch_bytes`` that each worker prefetches from a store; 0 if all
            shards are local.
        locates: whether embeddings may stay in the shards.

    Raises:
        UsageError: the budget does not suffice for a single worker, or no budget does.
    """
    most_rows = min(_MAX_RUN_ROWS, _MOST_TEXT_BYTES // max(text_bytes, 1))
    if text_bytes and row_group_rows > most_rows:
        raise UsageError(
            f"--row-group-rows {row_group_rows} is too many where a --feature may have texts of "
            f"{text_bytes:,} bytes: give {most_rows} at the most."
        )
    embedding_bytes = dims * 4
    # All but the embedding is copied while it is sorted.
    sorted_bytes = METADATA_ROW_BYTES + _FEATURE_COPIES * feature_bytes
    row_bytes = embedding_bytes + sorted_bytes
    row_group_bytes = row_group_rows * (row_bytes + half_bytes) + _COPY_BYTES
    # While blocks are prefetched, another one is being decoded.
    copies = _BATCH_COPIES + (1 + _BLOCK_COPIES * read_ahead if read_ahead else 0)

    def divide(budget: int, workers: int, *, locates: bool) -> MemoryPlan | None:
        share = budget // workers
        batch_bytes = min(max(share // (4 * copies), _MIN_BATCH_BYTES), _MAX_BATCH_BYTES)
        decoding = copies * batch_bytes
        gather_rows = min((share - decoding - _COPY_BYTES) // row_bytes, most_rows)
        merging = share - row_group_bytes
        staging_rows = merging // 2 // (embedding_bytes + METADATA_ROW_BYTES)
        if gather_rows < _MIN_ROWS or staging_rows < _MIN_ROWS:
            return None
        located_rows = 0
        if locates:
            # Some records may have to be copied.
            gathering = share - decoding - 2 * _COPY_BYTES
            gather_rows = max(min(gather_rows, gathering // 8 // row_bytes, windows), _MIN_ROWS)
            located_rows = (gathering - gather_rows * row_bytes) // (sorted_bytes + _LOCATION_BYTES)
            located_rows = min(located_rows, most_rows)
            if located_rows < _MIN_ROWS:
                return None
        # Shards that do not quite fit together leave a run half empty at the worst.
        runs = 2 * (windows // (located_rows or gather_rows)) + 1
        # Half of the merge's memory is for metadata, with up to two slices of each run.
        slice_rows = merging // 2 // (2 * runs * sorted_bytes)
        if slice_rows < _MIN_SLICE_ROWS:
            return None
        each = workers * (decoding + row_group_bytes)
        if locates:
            each += workers * (gather_rows * row_bytes + _COPY_BYTES)
        in_memory = sorted_bytes + (_LOCATION_BYTES if locates else embedding_bytes)
        holding = windows * in_memory + each
        spare_rows = min((budget - holding) // row_bytes, most_rows - windows)
        holds_all = holding <= budget and windows <= most_rows
        return MemoryPlan(
            workers=workers,
            batch_bytes=batch_bytes,
            gather_rows=gather_rows,
            slice_rows=min(slice_rows, _MAX_SLICE_ROWS),
            staging_rows=min(staging_rows, max(windows, _MIN_ROWS)),
            runs=runs,
            holds_all=holds_all,
            spare_rows=max(spare_rows, 0),
            locates=locates,
            located_rows=most_rows if locates and holds_all else located_rows,
            buffer_bytes=min(holding, budget),
        )

    # A location may need more memory than a short embedding.
    choices = {locates, False}
    for count, choice in product(range(workers, 0, -1), sorted(choices, reverse=True)):
        if plan := divide(budget, count, locates=choice):
            return plan
    least = bisect_left(
        range(_MOST_BUDGET), True, key=lambda more: bool(divide(more, 1, locates=False))
    )
    raise UsageError(
        f"--memory {budget} is too little for {windows} windows of {dims + feature_bytes // 4} "
        f"floats in row groups of {row_group_rows} rows: give at least {least} bytes, or set a "
        "smaller --row-group-rows."
    )
