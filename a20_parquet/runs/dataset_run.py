"""Data files of a dataset, read as runs."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.errors import DatasetError
from a20_parquet.runs.run import Rows, join_batches
from a20_parquet.windows.order import Partitions, keyed_schema
from a20_parquet.windows.partition import PartitionKey
from a20_parquet.windows.schema import Feature, metadata_schema

_EXISTING_SHARD = -1
"""Shard number of windows in the dataset, which sorts before all others."""


class DatasetRun:
    """One data file of a dataset as a run; for one thread.

    The file is open only during a read, because a partition may have any number of files. The
    metadata of the row group that was read last stays in memory until the last row was read.

    Attributes:
        is_remote: whether the dataset is in a store.
        rows: number of rows.
    """

    on_disk = True

    def __init__(
        self, catalog: Catalog, number: int, key: PartitionKey, features: Sequence[Feature] = ()
    ) -> None:
        """Read nothing yet.

        Args:
            catalog: the dataset's catalog.
            number: index of the file in the catalog.
            key: the file's partition.
            features: the dataset's further features.
        """
        self.is_remote = not catalog.is_local
        self._catalog = catalog
        self._path, self._size, self.rows = catalog.files.select("path", "bytes", "rows").row(
            number
        )
        self._key = key
        self._features = tuple(features)
        self._group_start = 0
        self._group: Any = None

    @property
    def partitions(self) -> Partitions:
        """The file's partition."""
        site, period = self._key
        return Partitions(
            pa.array([site]), pa.array([period], pa.int32()), np.array([self.rows], np.int64)
        )

    def read_metadata(self, start: int, stop: int) -> Any:
        """See ``Run``."""
        parts = []
        with ExitStack() as opened:
            file: DataFile | None = None
            while start < stop:
                row = start - self._group_start
                if self._group is None or not 0 <= row < len(self._group):
                    file = file or opened.enter_context(self._open())
                    self._group_start, self._group = self._read_group(file, start)
                parts.append(self._group.slice(start - self._group_start, stop - start))
                start += len(parts[-1])
        if stop == self.rows:
            self._group = None
        return join_batches(parts)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """See ``Run``."""
        stop = start + len(out)
        with self._open() as file:
            for group, first in enumerate(accumulate(file.rows[:-1], initial=0)):
                if first >= stop or first + file.rows[group] <= start:
                    continue
                for pages, page in file.pages(group):
                    page_first = first + page.first
                    low, high = max(start, page_first), min(stop, page_first + page.rows)
                    if low < high:
                        whole = np.empty((page.rows, out.shape[1]), np.float32)
                        file.read_page(pages, page, whole)
                        out[low - start : high - start] = whole[
                            low - page_first : high - page_first
                        ]

    def _open(self) -> DataFile:
        return DataFile(self._catalog, self._path, rows=self.rows, size=self._size)

    def _read_group(self, file: DataFile, row: int) -> tuple[int, Any]:
        """Return the first row of the row group that contains ``row``, and its metadata."""
        starts = np.array(list(accumulate(file.rows, initial=0)))
        group = int(np.searchsorted(starts, row, side="right")) - 1
        first, rows = int(starts[group]), file.rows[group]
        table = file.metadata([group], metadata_schema(self._features).names)
        site, period = self._key
        keys = {
            "site": pa.repeat(pa.scalar(site), rows),
            "period": pa.repeat(pa.scalar(period, pa.int32()), rows),
            "shard": pa.repeat(pa.scalar(_EXISTING_SHARD, pa.int32()), rows),
            "record": pa.array(np.arange(first, first + rows)),
        }
        columns = {name: table[name].combine_chunks() for name in table.column_names} | keys
        schema = keyed_schema(self._features)
        for field in schema:
            found = columns[field.name].type
            if found != field.type:
                raise DatasetError(
                    f"{self._catalog.url(self._path)}: its column {field.name} is {found}, "
                    f"expected {field.type}. It was changed: copy or convert the dataset again."
                )
        return first, pa.record_batch([columns[name] for name in schema.names], schema=schema)
