"""Simulates listings, samples and runs of large archives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.conversion.embeddings import EmbeddingsChoice
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import ConvertOptions, EmbeddingsIn
from a20_parquet.dataset.options import TableOptions
from a20_parquet.planning.archive import Archive
from a20_parquet.planning.partitions import DrawnWindows, FileSizes
from a20_parquet.planning.passes import Volume
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.merge_cut import unit_slices
from a20_parquet.runs.merge_plan import MergeUnit, divide_shards
from a20_parquet.runs.run import Rows
from a20_parquet.windows.order import Partitions, keyed_schema
from a20_parquet.windows.partition import PartitionBy, periods

_FIRST_DAY = 18_078  # 2019-07-01
_DAY_S = 86_400
_WINDOWS_A_RECORD = 12
_WINDOW_S = 5
_DIMS = 1280
# As `a20-parquet plan` measured them of real shards.
_RECORD_BYTES = 61_700
_METADATA_BYTES = 200.0
_ROW_BYTES, _FILE_BYTES = 5157.0, 4300.0
_SAMPLED_RECORDS, _SAMPLED_SHARDS = 4000, 64

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """An archive whose records are shuffled over shards, evenly from all sites and days."""

    shards: int
    shard_bytes: int
    sites: int
    days: int
    seed: int = 0

    @property
    def records_a_shard(self) -> int:
        """Records of each shard."""
        return max(1, self.shard_bytes // _RECORD_BYTES)

    def keys(self, records: int, number: int) -> tuple[Numbers, Numbers]:
        """Draw the sites and days of some records, the same for each number."""
        draw = np.random.default_rng([self.seed, number])
        return np.divmod(draw.integers(0, self.sites * self.days, records), self.days)

    def partitions(self, records: int, number: int, by: PartitionBy) -> Partitions:
        """Draw the partitions of a run of so many records."""
        site, day = self.keys(records, number)
        period = period_of(day, by)
        first = int(period.min(initial=0))
        span = int(period.max(initial=0)) - first + 1
        counts = np.bincount(site * span + period - first)
        cells = np.flatnonzero(counts)
        return Partitions(
            self.site_names.take(pa.array(cells // span)),
            pa.array((cells % span + first).astype(np.int32)),
            counts[cells] * _WINDOWS_A_RECORD,
        )

    @property
    def site_names(self) -> Any:
        """The key ``site`` of each."""
        return pa.array([f"site_{number:04d}" for number in range(self.sites)])

    def archive(self, options: ConvertOptions, *, cluster: bool = True) -> Archive:
        """What a listing and a sample would tell of it."""
        site, day = self.keys(_SAMPLED_RECORDS, 1 << 30)
        records = self.shards * self.records_a_shard
        table = TableOptions(
            partition_by=options.partition_by,
            compression=options.compression,
            max_file_size=options.max_file_size,
            row_group_rows=options.row_group_rows,
            window_seconds=_WINDOW_S,
            dims=_DIMS,
        )
        most_windows = -(-self.shard_bytes // table.row_bytes)
        record = np.repeat(np.arange(len(site)), _WINDOWS_A_RECORD)
        return Archive(
            sampled_shards=min(self.shards, _SAMPLED_SHARDS),
            sampled_records=len(site),
            channels=1,
            table=table,
            volume=Volume(
                shard_bytes=[self.shard_bytes] * self.shards,
                records=records,
                windows=records * _WINDOWS_A_RECORD,
                most_windows=[most_windows] * self.shards,
                embedding_bytes=table.row_bytes,
                metadata_bytes=_METADATA_BYTES,
            ),
            drawn=DrawnWindows(
                record=record,
                site=self.site_names.take(pa.array(site[record])),
                start_local_s=(day[record] + _FIRST_DAY) * _DAY_S,
                dated=np.ones(len(record), np.bool_),
                total_records=records,
            ),
            sizes=FileSizes(row=_ROW_BYTES, file=_FILE_BYTES, most_rows=table.rows_per_file),
            shards=(),
            embeddings=EmbeddingsChoice(
                located=not cluster and options.embeddings is EmbeddingsIn.LOCATED,
                reason="they cannot stay in the shards with --dask"
                if cluster
                else f"--embeddings {options.embeddings}",
            ),
            record_bytes=_RECORD_BYTES,
            free_bytes=0,
        )


def period_of(day: Numbers, by: PartitionBy) -> Numbers:
    """The period of days that are counted from the first one."""
    return periods((day + _FIRST_DAY) * _DAY_S, by).astype(np.int64)


@dataclass(frozen=True, slots=True)
class DrawnRun:
    """A run of an archive, of which only the partitions are known."""

    simulated: Simulated
    by: PartitionBy
    records: int
    number: int

    @property
    def partitions(self) -> Partitions:
        """The partitions, drawn at each call and each time the same."""
        return self.simulated.partitions(self.records, self.number, self.by)


def draw_runs(simulated: Simulated, archive: Archive, memory: MemoryPlan) -> list[DrawnRun]:
    """The runs that the first pass would write; a unit's shards fit into one."""
    units = divide_shards(archive.volume.most_windows, memory.gather_rows)
    sizes = [(end - first) * simulated.records_a_shard for first, end in units]
    by = archive.table.partition_by
    return [DrawnRun(simulated, by, records, number) for number, records in enumerate(sizes)]


