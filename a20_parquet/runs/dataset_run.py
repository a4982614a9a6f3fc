"""Data files that a dataset already holds, read as runs."""

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.data_file import DataFile
from a20_parquet.errors import DatasetError
from a20_parquet.runs.run import Rows
from a20_parquet.windows.order import Partitions
from a20_parquet.windows.partition import PartitionKey
from a20_parquet.windows.schema import Feature, keyed_schema, metadata_schema

HELD_SHARD = -1
"""Stands for the shard of windows that a dataset holds already: they come before all others."""


class DatasetRun:
    """One data file of a dataset as a run; for one thread.

    The file is opened each time that something is read of it, and closed again: a partition may
    have any number of files. The metadata of the row group that was read last stays in memory until
    the file's last row was given out.

    Attributes:
        rows: how many it has.
    """

    on_disk = True

    def __init__(
        self, catalog: Catalog, number: int, key: PartitionKey, features: Sequence[Feature] = ()
    ) -> None:
        """Take the file; it is not opened yet.

        Args:
            catalog: of the dataset.
            number: of the file in the catalog.
            key: of its partition.
            features: which windows carry along.
        """
        self._catalog = catalog
        self._path, self._size, self.rows = catalog.files.select("path", "bytes", "rows").row(
            number
        )
        self._key = key
        self._features = tuple(features)
        self._group: tuple[int, Any] | None = None

    @property
    def is_remote(self) -> bool:
        """Whether the dataset is in a store."""
        return not self._catalog.is_local

    @property
    def partitions(self) -> Partitions:
        """Its partitions: one."""
        site, period = self._key
        return Partitions(
            pa.array([site]), pa.array([period], pa.int32()), np.array([self.rows], np.int64)
        )

    def read_metadata(self, start: int, stop: int) -> Any:
        """Rows ``start`` to before ``stop``, a record batch of ``keyed_schema()``.

        Raises:
            DatasetError: the file is missing or damaged.
        """
        parts = []
        with ExitStack() as opened:
            file: DataFile | None = None
            while start < stop:
                if self._group is None or not self._holds(start):
                    file = file or opened.enter_context(self._open())
                    self._group = self._read_group(file, start)
                first, batch = self._group
                part = batch.slice(start - first, stop - start)
                parts.append(part)
                start += len(part)
        if stop == self.rows:
            self._group = None
        return parts[0] if len(parts) == 1 else pa.concat_batches(parts)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """Fill ``out`` with the embeddings from row ``start`` on.

        Raises:
            DatasetError: the file is missing or damaged.
        """
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

    def _holds(self, row: int) -> bool:
        return self._group is not None and 0 <= row - self._group[0] < len(self._group[1])

    def _read_group(self, file: DataFile, row: int) -> tuple[int, Any]:
        """Read the metadata of the row group with ``row``, and tell its first row."""
        starts = np.array(list(accumulate(file.rows, initial=0)))
        group = int(np.searchsorted(starts, row, side="right")) - 1
        first, rows = int(starts[group]), file.rows[group]
        table = file.metadata([group], metadata_schema(self._features).names)
        site, period = self._key
        keys = {
            "site": pa.repeat(pa.scalar(site), rows),
            "period": pa.repeat(pa.scalar(period, pa.int32()), rows),
            "shard": pa.repeat(pa.scalar(HELD_SHARD, pa.int32()), rows),
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
