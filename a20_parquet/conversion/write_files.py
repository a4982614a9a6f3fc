"""Writes the Parquet files of one merge unit, slice by slice."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.dataset.file_bounds import FileBounds
from a20_parquet.dataset.find_bounds import bound_groups, merge_bounds
from a20_parquet.dataset.layout import DATA, DatasetLayout
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import DatasetError
from a20_parquet.parquet import GroupEncoder, ParquetLayout, ParquetWriter, ReadLists
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.merge_plan import MergeUnit, OutputFile, group_files, split_rows
from a20_parquet.runs.run import Rows
from a20_parquet.storage.files import Create, create_file
from a20_parquet.windows.build import with_embeddings
from a20_parquet.windows.half import HalfRounder, Rounding
from a20_parquet.windows.partition import PartitionBy, hive_file, key_arrays
from a20_parquet.windows.schema import EMBEDDING, key_columns

SMALL_FILE_ROWS = 512
"""Files of at most this many rows are encoded many at a time."""

_START = "window_start"

_TimeSpan: TypeAlias = tuple[int | None, int | None]
"""Starts of the first and the last window, microseconds since 1970 in UTC; None if no window has
one."""


class UnitWriter:
    """Writes the files of units of the merge, one after another, with its own buffers."""

    def __init__(
        self,
        layout: DatasetLayout,
        parquet: ParquetLayout,
        by: PartitionBy,
        *,
        row_group_rows: int,
        turn: Lock,
    ) -> None:
        """Prepare to write.

        Args:
            layout: of the dataset.
            parquet: schema and compression of its files.
            by: the Hive keys.
            row_group_rows: rows of a row group.
            turn: shared by all writers and held while one writes small files. That is mostly
                Python, in short pieces between calls that release the GIL: two threads at once
                take longer than one after the other.
        """
        self._layout = layout
        self._encoder = GroupEncoder(parquet)
        self._by = by
        self._turn = turn
        kind = parquet.schema.field(EMBEDDING).type
        self._rounder = HalfRounder() if kind.value_type == pa.float16() else None
        self._buffer = np.empty((row_group_rows, kind.list_size), np.float32)
        self._row_bytes = self._buffer[:1].nbytes
        self._create: Create = create_file
        self._keys = [
            column for column in key_columns(by.keys) if column.name in parquet.schema.names
        ]
        self._metadata_columns = [name for name in parquet.schema.names if name != EMBEDDING]

    def write(
        self,
        unit: MergeUnit,
        cursor: MergeCursor,
        advance: Callable[[int], None],
        create: Create = create_file,
    ) -> list[FileSummary]:
        """Write all files of a unit.

        Args:
            unit: plan of its files.
            cursor: before the unit's first row.
            advance: called with the number of embedding bytes written.
            create: creates the files.

        Raises:
            DatasetError: a file cannot be written.
        """
        self._create = create
        files: list[FileSummary] = []
        small_rows = min(SMALL_FILE_ROWS, len(self._buffer))
        for group in group_files(unit.files, len(self._buffer), small_rows):
            if group[0].rows > small_rows:
                files.append(self._write_large_file(group[0], cursor, advance))
                continue
            embeddings = self._buffer[: sum(file.rows for file in group)]
            windows = self._add_keys(cursor.read(embeddings))
            stored, roundings = self._stored(embeddings, [file.rows for file in group])
            windows = with_embeddings(windows, stored)
            with self._turn:
                written = self._write_small_files(group, windows, advance)
            files += [
                file.model_copy(update={"rounding": rounding}) if rounding else file
                for file, rounding in zip(written, roundings, strict=True)
            ]
        return files

    def _stored(
        self, embeddings: Rows, rows: Sequence[int]
    ) -> tuple[Rows | npt.NDArray[np.float16], list[Rounding | None]]:
        """Return the embeddings of some files as they are stored, and how each file's differ."""
        rounder = self._rounder
        if rounder is None:
            return embeddings, [None] * len(rows)
        halves = np.empty(embeddings.shape, np.float16)
        roundings: list[Rounding | None] = []
        start = 0
        for count in rows:
            stop = start + count
            rounder.round(embeddings[start:stop], halves[start:stop])
            roundings.append(rounder.take())
            start = stop
        return halves, roundings

    def _add_keys(self, keyed: Any) -> Any:
        """Add the columns of Hive keys that the files repeat to a record batch of sorted rows."""
        if not self._keys:
            return keyed
        arrays = key_arrays(keyed.column("site"), keyed.column("period"), self._by)
        return pa.record_batch(
            [*keyed.columns, *arrays],
            schema=pa.schema([*keyed.schema, *(column.field for column in self._keys)]),
        )

    def _write_large_file(
        self, file: OutputFile, cursor: MergeCursor, advance: Callable[[int], None]
    ) -> FileSummary:
        times: list[_TimeSpan] = []
        bounds: list[FileBounds] = []
        name = data_path(file, self._by)
        with self._opened(name) as writer:
            for rows in split_rows(file.rows, len(self._buffer)):
                keyed, read = cursor.read_paged(self._buffer[:rows])
                if self._rounder is not None:
                    read = _rounded(read, self._rounder)
                times += _time_spans(keyed.column(_START), [rows])
                bounds += bound_groups(keyed, [rows])
                metadata = self._add_keys(keyed).select(self._metadata_columns)
                writer.put(self._encoder.encode_paged(metadata, EMBEDDING, read))
                advance(rows * self._row_bytes)
        # Within a file windows are sorted by start, those without one first.
        known = [time for span in times for time in span if time is not None]
        span = (known[0], known[-1]) if known else (None, None)
        summary = _summarize(file, name, writer, span, merge_bounds(bounds))
        if self._rounder is None:
            return summary
        return summary.model_copy(update={"rounding": self._rounder.take()})

    def _write_small_files(
        self, files: Sequence[OutputFile], windows: Any, advance: Callable[[int], None]
    ) -> list[FileSummary]:
        """Write files of one row group each, whose rows follow each other in ``windows``."""
        written = []
        rows = [file.rows for file in files]
        spans = _time_spans(windows.column(_START), rows)
        bounds = bound_groups(windows, rows)
        groups = self._encoder.encode_many(windows, rows)
        for file, span, bound, group in zip(files, spans, bounds, groups, strict=True):
            name = data_path(file, self._by)
            with self._opened(name) as writer:
                writer.put(group)
            written.append(_summarize(file, name, writer, span, bound))
        # Once for all: moving a progress bar takes as long as writing a small file.
        advance(sum(rows) * self._row_bytes)
        return written

    @contextmanager
    def _opened(self, name: str) -> Iterator[ParquetWriter]:
        """Create a data file, which gets its name when the block ends.

        Args:
            name: its path in the dataset.

        Raises:
            DatasetError: it cannot be written.
        """
        path = self._layout.root / name
        try:
            with self._create(path) as new:
                with ParquetWriter(new.file, self._encoder) as writer:
                    yield writer
                new.expect(writer.size, writer.checksum)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be written: {error}") from error


