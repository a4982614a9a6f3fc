"""The first pass: read all shards, and sort their windows into runs."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np

from a20_parquet.conversion.gather import LocationGatherer, WindowGatherer
from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.observations import Observations
from a20_parquet.conversion.sort_unit import ErrorLimit, SortedUnit, UnitSorter, UnsortedWindows
from a20_parquet.conversion.transaction.begin import ConversionState
from a20_parquet.conversion.transaction.checkpoints import SortedShards, remove_stray_runs
from a20_parquet.conversion.transaction.lock import check_lock
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.execution.protocols import Executor, TaskContext
from a20_parquet.execution.threads import Pool
from a20_parquet.formatting import format_count
from a20_parquet.resources import release_memory
from a20_parquet.runs.located_run import LocatedRun
from a20_parquet.runs.run import InMemoryRun, Rows, Run
from a20_parquet.runs.shard_reader import ShardFiles
from a20_parquet.runs.stored_run import open_runs
from a20_parquet.storage.path import AnyPath
from a20_parquet.windows.filter import RecordFilter
from a20_parquet.windows.window_table import WindowTable

_LOGGER = logging.getLogger(__name__)
_LEAST_PART_ROWS = 64
# Unused rows cost address space only, but that may be limited.
_MOST_SPARE_ROWS = 4096


def _open_sorter(  # noqa: PLR0913, PLR0917 - what the task shares with all others
    layout: DatasetLayout,
    setup: ConversionSetup,
    scratch: AnyPath,
    known_errors: int,
    shared: "_SharedBuffer | None",
    files: ShardFiles,
) -> Callable[[tuple[int, ...], TaskContext], SortedUnit]:
    """Return the task that sorts the windows of one unit's shards.

    Args:
        layout: of the dataset.
        setup: the conversion.
        scratch: folder of the runs.
        known_errors: number of errors in units that were finished before.
        shared: buffer for the windows of all units; None if runs are written.
        files: of the shards.
    """
    shape = (setup.memory.gather_rows, setup.table.dims)
    buffers: Pool[Rows] = Pool(lambda: np.empty(shape, np.float32))
    filters = Pool(lambda: RecordFilter(setup.rules))
    new_errors = partial(ErrorLimit, setup.most_errors, known_errors)
    all_errors = new_errors()

    def sort_unit(positions: tuple[int, ...], context: TaskContext) -> SortedUnit:
        borrowed = buffers.borrow() if shared is None else shared.borrow(positions)
        # A unit that a cluster does again must not count twice.
        errors = all_errors if context.is_local else new_errors()
        with borrowed as buffer, filters.borrow() as record_filter:
            return UnitSorter(
                setup=setup,
                layout=layout,
                scratch=scratch,
                positions=positions,
                gatherer=WindowGatherer(buffer, setup.rules),
                located=LocationGatherer(files, setup.memory.located_rows, setup.rules)
                if setup.memory.locates
                else None,
                record_filter=record_filter,
                errors=errors,
                context=context,
            ).sort()

    return sort_unit


def sort_shards(
    layout: DatasetLayout,
    setup: ConversionSetup,
    state: ConversionState,
    executor: Executor,
    files: ShardFiles,
) -> tuple[list[Run], SortedShards]:
    """Sort the windows of all shards into runs, in memory or on scratch disk.

    Each unit whose runs are on disk ends with its commit marker.

    Args:
        layout: of the dataset.
        setup: the conversion.
        state: what was done before.
        executor: does the units.
        files: of the shards, from which located runs read embeddings.

    Returns:
        All runs, and the results of all shards, in shard order.

    Raises:
        SourceError: a shard cannot be read.
        RecordError: more than ``setup.most_errors`` records cannot be converted.
        DatasetError: the notebook's files cannot be written.
        ClusterError: workers were lost for good.
        OSError: a run or the quarantine cannot be written.
    """
    check_lock(layout)
    remove_stray_runs(state.own_scratch, state.sorted)
    done = {position for unit in state.sorted for position in unit.positions}
    left = [shard for shard in setup.shards if shard.position not in done]
    if left:
        executor.progress.start("reading shards", sum(shard.size for shard in left))
    memory = setup.memory
    shared = _SharedBuffer(setup) if memory.holds_all and not memory.locates else None
    known = sum(unit.errors for unit in state.sorted)
    initializer = partial(_open_sorter, layout, setup, state.scratch, known, shared, files)
    errors = ErrorLimit(setup.most_errors, known)
    observations = Observations.merged(unit.observations for unit in state.sorted)
    units = [*state.sorted]
    in_memory: dict[int, UnsortedWindows] = {}
    units_left = setup.units(done)
    _LOGGER.info(
        "first pass: %s of %s, %s done before",
        format_count(len(units_left), "unit"),
        format_count(len(left), "shard"),
        format_count(len(state.sorted), "unit"),
    )
    for made in executor.map(initializer, units_left, threads=setup.memory.workers):
        _LOGGER.debug(
            "unit of shards %s: %s on scratch disk",
            made.sorted.positions,
            format_count(len(made.sorted.runs), "run"),
        )
        errors.add_elsewhere(made.sorted.errors, made.last_error)
        # Merged at once: those of many thousand units would take as much memory as a run.
        observations = Observations.merged([observations, made.sorted.observations])
        units.append(made.sorted.model_copy(update={"observations": Observations()}))
        if made.in_memory is not None:
            first = made.sorted.positions[0]
            in_memory[first] = shared.number(made.in_memory, first) if shared else made.in_memory
            made.in_memory = None
    units.sort(key=lambda unit: unit.positions)
    run_files = [files for unit in units for files in unit.runs]
    if setup.notebook is not None:
        for shard in left:
            setup.notebook.remove_hidden(shard)
    _LOGGER.info(
        "first pass: %s on scratch disk",
        format_count(len(run_files), "run"),
    )
    by_position = {
        position: shard
        for unit in units
        for position, shard in zip(unit.positions, unit.shards, strict=True)
    }
    positions = sorted(by_position)
    runs: list[Run] = [*open_runs(run_files, files)]
    if in_memory:
        windows = _join(in_memory)
        # Sorting needs as much again.
        release_memory()
        if shared is None:
            runs.append(LocatedRun(files, windows.rows, windows.metadata, setup.table.dims))
        else:
            runs.append(shared.run(windows))
    return runs, SortedShards(
        positions=tuple(positions),
        shards=tuple(by_position[position] for position in positions),
        runs=tuple(run_files),
        quarantine=tuple(shard for unit in units for shard in unit.quarantine),
        observations=observations,
    )


def _join(units: dict[int, UnsortedWindows]) -> UnsortedWindows:
    """Join the windows of units, given by their first shards, in this order, and forget these."""
    in_order = [units[first] for first in sorted(units)]
    units.clear()
    return UnsortedWindows(
        WindowTable.concat([unit.metadata for unit in in_order]),
        np.concatenate([unit.rows for unit in in_order]),
    )


class _SharedBuffer:
    """One buffer for the embeddings of all units, which stay there."""

    def __init__(self, setup: ConversionSetup) -> None:
        windows = np.array(setup.windows, np.int64)
        # A shard with more windows than even this writes runs.
        most = np.maximum(_MOST_SPARE_ROWS, 15 * windows)
        rows = windows + np.minimum(setup.memory.spare_rows // max(len(windows), 1), most)
        self._starts = np.concatenate([[0], np.cumsum(np.maximum(rows, _LEAST_PART_ROWS))])
        self._all = np.empty((self._starts[-1], setup.table.dims), np.float32)

    @contextmanager
    def borrow(self, positions: Sequence[int]) -> Iterator[Rows]:
        """Lend a unit its part of the buffer."""
        yield self._all[self._starts[positions[0]] : self._starts[positions[-1] + 1]]

    def number(self, windows: UnsortedWindows, first: int) -> UnsortedWindows:
        """Number the rows of the unit whose first shard is given in the whole buffer."""
        return UnsortedWindows(windows.metadata, self._starts[first] + windows.rows)

    def run(self, windows: UnsortedWindows) -> InMemoryRun:
        """Sort all windows in the buffer into one run."""
        return InMemoryRun(self._all, windows.rows, windows.metadata)
