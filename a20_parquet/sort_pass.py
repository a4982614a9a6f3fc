"""The first pass: shards are framed, decoded, and their windows sorted into runs."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.amounts import format_count
from a20_parquet.dataset.begin import Begun
from a20_parquet.dataset.claim import check_lock
from a20_parquet.dataset.held import Retry
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import QuarantinedShard, ShardSummary
from a20_parquet.dataset.npy_json import NpyJsonWriter
from a20_parquet.dataset.observations import Observations
from a20_parquet.dataset.quarantine import QuarantineWriter
from a20_parquet.dataset.run import HeldRun, Rows, Run, RunFiles, open_runs
from a20_parquet.dataset.sorting import WindowGatherer
from a20_parquet.dataset.unfinished import SortedShards, commit_sorted, remove_stray_runs
from a20_parquet.error_limit import ErrorLimit
from a20_parquet.errors import RecordError
from a20_parquet.executor import Attempt, Executor
from a20_parquet.job import Job
from a20_parquet.npy_json import NotebookOutput
from a20_parquet.shard_intake import ShardIntake, ShardTally
from a20_parquet.source.content import open_content
from a20_parquet.source.shard import Shard
from a20_parquet.storage.place import Place
from a20_parquet.storage.stream import ReadAhead
from a20_parquet.table.intake import RecordFilter
from a20_parquet.workers import Pool

_LOGGER = logging.getLogger(__name__)
_LEAST_PART_ROWS = 64
# Of an address space that costs nothing until it is used, but may be limited.
_MOST_SPARE_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What the first pass made of all shards."""

    runs: list[Run]
    shards: list[ShardSummary]
    """In shard order."""
    quarantine: list[QuarantinedShard]
    observations: Observations


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinks:
    """Where the pass writes to."""

    layout: DatasetLayout
    scratch: Place
    notebook: NotebookOutput | None
    most_errors: int | None
    """How many records and damaged ranges may go to quarantine; none for any number."""

    def notebook_writer(
        self, shard: Shard, attempt: Attempt
    ) -> AbstractContextManager[NpyJsonWriter | None]:
        """Lend the writer of a shard's notebook files, if they are wanted."""
        return nullcontext() if self.notebook is None else self.notebook.writer(shard, attempt.tag)

    def quarantine_writer(
        self, shard: Shard, retry: Retry | None, attempt: Attempt
    ) -> QuarantineWriter:
        """Make the writer of what of a shard can't be converted."""
        folder = self.layout.staged_quarantine
        create = None if attempt.is_here else attempt.create
        if retry is None:
            return QuarantineWriter(folder, shard.label, create=create)
        return QuarantineWriter(folder, retry.shard.label, retry.damaged, retry.files, create)


@dataclass(frozen=True, slots=True)
class SortedUnit:
    """What the pass made of one unit's shards."""

    sorted: SortedShards
    held: Any
    """Metadata of the windows that stayed in the unit's buffer, a table of ``keyed_schema()``;
    none without any."""
    rows: npt.NDArray[np.int64]
    """In which rows of the buffer they lie."""
    last_error: RecordError | None
    """The last thing that went to quarantine."""

    @property
    def errors(self) -> int:
        """How many records and damaged ranges went to quarantine."""
        return _count_errors(self.sorted)

    def without_observations(self) -> "SortedUnit":
        """The same, less what was noticed."""
        return replace(self, sorted=self.sorted.model_copy(update={"observations": Observations()}))


