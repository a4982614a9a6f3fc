"""Inputs of a stage, and its work: the timed part, without preparation."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from a20_parquet.conversion.job import ConversionSetup, plan_conversion
from a20_parquet.conversion.new_shards import NewShards
from a20_parquet.conversion.options import ConvertOptions
from a20_parquet.conversion.reading import Reading
from a20_parquet.execution.threads import Pool, ThreadExecutor
from a20_parquet.progress import NoProgress
from a20_parquet.runs.run import Rows
from a20_parquet.shards.discover import Listing, find_shards


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Everything prepared: what is left is to do it."""

    pieces: Sequence[Callable[[], object]]
    """Independent of each other, as the package's workers take them."""
    size: int
    """Bytes that all pieces together take in: of shards where they read shards, else of
    embeddings."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where and how a stage works."""

    shards: Path
    """A folder of shards."""
    scratch: Path
    """An empty folder."""
    threads: int
    memory: int
    """Budget in bytes, of which buffers are made as a conversion does it."""

    @cached_property
    def listing(self) -> Listing:
        """The shards."""
        return find_shards(str(self.shards))

    def job(self, *, decoder: str = "wire", **options: Any) -> ConversionSetup:
        """Plan a conversion of the shards.

        Args:
            decoder: its decode stage.
            options: others of ``ConvertOptions``.
        """
        values = {"workers": self.threads, "memory": self.memory, "decoder": decoder, **options}
        executor = ThreadExecutor(self.threads, NoProgress())
        chosen = ConvertOptions.model_validate(values)
        reading = Reading.of(chosen, None)
        return plan_conversion(NewShards(shards=self.listing.shards), chosen, reading, executor)

    def buffers(self, rows: int, dims: int) -> Pool[Rows]:
        """Make a buffer for each thread, of which every page has been written to."""
        pool = Pool(lambda: np.full((rows, dims), np.nan, np.float32))
        with ExitStack() as lent:
            for _ in range(self.threads):
                lent.enter_context(pool.borrow())
        return pool
