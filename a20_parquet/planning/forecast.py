"""Forecasts a conversion by arithmetic on what is known about the input."""

from dataclasses import dataclass, replace

import numpy as np

from a20_parquet.conversion.embeddings import (
    EmbeddingsChoice,
    choose_embeddings,
    why_not_located,
)
from a20_parquet.conversion.job import divide_memory
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import ConvertOptions, EmbeddingsIn
from a20_parquet.planning.archive import Archive
from a20_parquet.planning.partitions import Distinct, KeyForecast
from a20_parquet.planning.passes import MergeForecast, Requests, SortForecast
from a20_parquet.resources import free_memory
from a20_parquet.windows.partition import PartitionBy

# Bytes of embeddings per second and worker, with output in memory, and seconds per file besides its
# bytes: `python -m benchmarks.stages`.
_SORT_RATE, _SPILL_RATE, _MERGE_RATE = 2.3e9, 5.8e8, 1.15e9
_FILE_S = 0.0003


@dataclass(frozen=True, slots=True, kw_only=True)
class WayForecast:
    """Forecast of a conversion whose embeddings are in one place while windows are sorted."""

    embeddings: EmbeddingsIn
    read_bytes: int
    """Of shards and runs."""
    written_bytes: int
    """Of runs and the dataset."""
    scratch_bytes: int
    buffer_bytes: int
    """Memory of all buffers at the most; of each worker of a cluster."""


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
    embeddings: EmbeddingsIn
    """Where the embeddings would be: located or copied."""
    embeddings_reason: str
    free_memory: int | None
    """Free memory that the choice assumes, which is that of this machine; None if it does not
    matter."""
    ways: tuple[WayForecast, ...]
    """Located and copied, as far as they are possible."""

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
    free_bytes = free_memory()
    choice = _choose(archive, options, cluster=cluster, free_bytes=free_bytes)
    plans = _memory_plans(archive, options, cluster=cluster)
    memory = plans[-1 if not choice.located else 0]
    choice = choice.within(located=memory.locates)
    slots = options.workers if cluster else 1
    sort = volume.sort(memory.unit_rows, holds_all=memory.holds_all, slots=slots)
    runs = max(1, sort.runs)
    keys = tuple(archive.drawn.forecast(by, archive.sizes) for by in PartitionBy)
    key = next(key for key in keys if key.partition_by == options.partition_by)
    merge = volume.merge(runs, key.files)
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
        scratch_bytes=volume.run_bytes_of(memory, archive.compressed),
        requests=_requests(archive, key, plans[-1], slots),
        rate=rate * 1e6
        if rate is not None
        else _rate(archive, sort, key.files, locates=memory.locates),
        rate_is_given=rate is not None,
        embeddings=_name(memory),
        embeddings_reason=choice.reason,
        free_memory=free_bytes if choice.asked_memory else None,
        ways=tuple(_way(archive, key.bytes, each) for each in plans),
    )


def memory_plan(archive: Archive, options: ConvertOptions, *, cluster: bool) -> MemoryPlan:
    """Divide the budget as a conversion does; on a cluster nothing stays in memory.

    Raises:
        UsageError: the memory is not enough.
    """
    choice = _choose(archive, options, cluster=cluster, free_bytes=free_memory())
    return _divide(archive, options, cluster=cluster, locates=choice.located)


def _memory_plans(
    archive: Archive, options: ConvertOptions, *, cluster: bool
) -> tuple[MemoryPlan, ...]:
    """Divide the budget for embeddings that are located, if they can be, and copied."""
    is_impossible = why_not_located(in_store=archive.from_store, on_cluster=cluster)
    plans = (
        _divide(archive, options, cluster=cluster, locates=locates)
        for locates in ((False,) if is_impossible else (True, False))
    )
    # The same plan, if the memory is not enough for locations.
    return tuple(dict.fromkeys(plans))


def _divide(
    archive: Archive, options: ConvertOptions, *, cluster: bool, locates: bool
) -> MemoryPlan:
    divided = divide_memory(
        options.model_copy(update={"workers": 1}) if cluster else options,
        archive.table,
        sum(archive.volume.most_windows),
        from_store=archive.from_store,
        locates=locates,
    )
    return replace(divided, holds_all=divided.holds_all and not cluster)


def _choose(
    archive: Archive, options: ConvertOptions, *, cluster: bool, free_bytes: int
) -> EmbeddingsChoice:
    return choose_embeddings(
        options.embeddings,
        shard_bytes=sum(archive.volume.shard_bytes),
        free_bytes=free_bytes,
        are_locatable=archive.are_locatable,
        in_store=archive.from_store,
        on_cluster=cluster,
    )


def _way(archive: Archive, data_bytes: int, memory: MemoryPlan) -> WayForecast:
    """Count bytes; the second read of located embeddings is of whole records."""
    shard_bytes = sum(archive.volume.shard_bytes)
    again = round(shard_bytes * (1 - archive.compressed)) if memory.locates else 0
    scratch = archive.volume.run_bytes_of(memory, archive.compressed)
    return WayForecast(
        embeddings=_name(memory),
        read_bytes=shard_bytes + again + scratch,
        written_bytes=data_bytes + scratch,
        scratch_bytes=scratch,
        buffer_bytes=memory.buffer_bytes,
    )


def _name(memory: MemoryPlan) -> EmbeddingsIn:
    return EmbeddingsIn.LOCATED if memory.locates else EmbeddingsIn.COPIED


def _requests(archive: Archive, key: KeyForecast, copied: MemoryPlan, slots: int) -> Requests:
    """Count requests; embeddings from a store are copied."""
    volume = archive.volume
    sort = volume.sort(copied.gather_rows, holds_all=copied.holds_all, slots=slots)
    return volume.requests(sort, volume.merge(max(1, sort.runs), key.files), key, copied)


def _rate(archive: Archive, sort: SortForecast, files: int, *, locates: bool) -> float:
    """Bytes of shards per second and worker, from the speeds of all stages.

    Located embeddings are assumed to be as fast as those that are sorted in memory.
    """
    embeddings = archive.volume.windows * archive.volume.embedding_bytes
    is_copied = sort.runs and not locates
    through_runs = 1 / _SPILL_RATE + 1 / _MERGE_RATE if is_copied else 1 / _SORT_RATE
    size = sum(archive.volume.shard_bytes)
    seconds = size / archive.read_rate + files * _FILE_S
    seconds += embeddings * (through_runs + 1 / archive.encode_rate)
    return size / seconds
