"""The second pass: runs are merged, slice by slice, into Parquet files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.dataset.manifest import DataFile, commit_unit
from a20_parquet.dataset.parquet import ParquetLayout, ParquetWriter
from a20_parquet.dataset.run import Rows, Run
from a20_parquet.errors import DatasetError
from a20_parquet.table.order import sort_order
from a20_parquet.table.partition import PartitionBy, hive_folder
from a20_parquet.table.plan import MergeUnit, OutputFile, split_rows
from a20_parquet.table.windows import with_embeddings


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
        parts = [(run, *bounds) for run, bounds in zip(runs, slices, strict=True)]
        parts = [part for part in parts if part[1] < part[2]]
        self._runs = [run for run, _, _ in parts]
        self._next = np.array([start for _, start, _ in parts], np.int64)
        self._stop = np.array([stop for _, _, stop in parts], np.int64)
        self._batch_rows = batch_rows
        self._staging = staging
        self._metadata: Any = None
        self._run = np.zeros(0, np.int64)
        self._row = np.zeros(0, np.int64)
        self._at = 0
        self._safe = 0

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
            if self._at == self._safe:
                self._refill()
            count = min(len(out) - done, self._safe - self._at, len(self._staging))
            pieces.append(self._metadata.slice(self._at, count))
            self._read_embeddings(out[done : done + count])
            self._at += count
            done += count
        return pieces[0] if len(pieces) == 1 else pa.concat_batches(pieces)

    def _read_embeddings(self, out: Rows) -> None:
        """Fill ``out`` from the current position; a run's rows among them are consecutive."""
        row = self._row[self._at : self._at + len(out)]
        if len(self._runs) == 1:
            self._runs[0].read_embeddings(int(row[0]), out)
            return
        run = self._run[self._at : self._at + len(out)]
        by_run = np.argsort(run, kind="stable")
        present, firsts = np.unique(run[by_run], return_index=True)
        bounds = [*firsts.tolist(), len(out)]
        for number, first, last in zip(present.tolist(), bounds, bounds[1:], strict=False):
            start = int(row[by_run[first]])
            self._runs[number].read_embeddings(start, self._staging[first:last])
        place = np.empty(len(out), np.int64)
        place[by_run] = np.arange(len(out))
        np.take(self._staging, place, axis=0, out=out, mode="clip")

    def _refill(self) -> None:
        """Read more metadata and find how many rows can be given out.

        A row can be given out when no run can still bring a smaller one: when it does not come
        after the last row read of any run that goes on.
        """
        rest = slice(self._at, None)
        runs, rows = [self._run[rest]], [self._row[rest]]
        batches = [] if self._metadata is None else [self._metadata.slice(self._at)]
        waiting = np.bincount(runs[0], minlength=len(self._runs))
        for number in np.flatnonzero((waiting < self._batch_rows) & (self._next < self._stop)):
            start = self._next[number]
            stop = min(start + self._batch_rows, self._stop[number])
            batches.append(self._runs[number].read_metadata(int(start), int(stop)))
            runs.append(np.full(stop - start, number))
            rows.append(np.arange(start, stop))
            self._next[number] = stop
        if sum(map(len, batches)) == 0:
            raise EOFError("the runs hold fewer rows than their indexes say")
        keyed = pa.concat_batches(batches)
        run, row = np.concatenate(runs), np.concatenate(rows)
        if len(self._runs) > 1:
            order = sort_order(keyed)
            keyed, run, row = keyed.take(pa.array(order)), run[order], row[order]
        self._metadata, self._run, self._row = keyed, run, row
        self._at = 0
        self._safe = self._count_safe(run, row)

    def _count_safe(self, run: npt.NDArray[np.int64], row: npt.NDArray[np.int64]) -> int:
        goes_on = (self._next < self._stop)[run]
        is_last_read = row == (self._next - 1)[run]
        ends = np.flatnonzero(goes_on & is_last_read)
        return int(ends[0]) + 1 if len(ends) else len(run)


class UnitWriter:
    """Writes the files of one unit of the merge after another, with its own buffers."""

    def __init__(
        self,
        layout: DatasetLayout,
        parquet: ParquetLayout,
        by: PartitionBy,
        *,
        dims: int,
        row_group_rows: int,
    ) -> None:
        self._layout = layout
        self._parquet = parquet
        self._by = by
        self._buffer = np.empty((row_group_rows, dims), np.float32)

    def write(
        self, unit: MergeUnit, cursor: MergeCursor, advance: Callable[[int], None]
    ) -> list[DataFile]:
        """Write all files of ``unit`` and then its commit marker.

        Args:
            unit: what to write.
            cursor: stands before the unit's first row.
            advance: called with the number of embedding bytes written.

        Raises:
            DatasetError: a file can't be written.
        """
        files = []
        folder = None
        for file in unit.files:
            parent = self._layout.data / hive_folder(file.site, file.period, self._by)
            path = parent / f"part-{file.part:04d}.parquet"
            try:
                if parent != folder:
                    parent.mkdir(parents=True, exist_ok=True)
                    folder = parent
                files.append(self._write_file(path, file, cursor, advance))
            except OSError as error:
                raise DatasetError(f"{path}: can't be written: {error}") from error
        commit_unit(self._layout, unit.number, files)
        return files

    def _write_file(
        self, path: Path, file: OutputFile, cursor: MergeCursor, advance: Callable[[int], None]
    ) -> DataFile:
        first = last = None
        with (
            path.open("xb", buffering=0) as opened,
            ParquetWriter(opened, self._parquet) as writer,
        ):
            for rows in split_rows(file.rows, len(self._buffer)):
                embeddings = self._buffer[:rows]
                metadata = cursor.read(embeddings)
                # Within a file windows are sorted by their start, those without one first.
                starts = metadata.column("window_start").drop_null()
                if len(starts):
                    first = starts[0].value if first is None else first
                    last = starts[-1].value
                writer.write_row_group(with_embeddings(metadata, embeddings))
                advance(embeddings.nbytes)
        return DataFile(
            path=path.relative_to(self._layout.root).as_posix(),
            site=file.site,
            period=file.period,
            rows=writer.rows,
            bytes=writer.size,
            checksum=f"{writer.checksum:08x}",
            first_window_us=first,
            last_window_us=last,
        )