class _CountingRun:
    """A slice of a run that has keys and no embeddings, and notes what is read of it."""

    on_disk = True
    is_remote = True

    def __init__(self, partitions: Partitions, start: int, stop: int, seed: int) -> None:
        self.partitions = partitions
        self.metadata_reads: list[int] = []
        self.embedding_reads: list[int] = []
        self._start = start
        ends = np.cumsum(partitions.rows)
        rows = np.arange(start, stop)
        partition = np.searchsorted(ends, rows, side="right")
        record = rows // _WINDOWS_A_RECORD
        # Each record is a minute of its own, and a partition's are sorted by it.
        minute = np.random.default_rng(seed).integers(0, 1440, int(record.max(initial=0)) + 1)
        minute = minute[record]
        minute = minute[np.lexsort((minute, partition))]
        start_s = minute * 60 + rows % _WINDOWS_A_RECORD * _WINDOW_S
        numbers = pa.array(partition)
        columns = {
            "filename": pa.array([str(seed)] * len(rows)),
            "site": partitions.site.take(numbers),
            "period": partitions.period.take(numbers),
            "window_start": pa.array(start_s * 1_000_000),
            "recording_offset_in_file": pa.array(np.zeros(len(rows))),
            "channel": pa.array(np.zeros(len(rows), np.int16)),
            "shard": pa.array(np.full(len(rows), seed)),
            "record": pa.array(record),
        }
        self._metadata = pa.record_batch(
            [
                columns[field.name].cast(field.type)
                if field.name in columns
                else pa.nulls(len(rows), field.type)
                for field in keyed_schema()
            ],
            schema=keyed_schema(),
        )

    def read_metadata(self, start: int, stop: int) -> Any:
        self.metadata_reads.append(stop - start)
        return self._metadata.slice(start - self._start, stop - start)

    def read_embeddings(self, start: int, out: Rows) -> None:  # noqa: ARG002 - there are none
        self.embedding_reads.append(len(out))


@dataclass(frozen=True, slots=True, kw_only=True)
class Walked:
    """What reading one range asked of runs."""

    rows: int
    metadata_reads: int
    embedding_reads: int
    median_read_rows: float


def walk(
    runs: Sequence[DrawnRun], unit: MergeUnit, memory: MemoryPlan, row_group_rows: int
) -> Walked:
    """Have the merge's own cursor read a range of runs that hold no embeddings."""
    counting = [
        _CountingRun(runs[number].partitions, start, stop, number)
        for number, (start, stop) in enumerate(unit.slices.tolist())
    ]
    batch_rows = memory.slice_rows_of(len(runs))
    cursor = MergeCursor(
        counting,
        unit_slices(counting, unit, batch_rows=batch_rows),
        batch_rows=batch_rows,
        # What is never written takes no memory, however much it is.
        staging=np.empty((memory.staging_rows, _DIMS), np.float32),
    )
    out = np.empty((row_group_rows, _DIMS), np.float32)
    for start in range(0, unit.rows, row_group_rows):
        cursor.read(out[: unit.rows - start])
    reads = [count for run in counting for count in run.embedding_reads]
    return Walked(
        rows=unit.rows,
        metadata_reads=sum(len(run.metadata_reads) for run in counting),
        embedding_reads=len(reads),
        median_read_rows=float(np.median(reads)),
    )
