"""Runs: windows in sorted order, read slice by slice; here those in memory."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.windows.order import Partitions, find_partitions, sort_order
from a20_parquet.windows.window_table import WindowTable

Rows = npt.NDArray[np.float32]
"""Embeddings, shape ``(rows, dims)``."""


class HasPartitions(Protocol):
    """A run, as far as planning needs it."""

    @property
    def partitions(self) -> Partitions:
        """The partitions, in order; a stored run unpacks them at each call."""
        ...


class Run(HasPartitions, Protocol):
    """Windows in sorted order."""

    @property
    def on_disk(self) -> bool:
        """Whether the windows are in files."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether the windows are in a store; then several threads may read at once."""
        ...

    def read_metadata(self, start: int, stop: int) -> Any:
        """Read rows ``start`` to before ``stop``, a record batch of ``keyed_schema()``.

        Raises:
            DatasetError: a file was damaged.
            OSError: a file cannot be read.
        """
        ...

    def read_embeddings(self, start: int, out: Rows) -> None:
        """Fill ``out`` with the embeddings from row ``start`` on; errors as ``read_metadata``."""
        ...


class SortedMetadata:
    """The part of a run whose metadata are in memory.

    Attributes:
        partitions: the partitions, in order.
    """

    on_disk = False
    is_remote = False

    def _sort(self, windows: WindowTable) -> npt.NDArray[np.int64]:
        """Sort windows, and return for each row the number of its window in ``windows``."""
        order = sort_order(windows)
        self._windows = windows.take(order)
        self.partitions = find_partitions(self._windows)
        return order

    def __len__(self) -> int:
        """Count the windows."""
        return len(self._windows)

    def read_metadata(self, start: int, stop: int) -> Any:
        """See ``Run``."""
        return self._windows.slice(start, stop).to_batch()


class InMemoryRun(SortedMetadata):
    """Windows that stay where they were decoded; only their order and metadata are sorted.

    Attributes:
        dims: floats per embedding.
    """

    def __init__(self, embeddings: Rows, rows: npt.NDArray[np.int64], windows: WindowTable) -> None:
        """Sort windows.

        Args:
            embeddings: shape ``(any, dims)``; not copied, so it must not change from now on.
            rows: the row of ``embeddings`` for each window.
            windows: their metadata, of one window or more.
        """
        self._embeddings = embeddings
        self._rows = rows[self._sort(windows)]
        self.dims = embeddings.shape[1]

    def read_embeddings(self, start: int, out: Rows) -> None:
        """See ``Run``."""
        rows = self._rows[start : start + len(out)]
        np.take(self._embeddings, rows, axis=0, out=out, mode="clip")


def join_batches(batches: Sequence[Any]) -> Any:
    """Concatenate record batches; a single one is not copied."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)
