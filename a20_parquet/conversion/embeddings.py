"""Decides whether embeddings stay in the shards, or are copied, while windows are sorted."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from a20_parquet.conversion.options import EmbeddingsIn
from a20_parquet.errors import SourceError, UsageError
from a20_parquet.formatting import format_bytes
from a20_parquet.resources import free_memory
from a20_parquet.storage.read_speed import ReadSpeed, measure_reads
from a20_parquet.tfrecord.shard import Shard, some_in_store

MeasureReads: TypeAlias = Callable[[Sequence[str], Sequence[int], int], ReadSpeed]
"""See ``measure_reads``."""

# To copy is to write as many bytes to scratch, and to read them again in blocks. Disks write more
# slowly than they read, and blocks are not in sequence: about four times a sequential read.
_COPYING = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsChoice:
    """Where embeddings are while windows are sorted, and why."""

    located: bool
    """Whether they stay in the shards; else they are copied."""
    reason: str
    can_be_located: bool = True
    """Whether they could stay in the shards."""
    free_bytes: int | None = None
    """Free memory, if it depends on that."""
    speed: ReadSpeed | None = None
    """How fast shards are read, if it depends on that."""

    def __str__(self) -> str:
        """Say where embeddings are, and why."""
        where = "embeddings stay in the shards" if self.located else "embeddings are copied"
        return f"{where}: {self.reason}"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to tell a user: a choice by measurement, which may be another one next time."""
        return () if self.speed is None else (str(self),)

    def within(self, *, located: bool) -> "EmbeddingsChoice":
        """Return what a memory budget leaves of the choice.

        Args:
            located: whether the budget is enough for windows whose embeddings stay in the shards.
        """
        if located == self.located:
            return self
        return EmbeddingsChoice(
            located=False, reason="--memory is not enough for their locations", can_be_located=False
        )


def why_not_located(*, in_store: bool, on_cluster: bool) -> str | None:
    """Return why embeddings cannot stay in the shards, None if they can."""
    if on_cluster:
        return "with --dask"
    if in_store:
        return "from shards in a store"
    return None if hasattr(os, "preadv") else "on this operating system"


def choose_embeddings(  # noqa: PLR0913 - what the choice depends on, each a keyword
    wanted: EmbeddingsIn,
    shards: Sequence[Shard],
    *,
    record_bytes: int,
    are_locatable: bool,
    on_cluster: bool,
    free_memory: Callable[[], int] = free_memory,
    measure_reads: MeasureReads = measure_reads,
) -> EmbeddingsChoice:
    """Decide whether embeddings may stay in the shards.

    They do if shards and dataset together fit into the free memory, because the second pass then
    finds there what the first has read, or if the shards are read fast enough at random places.

    Args:
        wanted: the option.
        shards: all of them.
        record_bytes: of a record, about.
        are_locatable: whether no shard is compressed or has long records.
        on_cluster: whether a Dask cluster converts.
        free_memory: returns the bytes that are free for cached files.
        measure_reads: measures how fast files are read.

    Raises:
        UsageError: they cannot, though the user asks for it.
        SourceError: a shard cannot be read.
    """
    reason = why_not_located(in_store=some_in_store(shards), on_cluster=on_cluster)
    if wanted is EmbeddingsIn.LOCATED and reason is not None:
        raise UsageError(f"--embeddings located cannot be used {reason}: leave it out.")
    if wanted is not EmbeddingsIn.AUTO:
        return EmbeddingsChoice(
            located=wanted is EmbeddingsIn.LOCATED,
            reason=f"--embeddings {wanted}",
            can_be_located=reason is None and are_locatable,
        )
    if reason is not None:
        reason = f"they cannot stay in the shards {reason}"
    elif not are_locatable:
        reason = "a shard is compressed or has long records"
    if reason is not None:
        return EmbeddingsChoice(located=False, reason=reason, can_be_located=False)
    sizes = [shard.size for shard in shards]
    free = free_memory()
    told = f"{format_bytes(sum(sizes))}, {format_bytes(max(free, 0))} of memory free"
    # The dataset is about as large as the shards.
    if 2 * sum(sizes) <= free:
        return EmbeddingsChoice(located=True, reason=told, free_bytes=free)
    try:
        speed = measure_reads([shard.path for shard in shards], sizes, record_bytes)
    except OSError as error:
        raise SourceError(str(error)) from error
    return EmbeddingsChoice(
        located=_COPYING * speed.random >= speed.sequential,
        reason=f"{told}, records read at {format_bytes(speed.random)}/s at random places, "
        f"{format_bytes(speed.sequential)}/s in sequence",
        free_bytes=free,
        speed=speed,
    )