def _rounded(read: ReadLists, rounder: HalfRounder) -> ReadLists:
    """Return a function that reads lists as halves."""

    def read_halves(start: int, stop: int) -> npt.NDArray[np.float16]:
        values = read(start, stop)
        halves = np.empty(values.shape, np.float16)
        rounder.round(values, halves)
        return halves

    return read_halves


def data_path(file: OutputFile, by: PartitionBy) -> str:
    """Return a data file's path in the dataset."""
    return f"{DATA}/{hive_file(file.site, file.period, file.part, by)}"


def _summarize(
    file: OutputFile, name: str, writer: ParquetWriter, span: _TimeSpan, bounds: FileBounds
) -> FileSummary:
    first, last = span
    return FileSummary(
        path=name,
        site=file.site,
        period=file.period,
        rows=writer.rows,
        bytes=writer.size,
        checksum=f"{writer.checksum:08x}",
        first_window_us=first,
        last_window_us=last,
        bounds=bounds,
    )


def _time_spans(starts: Any, rows: Sequence[int]) -> list[_TimeSpan]:
    """Return the time spans of consecutive row groups.

    Args:
        starts: an Arrow array of timestamps, sorted within each row group, nulls first.
        rows: number of rows of each row group, 1 or more.
    """
    counts = np.asarray(rows, np.int64)
    ends = np.cumsum(counts)
    times = starts.view(pa.int64())
    if starts.null_count:
        valid = starts.is_valid().to_numpy(zero_copy_only=False)
        counts = np.add.reduceat(valid, ends - counts, dtype=np.int64)
        times = times.fill_null(0)
    times = times.to_numpy()
    lasts = times[ends - 1].tolist()
    firsts = times[np.minimum(ends - counts, ends - 1)].tolist()
    return [
        (first, last) if count else (None, None)
        for first, last, count in zip(firsts, lasts, counts.tolist(), strict=True)
    ]
