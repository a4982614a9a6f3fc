"""The first pass: decoded records are gathered in memory, sorted, and written as runs."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.dataset.run import HeldRun, Rows
from a20_parquet.errors import UsageError
from a20_parquet.table.decoded import DecodedRecords, RecordHeads
from a20_parquet.table.partition import PartitionBy
from a20_parquet.table.windows import keyed_metadata


class WindowGatherer:
    """Gathers the windows of one unit of work, a full buffer at a time.

    Attributes:
        windows: how many windows were added.
    """

    def __init__(self, buffer: Rows, *, window_s: float, by: PartitionBy) -> None:
        """Prepare to gather.

        Args:
            buffer: where embeddings go, shape ``(rows, dims)``.
            window_s: seconds from one window's start to the next.
            by: the Hive keys.
        """
        self.windows = 0
        self._buffer = buffer
        self._window_s = window_s
        self._by = by
        self._used = 0
        self._heads: list[RecordHeads] = []

    def add(self, decoded: DecodedRecords) -> Iterator[HeldRun]:
        """Copy a batch of records into the buffer.

        Yields:
            A run each time the buffer is full; it must be written before the next step, because
            the buffer is used again.

        Raises:
            RecordError: a record can't be converted.
            UsageError: one record alone is larger than the buffer.
        """
        decoded.check_dims(self._buffer.shape[1])
        first = 0
        for index, embedding in enumerate(decoded.embeddings):
            windows, channels, dims = embedding.shape
            rows = windows * channels
            if self._used + rows > len(self._buffer):
                self._heads.append(decoded.heads.take(range(first, index)))
                first = index
                if self._used:
                    yield self._sort()
                if rows > len(self._buffer):
                    raise UsageError(
                        f"one record of {decoded.heads.shard} has {rows} windows, more than "
                        f"--memory leaves room for ({len(self._buffer)}): give more memory or "
                        "fewer workers."
                    )
            self._buffer[self._used : self._used + rows] = embedding.reshape(rows, dims)
            self._used += rows
            self.windows += rows
        self._heads.append(decoded.heads.take(range(first, len(decoded.embeddings))))

    def rest(self) -> HeldRun | None:
        """Sort what the buffer still holds, if it holds anything."""
        return self._sort() if self._used else None

    def keyed(self) -> Any:
        """The unsorted metadata of what the buffer holds, in the order of its rows."""
        return pa.Table.from_batches([keyed_metadata(self._heads, self._window_s, self._by)])

    def _sort(self) -> HeldRun:
        rows = np.arange(self._used)
        run = HeldRun(self._buffer, rows, self.keyed())
        self._heads.clear()
        self._used = 0
        return run
