"""The second pass: runs are merged, slice by slice, into Parquet files."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from a20_parquet.dataset.cursor import MergedRows, MetadataCursor
from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import FileSummary
from a20_parquet.dataset.parquet import FlatGroup, ParquetLayout, ParquetWriter
from a20_parquet.dataset.run import Rows, Run
from a20_parquet.errors import DatasetError
from a20_parquet.table.partition import PartitionBy, hive_file
from a20_parquet.table.plan import MergeUnit, OutputFile, group_files, split_rows
from a20_parquet.table.schema import EMBEDDING
from a20_parquet.table.windows import with_embeddings

SMALL_FILE_ROWS = 512
"""Files of no more rows than this are encoded many at a time."""


class MergeCursor:
    """Reads slices of several runs as one sorted sequence, each run in one forward pass."""

    def __init__(
        self,
        runs: Sequence[Run],
        slices: Sequence[tuple[int, int]],
        *,
        batch_rows: int,
        staging: Rows,
    ) -> None:
        """Start before the first row.

        Args:
            runs: what to merge.
            slices: for each run the rows ``(start, stop)`` to read.
            batch_rows: rows of metadata to read of each run at a time.
            staging: where embeddings of several runs are read before they are put in order, shape
                ``(rows, dims)``.
        """
        self._runs = runs
        self._cursor = MetadataCursor(runs, slices, batch_rows=batch_rows)
        self._is_alone = sum(start < stop for start, stop in slices) == 1
        self._staging = staging
        self._merged: MergedRows | None = None
        self._at = 0

    def read(self, out: Rows) -> Any:
        """Read the next ``len(out)`` rows.

        Args:
            out: filled with their embeddings, shape ``(rows, dims)``.

        Returns:
            Their metadata, a record batch of ``keyed_schema()``.

        Raises:
            EOFError: the slices hold fewer rows.
        """
        pieces = []
        done = 0
        while done < len(out):
            if self._merged is None or self._at == len(self._merged):
                self._merged = self._cursor.read()
                self._at = 0
            count = min(len(out) - done, len(self._merged) - self._at)
            if not self._is_alone:
                count = min(count, len(self._staging))
            rows = self._merged.slice(self._at, self._at + count)
            pieces.append(rows.metadata)
            self._read_embeddings(rows, out[done : done + count])
            self._at += count
            done += count
        return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)

    def _read_embeddings(self, rows: MergedRows, out: Rows) -> None:
        """Fill ``out``; a run's rows among them are consecutive."""
        if self._is_alone:
            self._runs[rows.run[0]].read_embeddings(int(rows.row[0]), out)
            return
        by_run = np.argsort(rows.run, kind="stable")
        present, firsts = np.unique(rows.run[by_run], return_index=True)
        bounds = [*firsts.tolist(), len(out)]
        for number, first, last in zip(present.tolist(), bounds, bounds[1:], strict=False):
            start = int(rows.row[by_run[first]])
            self._runs[number].read_embeddings(start, self._staging[first:last])
        place = np.empty(len(out), np.int64)
        place[by_run] = np.arange(len(out))
        np.take(self._staging, place, axis=0, out=out, mode="clip")


class UnitWriter:
    """Writes the files of one unit of the merge after another, with its own buffers."""

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
            layout: where the dataset lies.
            parquet: what its files have in common.
            by: the Hive keys.
            row_group_rows: rows of a row group.
            turn: shared by all writers and held while one writes small files. That is mostly
                Python, in short pieces between calls that let go of the GIL: two threads at it
                take longer than one after the other.
        """
        self._layout = layout
        self._parquet = parquet
        self._by = by
        self._turn = turn
        dims = parquet.schema.field(EMBEDDING).type.list_size
        self._buffer = np.empty((row_group_rows, dims), np.float32)
        self._row_bytes = self._buffer[:1].nbytes
        self._start_column = parquet.schema.get_field_index("window_start")

    def write(
        self, unit: MergeUnit, cursor: MergeCursor, advance: Callable[[int], None]
    ) -> list[FileSummary]:
        """Write all files of ``unit``.

        Args:
            unit: what to write.
            cursor: stands before the unit's first row.
            advance: called with the number of embedding bytes written.

        Raises:
            DatasetError: a file can't be written.
        """
        files: list[FileSummary] = []
        small_rows = min(SMALL_FILE_ROWS, len(self._buffer))
        for group in group_files(unit.files, len(self._buffer), small_rows):
            if group[0].rows > small_rows:
                row_groups = self._read_row_groups(group[0], cursor)
                files.append(self._write_file(group[0], row_groups, advance))
                continue
            windows = self._read(sum(file.rows for file in group), cursor)
            with self._turn:
                files += self._write_small_files(group, windows, advance)
        return files

    def _read(self, rows: int, cursor: MergeCursor) -> Any:
        """The next windows, whose embeddings lie in the buffer until it is filled again."""
        embeddings = self._buffer[:rows]
        return with_embeddings(cursor.read(embeddings), embeddings)

    def _read_row_groups(self, file: OutputFile, cursor: MergeCursor) -> Iterator[tuple[Any, None]]:
        for rows in split_rows(file.rows, len(self._buffer)):
            yield self._read(rows, cursor), None

    def _write_small_files(
        self, files: Sequence[OutputFile], windows: Any, advance: Callable[[int], None]
    ) -> Iterator[FileSummary]:
        """Write files of one row group each, which lie one behind the other in ``windows``."""
        encoded = self._parquet.encode_groups(windows, [file.rows for file in files])
        start = 0
        for file, flat in zip(files, encoded, strict=True):
            yield self._write_file(file, [(windows.slice(start, file.rows), flat)], advance)
            start += file.rows

    def _write_file(
        self,
        file: OutputFile,
        row_groups: Iterable[tuple[Any, FlatGroup | None]],
        advance: Callable[[int], None],
    ) -> FileSummary:
        name = hive_file(file.site, file.period, file.part, self._by)
        path = f"{self._layout.data}/{name}"
        first = last = None
        try:
            with (
                _create(path) as opened,
                ParquetWriter(opened, self._parquet) as writer,
            ):
                for windows, flat in row_groups:
                    # Within a file windows are sorted by start, those without one first.
                    starts = windows.column(self._start_column)
                    if starts.null_count < len(starts):
                        first = starts[starts.null_count].value if first is None else first
                        last = starts[-1].value
                    writer.write_row_group(windows, flat)
                    advance(len(windows) * self._row_bytes)
        except OSError as error:
            raise DatasetError(f"{path}: can't be written: {error}") from error
        return FileSummary(
            path=f"{self._layout.data.name}/{name}",
            site=file.site,
            period=file.period,
            rows=writer.rows,
            bytes=writer.size,
            checksum=f"{writer.checksum:08x}",
            first_window_us=first,
            last_window_us=last,
        )


def _create(path: str) -> BinaryIO:
    """Make a new file and, where they are missing, the folders above it."""
    try:
        return open(path, "xb", buffering=0)
    except FileNotFoundError:
        # Path.mkdir takes three times as long, and 7,000 partitions are nothing unusual.
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        return open(path, "xb", buffering=0)
