"""Forecasts a conversion by arithmetic on what is known about the input."""

from dataclasses import dataclass, replace

import numpy as np

from a20_parquet.conversion.embeddings import why_not_located
from a20_parquet.conversion.job import divide_memory
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import ConvertOptions, EmbeddingsIn
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.planning.archive import Archive
from a20_parquet.planning.partitions import Distinct, KeyForecast
from a20_parquet.planning.passes import MergeForecast, SortForecast
from a20_parquet.planning.speeds import Speeds
from a20_parquet.planning.ways import WayForecast, Workers, forecast_way
from a20_parquet.windows.partition import PartitionBy


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
    decoder: DecoderName
    keys: tuple[KeyForecast, ...]
    """For each choice of Hive keys."""
    rate_is_given: bool
    """Whether the user gave the speed; else it was measured."""
    embeddings: EmbeddingsIn
    """Where the embeddings would be: located or copied."""
    embeddings_reason: str
    free_memory: int | None
    """Free memory that the choice assumes, which is that of this machine; None if it does not
    matter."""
    ways: tuple[WayForecast, ...]
    """Located and copied, as far as they are possible."""

    @property
    def way(self) -> WayForecast:
        """Forecast for the chosen place of embeddings."""
        return next(way for way in self.ways if way.embeddings == self.embeddings)

    @property
    def sort(self) -> SortForecast:
        """Forecast of the first pass."""
        return self.way.sort

    @property
    def merge(self) -> MergeForecast:
        """Forecast of the second pass."""
        return self.way.merge

    @property
    def scratch_bytes(self) -> int:
        """Bytes of runs on scratch disk."""
        return self.way.scratch_bytes

    @property
    def key(self) -> KeyForecast:
        """Forecast for the chosen Hive keys."""
        return next(key for key in self.keys if key.partition_by == self.partition_by)

    @property
    def worker_seconds(self) -> float:
        """Seconds of work for one worker."""
        return self.way.worker_seconds

    @property
    def seconds(self) -> float:
        """Seconds for all workers."""
        return self.way.seconds

    @property
    def rate(self) -> float:
        """Bytes of shards per second and worker."""
        return self.shard_bytes / self.worker_seconds


def forecast(
    archive: Archive, options: ConvertOptions, speeds: Speeds, *, cluster: bool = False
) -> Forecast:
    """Forecast a conversion.

    Args:
        archive: the input.
        options: of the conversion.
        speeds: of its passes.
        cluster: whether workers are processes of a cluster, each with its own ``memory``.

    Raises:
        UsageError: the memory is not enough.
    """
    volume, table = archive.volume, archive.table
    plans = memory_plans(archive, options, cluster=cluster)
    memory = plans[0 if archive.embeddings.located else -1]
    choice = archive.embeddings.within(located=memory.locates)
    keys = tuple(archive.drawn.forecast(by, archive.sizes) for by in PartitionBy)
    key = next(key for key in keys if key.partition_by == options.partition_by)
    days = archive.drawn.days
    first_date, last_date = (str(np.datetime64(day, "D")) for day in days) if days else (None, None)
    workers = Workers(count=options.workers if cluster else memory.workers, cluster=cluster)
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
        workers=workers.count,
        cluster=cluster,
        decoder=options.decoder,
        keys=keys,
        rate_is_given=speeds.is_given,
        embeddings=EmbeddingsIn.LOCATED if choice.located else EmbeddingsIn.COPIED,
        embeddings_reason=choice.reason,
        free_memory=choice.free_bytes,
        ways=tuple(forecast_way(volume, key, each, workers, speeds) for each in plans),
    )


def memory_plan(archive: Archive, options: ConvertOptions, *, cluster: bool) -> MemoryPlan:
    """Divide the budget as a conversion does; on a cluster nothing stays in memory.

    Raises:
        UsageError: the memory is not enough.
    """
    return _divide(archive, options, cluster=cluster, locates=archive.embeddings.located)


def memory_plans(
    archive: Archive, options: ConvertOptions, *, cluster: bool
) -> tuple[MemoryPlan, ...]:
    """Divide the budget for embeddings that are located, if they can be, and copied.

    Raises:
        UsageError: the memory is not enough.
    """
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
