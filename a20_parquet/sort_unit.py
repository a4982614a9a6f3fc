"""A unit of the first pass: the windows of some shards are sorted into runs."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from a20_parquet.dataset.claim import check_lock
from a20_parquet.dataset.held import Retry
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import ShardSummary
from a20_parquet.dataset.npy_json import NpyJsonWriter
from a20_parquet.dataset.observations import Observations
from a20_parquet.dataset.quarantine import QuarantineWriter
from a20_parquet.dataset.run import HeldRun, Rows, RunFiles
from a20_parquet.dataset.sorting import WindowGatherer
from a20_parquet.dataset.unfinished import SortedShards, commit_sorted
from a20_parquet.error_limit import ErrorLimit
from a20_parquet.errors import RecordError
from a20_parquet.execution.protocols import TaskContext
from a20_parquet.job import Job
from a20_parquet.npy_json import NotebookOutput
from a20_parquet.shard_intake import ShardIntake, ShardTally
from a20_parquet.source.content import open_content
from a20_parquet.source.shard import Shard
from a20_parquet.storage.place import Place
from a20_parquet.storage.stream import ReadAhead
from a20_parquet.table.intake import RecordFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Sinks:
    """Where the pass writes to."""

    layout: DatasetLayout
    scratch: Place
    notebook: NotebookOutput | None
    most_errors: int | None
    """How many records and damaged ranges may go to quarantine; none for any number."""

    def notebook_writer(
        self, shard: Shard, context: TaskContext
    ) -> AbstractContextManager[NpyJsonWriter | None]:
        """Lend the writer of a shard's notebook files, if they are wanted."""
        return nullcontext() if self.notebook is None else self.notebook.writer(shard, context.tag)

    def quarantine_writer(
        self, shard: Shard, retry: Retry | None, context: TaskContext
    ) -> QuarantineWriter:
        """Make the writer of what of a shard can't be converted."""
        folder = self.layout.staged_quarantine
        create = None if context.is_local else context.create
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
        return count_errors(self.sorted)

    def without_observations(self) -> "SortedUnit":
        """The same, less what was noticed."""
        return replace(self, sorted=self.sorted.model_copy(update={"observations": Observations()}))


def count_errors(unit: SortedShards) -> int:
    """How many records and damaged ranges of a unit went to quarantine."""
    return sum(shard.quarantined + shard.damaged for shard in unit.shards)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a unit borrows."""

    buffer: Rows
    record_filter: RecordFilter
    errors: ErrorLimit


class UnitSorter:
    """Sorts the shards of one unit."""

    def __init__(
        self,
        job: Job,
        sinks: Sinks,
        positions: tuple[int, ...],
        tools: Tools,
        context: TaskContext,
    ) -> None:
        """Prepare to sort.

        Args:
            job: the conversion.
            sinks: where to write to.
            positions: of the unit's shards, ascending.
            tools: for this unit alone while it is sorted.
            context: of this attempt at the unit.
        """
        self._job = job
        self._sinks = sinks
        self._positions = positions
        self._gatherer = WindowGatherer(tools.buffer, job.rules)
        self._filter = tools.record_filter
        self._errors = tools.errors
        self._context = context
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
            self._context.check()
            commit_sorted(self._sinks.layout, unit, self._context.tag)
        held = held if held is not None and len(held) else None
        return SortedUnit(unit, held, rows, self._errors.last)

    def _gather(self, shard: Shard) -> ShardTally:
        job, sinks, context = self._job, self._sinks, self._context
        retry = job.retries.get(shard.position)
        with (
            sinks.notebook_writer(shard, context) as notebook,
            sinks.quarantine_writer(shard, retry, context) as quarantine,
            open_content(shard, ReadAhead(job.memory.batch_bytes)) as content,
        ):
            intake = ShardIntake(job, shard, self._filter, quarantine, self._errors)
            for decoded, taken in intake.read(content, context.advance):
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
            tag = self._context.tag
            name = f"run-{self._positions[0]:06d}-{len(self._runs):04d}{tag}"
            slice_rows = self._job.memory.slice_rows
            check_lock(self._sinks.layout)
            self._runs.append(run.write(self._sinks.scratch / name, slice_rows))
