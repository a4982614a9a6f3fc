"""The first pass: shards are framed, decoded, and their windows sorted into runs."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.dataset.manifest import ShardSummary
from a20_parquet.dataset.npy_json import NpyJsonWriter
from a20_parquet.dataset.run import DiskRun, HeldRun, Rows, Run
from a20_parquet.dataset.sorting import WindowGatherer
from a20_parquet.job import Job
from a20_parquet.npy_json import NotebookOutput
from a20_parquet.progress import Progress
from a20_parquet.source.content import open_content
from a20_parquet.source.frames import FrameReader, tell_progress
from a20_parquet.source.records import strict
from a20_parquet.source.shard import Shard
from a20_parquet.workers import Pool, Workers


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedUnit:
    """What the first pass made of one unit's shards."""

    positions: range
    """Which shards, in shard order."""
    shards: list[ShardSummary]
    runs: list[DiskRun]
    held: Any
    """Metadata of the windows that stayed in the unit's buffer, a table of ``keyed_schema()``."""


def sort_shards(
    job: Job, scratch: Path, progress: Progress, notebook: NotebookOutput | None = None
) -> tuple[list[Run], list[ShardSummary]]:
    """Sort the windows of all shards into runs, held in memory or written to ``scratch``.

    Args:
        job: what to convert.
        scratch: where runs go.
        progress: told how far it is.
        notebook: where the notebook's files of the same records go, if they are wanted.

    Returns:
        The runs, and a summary of each shard in shard order.

    Raises:
        SourceError: a shard can't be read.
        RecordError: a shard is damaged, or a record can't be converted.
        DatasetError: the notebook's files can't be written.
        OSError: a run can't be written.
    """
    progress.start("reading shards", sum(shard.size for shard in job.shards))
    workers = Workers(job.memory.workers)
    buffers = _Buffers(job)
    sinks = _Sinks(scratch, notebook)

    advance = workers.checked(progress.advance)

    def sort_unit(positions: range) -> SortedUnit:
        with buffers.borrow(positions) as buffer:
            return _UnitSorter(job, positions, buffer, sinks, advance).sort()

    units = sorted(workers.map(sort_unit, job.units()), key=lambda unit: unit.positions.start)
    runs: list[Run] = [run for unit in units for run in unit.runs]
    runs += buffers.held_runs(units)
    return runs, [shard for unit in units for shard in unit.shards]


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
    def borrow(self, positions: range) -> Iterator[Rows]:
        """Lend a unit its buffer."""
        if self._holds_all:
            yield self._all[self._starts[positions.start] : self._starts[positions.stop]]
        else:
            with self._pool.borrow() as buffer:
                yield buffer

    def held_runs(self, units: list[SortedUnit]) -> Iterator[HeldRun]:
        """Sort what stayed in the common buffer, as one run."""
        held = [unit for unit in units if unit.held is not None]
        if held:
            rows = [self._starts[unit.positions.start] + np.arange(len(unit.held)) for unit in held]
            keyed = pa.concat_tables([unit.held for unit in held])
            yield HeldRun(self._all, np.concatenate(rows), keyed)


@dataclass(frozen=True, slots=True)
class _Sinks:
    """Where the pass writes to."""

    scratch: Path
    notebook: NotebookOutput | None

    def notebook_writer(self, shard: Shard) -> AbstractContextManager[NpyJsonWriter | None]:
        """Lend the writer of a shard's notebook files, if they are wanted."""
        return nullcontext() if self.notebook is None else self.notebook.writer(shard)


class _UnitSorter:
    """Sorts the shards of one unit."""

    def __init__(
        self,
        job: Job,
        positions: range,
        buffer: Rows,
        sinks: _Sinks,
        advance: Callable[[int], None],
    ) -> None:
        self._job = job
        self._positions = positions
        self._gatherer = WindowGatherer(
            buffer, window_s=job.table.window_seconds, by=job.table.partition_by
        )
        self._sinks = sinks
        self._advance = advance
        self._runs: list[DiskRun] = []

    def sort(self) -> SortedUnit:
        """Do all the unit's work."""
        shards = [self._gather(self._job.shards[position]) for position in self._positions]
        held = None
        if self._job.memory.holds_all and not self._runs:
            held = self._gatherer.keyed()
        elif rest := self._gatherer.rest():
            self._write(rest)
        return SortedUnit(
            positions=self._positions,
            shards=shards,
            runs=self._runs,
            held=held if held is not None and len(held) else None,
        )

    def _gather(self, shard: Shard) -> ShardSummary:
        windows_before = self._gatherer.windows
        with self._sinks.notebook_writer(shard) as writer, open_content(shard) as content:
            reader = FrameReader(shard, content, self._job.memory.batch_bytes)
            for records in tell_progress(strict(reader.read()), content, self._advance):
                decoded = self._job.decoder.decode_strictly(records)
                for run in self._gatherer.add(decoded):
                    self._write(run)
                if writer is not None:
                    writer.add(decoded)
        return ShardSummary(
            label=shard.label,
            url=shard.url,
            bytes=shard.size,
            checksum=reader.checksum,
            records=reader.records,
            windows=self._gatherer.windows - windows_before,
        )

    def _write(self, run: HeldRun) -> None:
        name = f"run-{self._positions.start:06d}-{len(self._runs):04d}"
        self._runs.append(run.write(self._sinks.scratch / name, self._job.memory.slice_rows))