@dataclass(frozen=True, slots=True, kw_only=True)
class SortTask:
    """Sorts the windows of one unit's shards after the other; implements ``executor.Task``."""

    job: Job
    sinks: Sinks
    known_errors: int
    """How many there were in the units that were finished before."""
    shared: "_SharedBuffer | None"
    """Where the windows of all units stay; none where runs are written."""

    @property
    def threads(self) -> int:
        """See ``executor.Task``."""
        return self.job.memory.workers

    def open(self) -> Callable[[tuple[int, ...], Attempt], SortedUnit]:
        """See ``executor.Task``."""
        shape = (self.job.memory.gather_rows, self.job.table.dims)
        buffers: Pool[Rows] = Pool(lambda: np.empty(shape, np.float32))
        filters = Pool(lambda: RecordFilter(self.job.rules))
        all_errors = self._errors()

        def sort_unit(positions: tuple[int, ...], attempt: Attempt) -> SortedUnit:
            borrowed = buffers.borrow() if self.shared is None else self.shared.borrow(positions)
            # A unit that is done again elsewhere must not count twice.
            errors = all_errors if attempt.is_here else self._errors()
            with borrowed as buffer, filters.borrow() as record_filter:
                tools = _Tools(buffer, record_filter, errors)
                return _UnitSorter(self, positions, tools, attempt).sort()

        return sort_unit

    def _errors(self) -> ErrorLimit:
        errors = ErrorLimit(self.sinks.most_errors)
        errors.add_known(self.known_errors)
        return errors


def sort_shards(job: Job, begun: Begun, sinks: Sinks, executor: Executor) -> Sorted:
    """Sort the windows of all shards into runs, held in memory or written to scratch disk.

    Each unit whose runs are on disk ends with its commit marker.

    Args:
        job: what to convert.
        begun: what of it was done before.
        sinks: where to write to.
        executor: does the units.

    Raises:
        SourceError: a shard can't be read.
        RecordError: something can't be converted, and more than is allowed.
        DatasetError: the notebook's files can't be written.
        ClusterError: workers were lost for good.
        OSError: a run or the quarantine can't be written.
    """
    check_lock(sinks.layout)
    remove_stray_runs(begun.own_scratch, begun.sorted)
    done = {position for unit in begun.sorted for position in unit.positions}
    left = [shard for shard in job.shards if shard.position not in done]
    if left:
        executor.progress.start("reading shards", sum(shard.size for shard in left))
    shared = _SharedBuffer(job) if job.memory.holds_all else None
    known = sum(map(_count_errors, begun.sorted))
    task = SortTask(job=job, sinks=sinks, known_errors=known, shared=shared)
    errors = ErrorLimit(sinks.most_errors)
    errors.add_known(known)
    observations = Observations.merged(unit.observations for unit in begun.sorted)
    new = []
    units_left = job.units(done)
    _LOGGER.info(
        "first pass: %s of %s, %s done before",
        format_count(len(units_left), "unit"),
        format_count(len(left), "shard"),
        format_count(len(begun.sorted), "unit"),
    )
    for made in executor.map(task, units_left):
        _LOGGER.debug(
            "unit of shards %s: %s on scratch disk",
            made.sorted.positions,
            format_count(len(made.sorted.runs), "run"),
        )
        errors.add_elsewhere(made.errors, made.last_error)
        # Merged at once: those of many thousand units would take as much memory as a run.
        observations = Observations.merged([observations, made.sorted.observations])
        new.append(made.without_observations())
    new.sort(key=lambda made: made.sorted.positions)
    if sinks.notebook is not None:
        for shard in left:
            sinks.notebook.remove_hidden(shard)
    _LOGGER.info(
        "first pass: %s written to scratch disk",
        format_count(sum(len(made.sorted.runs) for made in new), "run"),
    )
    units = sorted([*begun.sorted, *(made.sorted for made in new)], key=lambda unit: unit.positions)
    return Sorted(
        runs=[
            *open_runs([files for unit in units for files in unit.runs]),
            *(() if shared is None else shared.runs(new)),
        ],
        shards=_in_order(units),
        quarantine=[shard for unit in units for shard in unit.quarantine],
        observations=observations,
    )


def _count_errors(unit: SortedShards) -> int:
    return sum(shard.quarantined + shard.damaged for shard in unit.shards)


def _in_order(units: Sequence[SortedShards]) -> list[ShardSummary]:
    by_position = {
        position: shard
        for unit in units
        for position, shard in zip(unit.positions, unit.shards, strict=True)
    }
    return [by_position[position] for position in sorted(by_position)]


