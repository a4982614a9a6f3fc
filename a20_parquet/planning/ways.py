"""Forecasts a conversion whose embeddings stay in the shards, or are copied, while it sorts."""

from dataclasses import dataclass

from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import EmbeddingsIn
from a20_parquet.planning.partitions import KeyForecast
from a20_parquet.planning.passes import MergeForecast, Requests, SortForecast, Volume
from a20_parquet.planning.speeds import Speeds


@dataclass(frozen=True, slots=True, kw_only=True)
class WayForecast:
    """Forecast of a conversion whose embeddings are in one place while windows are sorted."""

    embeddings: EmbeddingsIn
    sort: SortForecast
    merge: MergeForecast
    slice_bytes: int
    """Average bytes of embeddings in a slice."""
    block_bytes: int
    """Bytes of embeddings that the merge reads of each run at a time."""
    read_bytes: int
    """Of shards and runs."""
    written_bytes: int
    """Of runs and the dataset."""
    scratch_bytes: int
    buffer_bytes: int
    """Memory of all buffers at the most; of each worker of a cluster."""
    requests: Requests
    worker_seconds: float
    """Seconds of work for one worker."""
    seconds: float
    """Seconds for all workers, and for the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Who converts."""

    count: int
    cluster: bool
    """Whether they are processes of a cluster, each with its own memory."""


def forecast_way(
    volume: Volume, key: KeyForecast, memory: MemoryPlan, workers: Workers, speeds: Speeds
) -> WayForecast:
    """Forecast a conversion.

    Args:
        volume: the input.
        key: the files to write.
        memory: how the budget is divided, and where embeddings are.
        workers: who converts.
        speeds: of the stages.
    """
    sort = volume.sort(memory, slots=workers.count if workers.cluster else 1)
    merge = volume.merge(sort.merged, key.files)
    read_again = volume.located_bytes if memory.locates else 0
    work_s, wall_s = speeds.seconds(
        volume,
        key,
        scratch_bytes=sort.bytes,
        located=memory.locates,
        workers=workers.count,
        own_disk=not workers.cluster,
    )
    return WayForecast(
        embeddings=EmbeddingsIn.LOCATED if memory.locates else EmbeddingsIn.COPIED,
        sort=sort,
        merge=merge,
        slice_bytes=round(merge.slice_rows * volume.embedding_bytes),
        block_bytes=memory.block_rows_of(sort.merged) * volume.embedding_bytes,
        read_bytes=sum(volume.shard_bytes) + read_again + sort.bytes,
        written_bytes=key.bytes + sort.bytes,
        scratch_bytes=sort.bytes,
        buffer_bytes=memory.buffer_bytes,
        requests=volume.requests(sort, merge, key, memory),
        worker_seconds=work_s,
        seconds=wall_s,
    )
