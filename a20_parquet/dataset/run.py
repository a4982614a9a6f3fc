"""Runs: windows in sorted order, held in memory or on scratch disk, read back slice by slice.

A run on disk is three files: ``NAME.embeddings`` (raw little-endian float32 rows),
``NAME.metadata.arrow`` (Arrow IPC, the metadata and sort keys in small batches) and, written last
as the run's commit marker, ``NAME.index.arrow`` (its partitions with their rows).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from a20_parquet.errors import DatasetError
from a20_parquet.table.order import Partitions, find_partitions, sort_order

Rows = npt.NDArray[np.float32]
"""Embeddings, shape ``(rows, dims)``."""

COPY_BYTES = 4 << 20
"""Size of the buffer through which a run is written."""


class Run(Protocol):
    """Windows in sorted order."""

    @property
    def on_disk(self) -> bool:
        """Whether it lies on scratch disk."""
        ...

    @property
    def partitions(self) -> Partitions:
        """Its partitions, in order."""
        ...

    def read_metadata(self, start: int, stop: int) -> Any:
        """Rows ``start`` to before ``stop``, a record batch of ``keyed_schema()``."""
        ...

    def read_embeddings(self, start: int, out: Rows) -> None:
        """Fill ``out`` with the embeddings from row ``start`` on."""
        ...


class HeldRun:
    """Windows that stay where they were decoded; only their order and metadata are sorted."""

    on_disk = False

    def __init__(self, embeddings: Rows, rows: npt.NDArray[np.int64], keyed: Any) -> None:
        """Sort windows.

        Args:
            embeddings: shape ``(any, dims)``; not copied, and not to be changed from now on.
            rows: which row of ``embeddings`` belongs to each window.
            keyed: the windows' metadata, a table of ``keyed_schema()``.
        """
        order = sort_order(keyed)
        self._embeddings = embeddings
        self._rows = rows[order]
        self._metadata = _one_batch(keyed.take(pa.array(order)))
        self._partitions = find_partitions(self._metadata)

    @property
    def partitions(self) -> Partitions:
        """Its partitions, in order."""
        return self._partitions

    def read_metadata(self, start: int, stop: int) -> Any:
        """Rows ``start`` to before ``stop``, a record batch of ``keyed_schema()``."""
        return self._metadata.slice(start, stop - start)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """Fill ``out`` with the embeddings from row ``start`` on."""
        rows = self._rows[start : start + len(out)]
        np.take(self._embeddings, rows, axis=0, out=out, mode="clip")

    def write(self, path: Path, batch_rows: int) -> "DiskRun":
        """Write the run to scratch disk as ``path`` with three suffixes.

        Args:
            path: in a folder that exists.
            batch_rows: how many rows of metadata can be read back at a time.
        """
        dims = self._embeddings.shape[1]
        block = np.empty((max(1, COPY_BYTES // (dims * 4)), dims), np.float32)
        with open(_embeddings_path(path), "wb", buffering=0) as file:
            for start in range(0, len(self._rows), len(block)):
                piece = block[: len(self._rows) - start]
                self.read_embeddings(start, piece)
                view = piece.data.cast("B")
                while view:
                    view = view[file.write(view) :]
        batches = pa.Table.from_batches([self._metadata]).to_batches(max_chunksize=batch_rows)
        _write_ipc(_metadata_path(path), batches)
        partitions = self._partitions
        columns = [partitions.site, partitions.period, pa.array(partitions.rows)]
        index = pa.record_batch(columns, names=["site", "period", "rows"])
        _write_ipc(_index_path(path), [index])
        return DiskRun(path, dims, batch_rows)


class DiskRun:
    """A run on scratch disk."""

    on_disk = True

    def __init__(self, path: Path, dims: int, batch_rows: int) -> None:
        """Open the run that was written as ``path``; its index must be there."""
        self._path = path
        self._dims = dims
        self._batch_rows = batch_rows
        with _reading_ipc(_index_path(path)) as reader:
            index = _one_batch(reader.read_all())
        self._partitions = Partitions(
            index.column("site"), index.column("period"), index.column("rows").to_numpy()
        )

    @property
    def partitions(self) -> Partitions:
        """Its partitions, in order."""
        return self._partitions

    def read_metadata(self, start: int, stop: int) -> Any:
        """Rows ``start`` to before ``stop``, a record batch of ``keyed_schema()``."""
        first, last = start // self._batch_rows, -(-stop // self._batch_rows)
        with _reading_ipc(_metadata_path(self._path)) as reader:
            rows = pa.concat_batches([reader.get_batch(i) for i in range(first, last)])
        return rows.slice(start - first * self._batch_rows, stop - start)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """Fill ``out`` with the embeddings from row ``start`` on.

        Raises:
            DatasetError: the file is shorter than it was when it was written.
        """
        with open(_embeddings_path(self._path), "rb", buffering=0) as file:
            file.seek(start * self._dims * 4)
            view = out.data.cast("B")
            while view:
                count = file.readinto(view)
                if not count:
                    raise _damaged(_embeddings_path(self._path))
                view = view[count:]


def _embeddings_path(path: Path) -> Path:
    return path.with_suffix(".embeddings")


def _metadata_path(path: Path) -> Path:
    return path.with_suffix(".metadata.arrow")


def _index_path(path: Path) -> Path:
    return path.with_suffix(".index.arrow")


@contextmanager
def _reading_ipc(path: Path) -> Iterator[Any]:
    try:
        with pa.OSFile(str(path)) as file:
            yield pa.ipc.open_file(file)
    except pa.ArrowInvalid as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> DatasetError:
    return DatasetError(
        f"{path} has been cut short or changed since it was written. Nothing else may write to "
        "the scratch folder: convert again."
    )


def _one_batch(table: Any) -> Any:
    return table.combine_chunks().to_batches()[0]


def _write_ipc(path: Path, batches: Sequence[Any]) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
