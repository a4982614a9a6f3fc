"""The selected rows of a dataset's partitions, read as runs in sorted order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.exporting.select_rows import SelectedRows
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.dataset_run import DatasetRun
from a20_parquet.runs.run import Rows, Run
from a20_parquet.runs.without_rows import WithoutRows
from a20_parquet.windows.partition import PartitionKey

_BATCH_ROWS: Final = 2048
_LEAST_BATCH_ROWS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePartition:
    """A partition with selected rows."""

    key: PartitionKey
    files: tuple[int, ...]
    """Numbers, in the dataset, of its files that have selected rows."""
    rows: int
    """Selected rows."""
    is_whole: bool
    """Whether all its rows are selected."""


def selected_partitions(files: list[FileSummary], rows: SelectedRows) -> list[SourcePartition]:
    """List the partitions with selected rows, in the dataset's order.

    Args:
        files: of the dataset.
        rows: the selected ones.
    """
    by_key: dict[PartitionKey, list[int]] = {}
    for number, file in enumerate(files):
        by_key.setdefault(file.key, []).append(number)
    return [
        SourcePartition(
            key=key,
            files=tuple(used),
            rows=sum(int(rows.counts[number]) for number in used),
            is_whole=len(used) == len(numbers) and all(map(rows.is_whole, numbers)),
        )
        for key, numbers in by_key.items()
        if (used := [number for number in numbers if rows.counts[number]])
    ]


def open_cursor(
    catalog: Catalog, partition: SourcePartition, rows: SelectedRows, staging: Rows
) -> MergeCursor:
    """Open the selected rows of a partition as one sorted sequence.

    Args:
        catalog: of the dataset.
        partition: to read.
        rows: the selected ones.
        staging: memory for embeddings of several files, shape ``(any, dims)``.
    """
    runs = list(_runs(catalog, partition, rows))
    slices = [(0, int(rows.counts[number])) for number in partition.files]
    batch_rows = max(_LEAST_BATCH_ROWS, _BATCH_ROWS // len(runs))
    return MergeCursor(runs, slices, batch_rows=batch_rows, staging=staging)


def _runs(catalog: Catalog, partition: SourcePartition, rows: SelectedRows) -> Iterator[Run]:
    for number in partition.files:
        run = DatasetRun(catalog, number, partition.key, catalog.features)
        if rows.is_whole(number):
            yield run
        else:
            yield WithoutRows(run, np.flatnonzero(~rows.mask(number)))
