"""Forecasts a conversion by arithmetic on what is known about the input."""

from dataclasses import dataclass, replace

import numpy as np

from a20_parquet.conversion.job import divide_memory
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.planning.archive import Archive
from a20_parquet.planning.partitions import Distinct, KeyForecast
from a20_parquet.planning.passes import MergeForecast, Requests, SortForecast
from a20_parquet.windows.partition import PartitionBy

# Bytes of embeddings per second and worker, with output in memory, and seconds per file besides its
# bytes: `python -m benchmarks.stages`.
_SORT_RATE, _SPILL_RATE, _MERGE_RATE = 2.3e9, 5.8e8, 1.15e9
_FILE_S = 0.0003


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Forecast of a conversion; what the listing does not have is estimated from a sample."""

    shards: int
    """From the listing."""
    shard_bytes: int
    """From the listing."""
    sampled_shards: int
    sampled_records: int
    records: int
    windows: int
    dims: int
    channels: int
    sites: Distinct
    first_date: str | None
    """Earliest local date in the sample, None if no recording has one."""
    last_date: str | None
    partition_by: PartitionBy
    """The Hive keys of this forecast."""
    memory: int
    """Bytes of all workers together, or of each worker of a cluster."""
    workers: int
    """Number of workers that the memory is enough for."""
    cluster: bool
    sort: SortForecast
    merge: MergeForecast
    slice_bytes: int
    """Average bytes of embeddings in a slice."""
    block_bytes: int
    """Bytes of embeddings that the merge reads of each run at a time."""
    keys: tuple[KeyForecast, ...]
    """For each choice of Hive keys."""
    scratch_bytes: int
    requests: Requests
    """If shards, runs and dataset are in stores."""
    rate: float
    """Bytes of shards per second and worker."""
    rate_is_given: bool
    """Whether the user gave the rate; else it comes from the sample and benchmarks."""

    @property
    def key(self) -> KeyForecast:
        """Forecast for the chosen Hive keys."""
        return next(key for key in self.keys if key.partition_by == self.partition_by)

    @property
    def worker_seconds(self) -> float:
        """Seconds of work for one worker."""
        return self.shard_bytes / self.rate

    @property
    def seconds(self) -> float:
        """Seconds for all workers."""
        return self.worker_seconds / self.workers


def forecast(
    archive: Archive, options: ConvertOptions, *, cluster: bool = False, rate: float | None = None
) -> Forecast:
    """Forecast a conversion.

    Args:
        archive: the input.
        options: of the conversion.
        cluster: whether workers are processes of a cluster, each with its own ``memory``.
        rate: MB/s of shards that one worker converts; by default reading as measured on the
            sample, and the other stages as benchmarked.

    Raises:
        UsageError: the memory is not enough.
    """
    volume, table = archive.volume, archive.table
    memory = memory_plan(archive, options, cluster=cluster)
    slots = options.workers if cluster else 1
    sort = volume.sort(memory.gather_rows, holds_all=memory.holds_all, slots=slots)
    runs = max(1, sort.runs)
    keys = tuple(archive.drawn.forecast(by, archive.sizes) for by in PartitionBy)
    key = next(key for key in keys if key.partition_by == options.partition_by)
    merge = volume.merge(runs, key.partitions)
    days = archive.drawn.days
    first_date, last_date = (str(np.datetime64(day, "D")) for day in days) if days else (None, None)
    return Forecast(
        shards=len(volume.shard_bytes),
        shard_bytes=sum(volume.shard_bytes),
        sampled_shards=archive.sampled_shards,
        sampled_records=archive.sampled_records,
        records=volume.records,
        windows=volume.windows,
        dims=table.dims,
        channels=archive.channels,
        sites=archive.drawn.sites(),
        first_date=first_date,
        last_date=last_date,
        partition_by=options.partition_by,
        memory=options.memory,
        workers=options.workers if cluster else memory.workers,
        cluster=cluster,
        sort=sort,
        merge=merge,
        slice_bytes=round(merge.slice_rows * volume.embedding_bytes),
        block_bytes=memory.block_rows_of(runs) * volume.embedding_bytes,
        keys=keys,
        scratch_bytes=volume.run_bytes if sort.runs else 0,
        requests=volume.requests(sort, merge, key, memory),
        rate=_rate(archive, sort, key.files) if rate is None else rate * 1e6,
        rate_is_given=rate is not None,
    )


def memory_plan(archive: Archive, options: ConvertOptions, *, cluster: bool) -> MemoryPlan:
    """Divide the budget as a conversion does; on a cluster nothing stays in memory.

    Raises:
        UsageError: the memory is not enough.
    """
    chosen = options.model_copy(update={"workers": 1}) if cluster else options
    windows = sum(archive.volume.most_windows)
    divided = divide_memory(chosen, archive.table, windows, from_store=archive.from_store)
    return replace(divided, holds_all=divided.holds_all and not cluster)


def _rate(archive: Archive, sort: SortForecast, files: int) -> float:
    """Bytes of shards per second and worker, from the speeds of all stages."""
    embeddings = archive.volume.windows * archive.volume.embedding_bytes
    through_runs = 1 / _SPILL_RATE + 1 / _MERGE_RATE if sort.runs else 1 / _SORT_RATE
    size = sum(archive.volume.shard_bytes)
    seconds = size / archive.read_rate + files * _FILE_S
    seconds += embeddings * (through_runs + 1 / archive.encode_rate)
    return size / seconds
