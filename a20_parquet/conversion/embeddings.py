"""Decides whether embeddings stay in the shards, or are copied, while windows are sorted."""

import os
from dataclasses import dataclass

from a20_parquet.conversion.options import EmbeddingsIn
from a20_parquet.errors import UsageError
from a20_parquet.formatting import format_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingsChoice:
    """Where embeddings are while windows are sorted, and why."""

    located: bool
    """Whether they stay in the shards; else they are copied."""
    reason: str
    asked_memory: bool = False
    """Whether it depends on the memory that is free."""

    def __str__(self) -> str:
        """Say where embeddings are, and why."""
        where = "embeddings stay in the shards" if self.located else "embeddings are copied"
        return f"{where}: {self.reason}"

    def within(self, *, located: bool) -> "EmbeddingsChoice":
        """Return what a memory budget leaves of the choice.

        Args:
            located: whether the budget is enough for windows whose embeddings stay in the shards.
        """
        if located == self.located:
            return self
        return EmbeddingsChoice(located=False, reason="--memory is not enough for their locations")


def why_not_located(*, in_store: bool, on_cluster: bool) -> str | None:
    """Return why embeddings cannot stay in the shards, None if they can."""
    if on_cluster:
        return "with --dask"
    if in_store:
        return "from shards in a store"
    return None if hasattr(os, "preadv") else "on this operating system"


def choose_embeddings(  # noqa: PLR0913 - what the choice depends on, each a keyword
    wanted: EmbeddingsIn,
    *,
    shard_bytes: int,
    free_bytes: int,
    are_locatable: bool,
    in_store: bool,
    on_cluster: bool,
) -> EmbeddingsChoice:
    """Decide whether embeddings may stay in the shards.

    Args:
        wanted: the option.
        shard_bytes: size of all shards.
        free_bytes: memory that is free for cached files.
        are_locatable: whether no shard is compressed or has long records.
        in_store: whether a shard is in a store.
        on_cluster: whether a Dask cluster converts.

    Raises:
        UsageError: they cannot, though the user asks for it.
    """
    reason = why_not_located(in_store=in_store, on_cluster=on_cluster)
    if wanted is EmbeddingsIn.LOCATED and reason is not None:
        raise UsageError(f"--embeddings located cannot be used {reason}: leave it out.")
    if wanted is not EmbeddingsIn.AUTO:
        return EmbeddingsChoice(
            located=wanted is EmbeddingsIn.LOCATED, reason=f"--embeddings {wanted}"
        )
    if reason is not None:
        return EmbeddingsChoice(located=False, reason=f"they cannot stay in the shards {reason}")
    if not are_locatable:
        return EmbeddingsChoice(located=False, reason="a shard is compressed or has long records")
    return EmbeddingsChoice(
        located=shard_bytes <= free_bytes,
        reason=f"{format_bytes(shard_bytes)}, {format_bytes(free_bytes)} of memory free",
        asked_memory=True,
    )
