"""Reads the selected windows of a dataset, and puts them together to records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.exporting.find_records import FoundRecord, RecordLength, find_records
from a20_parquet.exporting.record_features import FeatureRows, feature_rows
from a20_parquet.exporting.select_rows import SelectedRows
from a20_parquet.exporting.source_rows import open_cursor, selected_partitions
from a20_parquet.runs.run import Rows, join_batches
from a20_parquet.windows.schema import Feature

Numbers = npt.NDArray[np.int64]

BUFFER_BYTES: Final = 32 << 20
"""Size of the buffer of windows whose records are not complete."""
_LEAST_ROWS: Final = 8
_STAGING_ROWS: Final = 2048
_PARTS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record."""

    filename: str
    offset_s: float
    """Seconds from the recording's start to the record's."""
    embedding: npt.NDArray[np.float32]
    """Shape ``(windows, channels, dims)``; a copy."""
    features: tuple[tuple[Feature, npt.NDArray[Any]], ...]
    """Further features that it has; see ``FeatureRows.of_record`` for the values."""


def read_records(
    catalog: Catalog, rows: SelectedRows, buffer_bytes: int = BUFFER_BYTES
) -> Iterator[Record]:
    """Yield the records of the selected windows, those of a recording in order.

    Windows wait for the rest of their record, also behind other recordings of the same time. If
    more than half of the buffer waits, the recordings that were read first are cut there.

    Args:
        catalog: the dataset.
        rows: the selected ones.
        buffer_bytes: memory for embeddings; more where the channels of a window need it.

    Raises:
        UsageError: a window's channels make no record, see ``find_records``.
        DatasetError: a file is damaged or cannot be read.
    """
    options = catalog.manifest.options
    capacity = max(_LEAST_ROWS, buffer_bytes // (options.dims * 4))
    assembler = _Assembler(
        np.empty((capacity, options.dims), np.float32),
        options.features,
        RecordLength(options.window_seconds, max(1, capacity // _PARTS)),
    )
    staging = np.empty((min(_STAGING_ROWS, capacity), options.dims), np.float32)
    for partition in selected_partitions(catalog.data_files(), rows):
        cursor = open_cursor(catalog, partition, rows, staging)
        left = partition.rows
        while left:
            out = assembler.free[:left]
            assembler.add(cursor.read(out))
            left -= len(out)
            if not len(assembler.free):
                yield from assembler.take(at_end=False)
    yield from assembler.take(at_end=True)


class _Assembler:
    """Holds windows until their records are complete."""

    def __init__(self, buffer: Rows, features: Sequence[Feature], length: RecordLength) -> None:
        self._buffer = buffer
        self._features = tuple(features)
        self._names = [
            *("filename", "recording_offset_in_file", "channel"),
            *(feature.name for feature in features),
        ]
        self._length = length
        self._filled = 0
        self._batches: list[Any] = []

    @property
    def free(self) -> Rows:
        """Memory for the embeddings of the next windows."""
        return self._buffer[self._filled :]

    def add(self, metadata: Any) -> None:
        """Take windows whose embeddings are at the start of ``free``."""
        self._batches.append(metadata.select(self._names))
        self._filled += len(metadata)

    def take(self, *, at_end: bool) -> Iterator[Record]:
        """Yield the records that are complete; at the end, all."""
        if not self._batches:
            return
        windows = join_batches(self._batches)
        whole = len(windows) if at_end else _whole_windows(windows)
        windows_taken = windows.slice(0, whole)
        features = feature_rows(self._features, windows_taken)
        found = find_records(windows_taken, features, self._length)
        waiting = set() if at_end else self._waiting(found)
        for record in found:
            if not (record.is_open and record.recording in waiting):
                yield self._record(record, features)
        kept = [r.rows.reshape(-1) for r in found if r.is_open and r.recording in waiting]
        self._keep(windows, np.sort(np.concatenate([*kept, np.arange(whole, len(windows))])))

    def _waiting(self, found: Sequence[FoundRecord]) -> set[int]:
        """Return the recordings whose open records wait: the latest that fit half the buffer."""
        latest: dict[int, tuple[int, int]] = {}
        for record in found:
            if record.is_open:
                row, count = latest.get(record.recording, (0, 0))
                latest[record.recording] = (
                    max(row, int(record.rows.max())),
                    count + record.rows.size,
                )
        waiting: set[int] = set()
        room = len(self._buffer) // 2
        for recording, (_, count) in sorted(
            latest.items(), key=lambda item: item[1][0], reverse=True
        ):
            room -= count
            if room < 0:
                break
            waiting.add(recording)
        return waiting

    def _record(self, record: FoundRecord, features: Sequence[FeatureRows]) -> Record:
        values = [(each.feature, each.of_record(record.rows)) for each in features]
        return Record(
            filename=record.filename,
            offset_s=record.offset_s,
            embedding=self._buffer[record.rows],
            features=tuple((feature, found) for feature, found in values if found is not None),
        )

    def _keep(self, windows: Any, rows: Numbers) -> None:
        """Move rows to the start of the buffer, and forget all others."""
        self._batches = [windows.take(pa.array(rows))] if len(rows) else []
        self._filled = len(rows)
        buffer = self._buffer
        if len(rows) > len(buffer) // 2:
            # One window may have thousands of channels.
            self._buffer = np.empty((2 * len(buffer), buffer.shape[1]), np.float32)
            self._length = RecordLength(self._length.hop_s, len(self._buffer) // _PARTS)
        self._buffer[: len(rows)] = buffer[rows]


def _whole_windows(windows: Any) -> int:
    """Count the rows before the last window, whose channels may not be complete."""
    names = windows.column("filename").dictionary_encode().indices.to_numpy()
    offsets_s = windows.column("recording_offset_in_file").to_numpy()
    others = np.flatnonzero((names != names[-1]) | (offsets_s != offsets_s[-1]))
    return int(others[-1]) + 1 if len(others) else 0
