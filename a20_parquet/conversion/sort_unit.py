"""One unit of the first pass: read some shards, and sort their windows into runs."""

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import compress
from threading import Lock
from typing import Any

import numpy.typing as npt

from a20_parquet.conversion.gather import LocationGatherer, WindowGatherer, are_locatable
from a20_parquet.conversion.job import ConversionSetup
from a20_parquet.conversion.observations import Observer
from a20_parquet.conversion.transaction.checkpoints import SortedShards, commit_sorted
from a20_parquet.conversion.transaction.lock import check_lock
from a20_parquet.dataset.existing import Retry
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import QuarantinedShard
from a20_parquet.dataset.quarantine import QuarantineWriter
from a20_parquet.dataset.summaries import ShardSummary
from a20_parquet.errors import DatasetError, RecordError
from a20_parquet.execution.protocols import TaskContext
from a20_parquet.runs.located_run import LocatedRun
from a20_parquet.runs.run import InMemoryRun
from a20_parquet.runs.run_files import RunFiles
from a20_parquet.runs.stored_run import write_run
from a20_parquet.storage.path import AnyPath
from a20_parquet.storage.read_ahead import Prefetch
from a20_parquet.tfrecord.compression import open_content
from a20_parquet.tfrecord.frames import FrameReader
from a20_parquet.tfrecord.records import Damage, Records
from a20_parquet.tfrecord.shard import Codec, Shard
from a20_parquet.windows.filter import RecordFilter
from a20_parquet.windows.records import DecodedRecords
from a20_parquet.windows.rejection import Rejection
from a20_parquet.windows.selection import LeftOut
from a20_parquet.windows.window_table import WindowTable


@dataclass(frozen=True, slots=True, eq=False)
class UnsortedWindows:
    """Windows that stay in memory until those of all units are sorted together."""

    metadata: WindowTable
    rows: npt.NDArray[Any]
    """For each of them its row of the buffer, or its embedding's location."""


@dataclass(slots=True)
class SortedUnit:
    """Result of one unit."""

    sorted: SortedShards
    in_memory: UnsortedWindows | None
    """Windows that are not in ``sorted.runs``; None if there are none, or they were taken."""
    last_error: RecordError | None
    """The last record or damaged range that went to quarantine."""