class _SharedBuffer:
    """One buffer for the embeddings of all units, where they stay."""

    def __init__(self, job: Job) -> None:
        windows = np.array(job.windows, np.int64)
        # A shard that holds more than was reckoned spills runs where this is not enough, too.
        most = np.maximum(_MOST_SPARE_ROWS, 15 * windows)
        rows = windows + np.minimum(job.memory.spare_rows // max(len(windows), 1), most)
        self._starts = np.concatenate([[0], np.cumsum(np.maximum(rows, _LEAST_PART_ROWS))])
        self._all = np.empty((self._starts[-1], job.table.dims), np.float32)

    @contextmanager
    def borrow(self, positions: Sequence[int]) -> Iterator[Rows]:
        """Lend a unit its part."""
        yield self._all[self._starts[positions[0]] : self._starts[positions[-1] + 1]]

    def runs(self, units: Sequence[SortedUnit]) -> Iterator[HeldRun]:
        """Sort what stayed here, as one run."""
        held = [unit for unit in units if unit.held is not None]
        if held:
            rows = [self._starts[unit.sorted.positions[0]] + unit.rows for unit in held]
            keyed = pa.concat_tables([unit.held for unit in held])
            yield HeldRun(self._all, np.concatenate(rows), keyed)


@dataclass(frozen=True, slots=True)
class _Tools:
    """What a unit borrows."""

    buffer: Rows
    record_filter: RecordFilter
    errors: ErrorLimit


class _UnitSorter:
    """Sorts the shards of one unit."""

    def __init__(
        self,
        task: SortTask,
        positions: tuple[int, ...],
        tools: _Tools,
        attempt: Attempt,
    ) -> None:
        self._job = task.job
        self._sinks = task.sinks
        self._positions = positions
        self._gatherer = WindowGatherer(tools.buffer, task.job.rules)
        self._filter = tools.record_filter
        self._errors = tools.errors
        self._attempt = attempt
        self._runs: list[RunFiles] = []

    def sort(self) -> SortedUnit:
        """Do all the unit's work."""
        tallies = [self._gather(self._job.shards[position]) for position in self._positions]
        held, rows = None, np.zeros(0, np.int64)
        if self._job.memory.holds_all and not self._runs:
            held, rows = self._gatherer.keyed()
        else:
            self._write(self._gatherer.rest())
        unit = SortedShards(
            positions=self._positions,
            shards=tuple(self._summary(tally) for tally in tallies),
            runs=tuple(self._runs),
            quarantine=tuple(tally.quarantined for tally in tallies if tally.quarantined),
            observations=Observations.merged(
                [
                    *(tally.observations for tally in tallies),
                    Observations(left_out=self._gatherer.noticed),
                ]
            ),
        )
        if held is None:
            self._attempt.check()
            commit_sorted(self._sinks.layout, unit, self._attempt.tag)
        held = held if held is not None and len(held) else None
        return SortedUnit(unit, held, rows, self._errors.last)

    def _gather(self, shard: Shard) -> ShardTally:
        job, sinks, attempt = self._job, self._sinks, self._attempt
        retry = job.retries.get(shard.position)
        with (
            sinks.notebook_writer(shard, attempt) as notebook,
            sinks.quarantine_writer(shard, retry, attempt) as quarantine,
            open_content(shard, ReadAhead(job.memory.batch_bytes)) as content,
        ):
            intake = ShardIntake(job, shard, self._filter, quarantine, self._errors)
            for decoded, taken in intake.read(content, attempt.advance):
                if notebook is not None:
                    notebook.add(decoded.of_dims(job.table.dims))
                self._write(self._gatherer.add(taken))
            return intake.finish()

    def _summary(self, tally: ShardTally) -> ShardSummary:
        windows = self._gatherer.windows[tally.shard.position]
        left_out = self._gatherer.left_out[tally.shard.position]
        return tally.summary(windows, left_out)

    def _write(self, runs: Iterator[HeldRun]) -> None:
        for run in runs:
            tag = self._attempt.tag
            name = f"run-{self._positions[0]:06d}-{len(self._runs):04d}{tag}"
            slice_rows = self._job.memory.slice_rows
            check_lock(self._sinks.layout)
            self._runs.append(run.write(self._sinks.scratch / name, slice_rows))
