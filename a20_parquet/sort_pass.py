"""The first pass: shards are framed, decoded, and their windows sorted into runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.dataset.begin import Begun
from a20_parquet.dataset.held import Retry
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import QuarantinedShard, ShardSummary
from a20_parquet.dataset.npy_json import NpyJsonWriter
from a20_parquet.dataset.quarantine import QuarantineWriter
from a20_parquet.dataset.run import HeldRun, Rows, Run, RunFiles, open_runs
from a20_parquet.dataset.sorting import WindowGatherer
from a20_parquet.dataset.unfinished import SortedShards, commit_sorted
from a20_parquet.error_limit import ErrorLimit
from a20_parquet.job import Job
from a20_parquet.npy_json import NotebookOutput
from a20_parquet.progress import Progress
from a20_parquet.shard_intake import ShardIntake, ShardTally
from a20_parquet.source.content import open_content
from a20_parquet.source.shard import Shard
from a20_parquet.storage.place import Place
from a20_parquet.table.intake import RecordFilter
from a20_parquet.workers import Pool, Workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What the first pass made of all shards."""

    runs: list[Run]
    shards: list[ShardSummary]
    """In shard order."""
    quarantine: list[QuarantinedShard]
    other_features: tuple[str, ...]
    """Names of features that the records have and the dataset has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinks:
    """Where the pass writes to."""

    layout: DatasetLayout
    scratch: Place
    notebook: NotebookOutput | None
    errors: ErrorLimit

    def notebook_writer(self, shard: Shard) -> AbstractContextManager[NpyJsonWriter | None]:
        """Lend the writer of a shard's notebook files, if they are wanted."""
        return nullcontext() if self.notebook is None else self.notebook.writer(shard)

    def quarantine_writer(self, shard: Shard, retry: Retry | None) -> QuarantineWriter:
        """Make the writer of what of a shard can't be converted."""
        folder = self.layout.staged_quarantine
        if retry is None:
            return QuarantineWriter(folder, shard.label)
        return QuarantineWriter(folder, retry.shard.label, retry.damaged, retry.files)


@dataclass(frozen=True, slots=True)
class _Unit:
    """What the pass made of one unit's shards."""

    sorted: SortedShards
    held: Any
    """Metadata of the windows that stayed in the unit's buffer, a table of ``keyed_schema()``;
    none without any."""
    rows: npt.NDArray[np.int64]
    """In which rows of the buffer they lie."""


def sort_shards(job: Job, begun: Begun, sinks: Sinks, progress: Progress) -> Sorted:
    """Sort the windows of all shards into runs, held in memory or written to scratch disk.

    Each unit whose runs are on disk ends with its commit marker.

    Args:
        job: what to convert.
        begun: what of it was done before.
        sinks: where to write to.
        progress: told how far it is.

    Raises:
        SourceError: a shard can't be read.
        RecordError: something can't be converted, and more than is allowed.
        DatasetError: the notebook's files can't be written.
        OSError: a run or the quarantine can't be written.
    """
    done = {position for unit in begun.sorted for position in unit.positions}
    left = [shard for shard in job.shards if shard.position not in done]
    if left:
        progress.start("reading shards", sum(shard.size for shard in left))
    workers = Workers(job.memory.workers)
    buffers = _Buffers(job)
    advance = workers.checked(progress.advance)

    def sort_unit(positions: tuple[int, ...]) -> _Unit:
        with buffers.borrow(positions) as buffer:
            return _UnitSorter(job, positions, buffer, sinks, advance).sort()

    new = sorted(workers.map(sort_unit, job.units(done)), key=lambda unit: unit.sorted.positions)
    units = sorted([*begun.sorted, *(unit.sorted for unit in new)], key=lambda unit: unit.positions)
    return Sorted(
        runs=[
            *open_runs([files for unit in units for files in unit.runs]),
            *buffers.held_runs(new),
        ],
        shards=_in_order(units),
        quarantine=[shard for unit in units for shard in unit.quarantine],
        other_features=tuple(sorted({name for unit in units for name in unit.other_features})),
    )


def _in_order(units: Sequence[SortedShards]) -> list[ShardSummary]:
    by_position = {
        position: shard
        for unit in units
        for position, shard in zip(unit.positions, unit.shards, strict=True)
    }
    return [by_position[position] for position in sorted(by_position)]


class _Buffers:
    """Where units gather embeddings: a part of one buffer for each, or one after another's."""

    def __init__(self, job: Job) -> None:
        dims = job.table.dims
        if job.memory.holds_all:
            self._starts = np.concatenate([[0], np.cumsum(job.windows)])
            self._all = np.empty((self._starts[-1], dims), np.float32)
        else:
            shape = (job.memory.gather_rows, dims)
            self._pool: Pool[Rows] = Pool(lambda: np.empty(shape, np.float32))
        self._holds_all = job.memory.holds_all

    @contextmanager
    def borrow(self, positions: Sequence[int]) -> Iterator[Rows]:
        """Lend a unit its buffer."""
        if self._holds_all:
            yield self._all[self._starts[positions[0]] : self._starts[positions[-1] + 1]]
        else:
            with self._pool.borrow() as buffer:
                yield buffer

    def held_runs(self, units: Sequence[_Unit]) -> Iterator[HeldRun]:
        """Sort what stayed in the common buffer, as one run."""
        held = [unit for unit in units if unit.held is not None]
        if held:
            rows = [self._starts[unit.sorted.positions[0]] + unit.rows for unit in held]
            keyed = pa.concat_tables([unit.held for unit in held])
            yield HeldRun(self._all, np.concatenate(rows), keyed)


class _UnitSorter:
    """Sorts the shards of one unit."""

    def __init__(
        self,
        job: Job,
        positions: tuple[int, ...],
        buffer: Rows,
        sinks: Sinks,
        advance: Callable[[int], None],
    ) -> None:
        self._job = job
        self._positions = positions
        self._gatherer = WindowGatherer(buffer, job.rules)
        self._sinks = sinks
        self._filter = RecordFilter(job.rules)
        self._advance = advance
        self._runs: list[RunFiles] = []

    def sort(self) -> _Unit:
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
            other_features=tuple({name for tally in tallies for name in tally.other_features}),
        )
        if held is None:
            commit_sorted(self._sinks.layout, unit)
        return _Unit(unit, held if held is not None and len(held) else None, rows)

    def _gather(self, shard: Shard) -> ShardTally:
        job, sinks = self._job, self._sinks
        with (
            sinks.notebook_writer(shard) as notebook,
            sinks.quarantine_writer(shard, job.retries.get(shard.position)) as quarantine,
            open_content(shard) as content,
        ):
            intake = ShardIntake(job, shard, self._filter, quarantine, sinks.errors)
            for decoded, taken in intake.read(content, self._advance):
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
            name = f"run-{self._positions[0]:06d}-{len(self._runs):04d}"
            slice_rows = self._job.memory.slice_rows
            self._runs.append(run.write(self._sinks.scratch / name, slice_rows))