@dataclass(slots=True, kw_only=True)
class UnitSorter:
    """Reads the shards of one unit and sorts their windows."""

    setup: ConversionSetup
    layout: DatasetLayout
    scratch: AnyPath
    """Folder of the runs."""
    positions: tuple[int, ...]
    """Positions of the unit's shards, ascending."""
    gatherer: WindowGatherer
    located: LocationGatherer | None
    """For records whose embeddings stay in their shard; None if all are copied."""
    record_filter: RecordFilter
    errors: "ErrorLimit"
    context: TaskContext
    _observer: Observer = field(default_factory=Observer, init=False)
    _runs: list[RunFiles] = field(default_factory=list, init=False)

    def sort(self) -> SortedUnit:
        """Do all the unit's work.

        Raises:
            SourceError: a shard cannot be read, or has changed.
            RecordError: more than ``setup.most_errors`` records cannot be converted.
            DatasetError: the notebook's files cannot be written.
            OSError: a run or the quarantine cannot be written.
        """
        read = [self._read(self.setup.shards[position]) for position in self.positions]
        in_memory: UnsortedWindows | None = None
        if self.located is not None:
            self._write(self.gatherer.rest())
            if self.setup.memory.holds_all:
                in_memory = UnsortedWindows(*self.located.take())
            else:
                self._write(self.located.rest())
        elif self.setup.memory.holds_all and not self._runs:
            in_memory = UnsortedWindows(*self.gatherer.take())
        else:
            self._write(self.gatherer.rest())
        gatherers = [self.gatherer, *([self.located] if self.located else [])]
        unit = SortedShards(
            positions=self.positions,
            shards=tuple(
                summary.model_copy(
                    update={
                        "windows": sum(each.windows[position] for each in gatherers),
                        "left_out": sum(each.left_out[position] for each in gatherers),
                    }
                )
                for position, (summary, _) in zip(self.positions, read, strict=True)
            ),
            runs=tuple(self._runs),
            quarantine=tuple(quarantined for _, quarantined in read if quarantined),
            observations=self._observer.observations(
                LeftOut.merged(each.noticed for each in gatherers)
            ),
        )
        if in_memory is None:
            self.context.check()
            commit_sorted(self.layout, unit, self.context.tag)
        has_windows = in_memory is not None and len(in_memory.metadata)
        return SortedUnit(unit, in_memory if has_windows else None, self.errors.last)

    def _read(self, shard: Shard) -> tuple[ShardSummary, QuarantinedShard | None]:
        """Read one shard: gather good records, and write all others to quarantine.

        Returns:
            Its summary, without the number of windows, which are not all sorted yet.
        """
        retry, output = self.setup.retries.get(shard.position), self.setup.notebook
        shape_disagreements = 0
        with (
            output.writer(shard, self.context.tag) if output else nullcontext() as notebook,
            self._quarantine_writer(shard, retry) as quarantine,
            open_content(shard, Prefetch(self.setup.memory.batch_bytes)) as content,
        ):
            reader = FrameReader(shard, content, self.setup.memory.batch_bytes)
            for item in reader.read(self.context.advance):
                if isinstance(item, Damage):
                    if not item.more:
                        self.errors.add(item.error())
                    quarantine.keep_damage(item.rejection, item.offset, item.content)
                    continue
                decoded = self.setup.decoder.decode(item)
                intake = self.record_filter.sort_out(decoded)
                for rejection in intake.rejected:
                    self.errors.add(item.error(rejection))
                    frame = item.frame(rejection.number)
                    quarantine.keep_record(*_origin(rejection, item, retry), *frame)
                shape_disagreements += decoded.shape_disagreements
                self._observer.add(decoded, intake)
                self.gatherer.leave_out({shard.position: intake.left_out}, intake.noticed)
                if notebook is not None:
                    notebook.add(decoded.of_dims(self.setup.table.dims))
                self._gather(intake.taken, item, is_plain=content.codec is Codec.NONE)
            quarantined = quarantine.finish()
        summary = ShardSummary(
            label=retry.shard.label if retry else shard.label,
            url=shard.url,
            bytes=shard.size,
            checksum=reader.checksum,
            records=reader.records,
            windows=0,
            quarantined=quarantine.records,
            damaged=reader.damaged_ranges,
            shape_disagreements=shape_disagreements,
            sample_rate_hz=shard.sample_rate_hz,
        )
        return summary, quarantined

    def _gather(self, taken: DecodedRecords, records: Records, *, is_plain: bool) -> None:
        """Note where embeddings are, or copy them."""
        if self.located is None or not is_plain:
            self._write(self.gatherer.add(taken))
        elif all(is_located := are_locatable(taken, records)):
            self._write(self.located.add(taken, records))
        else:
            indices = range(len(is_located))
            self._write(self.located.add(taken.take(list(compress(indices, is_located))), records))
            others = [index for index in indices if not is_located[index]]
            self._write(self.gatherer.add(taken.take(others)))

    def _quarantine_writer(self, shard: Shard, retry: Retry | None) -> QuarantineWriter:
        folder = self.layout.staged_quarantine
        create = None if self.context.is_local else self.context.create
        if retry is None:
            return QuarantineWriter(folder, shard.label, create=create)
        return QuarantineWriter(folder, retry.shard.label, retry.damaged, retry.files, create)

    def _write(self, runs: Iterable[InMemoryRun | LocatedRun]) -> None:
        for run in runs:
            check_lock(self.layout)
            name = f"run-{self.positions[0]:06d}-{len(self._runs):04d}{self.context.tag}"
            self._runs.append(write_run(run, self.scratch / name, self.setup.memory.slice_rows))


def _origin(rejection: Rejection, records: Records, retry: Retry | None) -> tuple[Rejection, int]:
    """Return a rejected record with its number in its shard, and the offset of its frame.

    A record that is retried belongs to the shard that was converted first.
    """
    if retry is None:
        return rejection, records.offset(rejection.number)
    if rejection.number >= len(retry.records):
        raise DatasetError(
            f"{retry.shard.label} has more records in quarantine than their list. Was one of the "
            "files edited or cut? Convert the shards again."
        )
    origin = retry.records[rejection.number]
    return replace(rejection, number=origin.record), origin.offset


class ErrorLimit:
    """Counts records and damaged ranges that go to quarantine; thread-safe.

    Attributes:
        count: their number so far.
        last: the last one that ``add`` counted; None if there is none.
    """

    def __init__(self, most: int | None, known: int = 0) -> None:
        """Begin to count.

        Args:
            most: how many may go to quarantine; None for any number.
            known: how many an earlier run of the same conversion put there.
        """
        self.count = known
        self.last: RecordError | None = None
        self._most = most
        self._lock = Lock()

    def add(self, error: RecordError) -> None:
        """Count one more.

        Raises:
            RecordError: that is one too many.
        """
        with self._lock:
            self.count += 1
            self.last = error
            count = self.count
        self._check(count, error)

    def add_elsewhere(self, count: int, last: RecordError | None) -> None:
        """Count what another process put there.

        Args:
            count: records and damaged ranges.
            last: the last of them; None if there is none.

        Raises:
            RecordError: that is too many.
        """
        with self._lock:
            self.count += count
            count = self.count
        if last is not None:
            self._check(count, last)

    def _check(self, count: int, error: RecordError) -> None:
        if self._most is None or count <= self._most:
            return
        if not self._most:
            raise error
        raise RecordError(
            shard=error.shard,
            record=error.record,
            offset=error.offset,
            code=error.code,
            reason=f"{error.reason}. That is more than --max-errors {self._most}",
            fix="Run the same command with a larger number, or without it, to go on.",
        )
