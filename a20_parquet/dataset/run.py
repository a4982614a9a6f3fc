"""Runs: windows in sorted order, held in memory or on scratch disk, read back slice by slice.

A run on disk is three files: ``NAME.embeddings`` (raw little-endian float32 rows),
``NAME.metadata.arrow`` (Arrow IPC, the metadata and sort keys in small batches) and, written last
as the run's commit marker, ``NAME.index.arrow`` (its partitions with their rows).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import crc32c
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from a20_parquet.errors import DatasetError
from a20_parquet.storage.files import file_sum, has_sum, naming
from a20_parquet.storage.place import Place
from a20_parquet.table.order import Partitions, find_partitions, sort_order


class RunFile(BaseModel):
    """One file of a run, as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    checksum: str
    """CRC32C, eight hexadecimal digits."""


class RunFiles(BaseModel):
    """Where a run lies on scratch disk, and what its files are like."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Absolute, without the suffixes of its files."""
    dims: int
    batch_rows: int
    """How many rows of metadata can be read at a time."""
    embeddings: RunFile
    metadata: RunFile
    index: RunFile


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

    def write(self, path: Place, batch_rows: int) -> RunFiles:
        """Write the run to scratch disk as ``path`` with three suffixes.

        Args:
            path: in a folder that exists.
            batch_rows: how many rows of metadata can be read back at a time.
        """
        if not isinstance(path, Path):
            raise DatasetError(f"{path}: runs can only be written to a local folder")
        dims = self._embeddings.shape[1]
        block = np.empty((max(1, COPY_BYTES // (dims * 4)), dims), np.float32)
        checksum = 0
        place = _embeddings_path(path)
        with naming(place), open(place, "wb", buffering=0) as file:
            for start in range(0, len(self._rows), len(block)):
                piece = block[: len(self._rows) - start]
                self.read_embeddings(start, piece)
                view = piece.data.cast("B")
                checksum = crc32c.crc32c(view, checksum)
                while view:
                    view = view[file.write(view) :]
        embeddings = RunFile(bytes=len(self._rows) * dims * 4, checksum=f"{checksum:08x}")
        batches = pa.Table.from_batches([self._metadata]).to_batches(max_chunksize=batch_rows)
        metadata = _write_ipc(_metadata_path(path), batches)
        partitions = self._partitions
        columns = [partitions.site, partitions.period, pa.array(partitions.rows)]
        index = pa.record_batch(columns, names=["site", "period", "rows"])
        return RunFiles(
            path=str(path),
            dims=dims,
            batch_rows=batch_rows,
            embeddings=embeddings,
            metadata=metadata,
            index=_write_ipc(_index_path(path), [index]),
        )


class DiskRun:
    """A run on scratch disk."""

    on_disk = True

    def __init__(self, files: RunFiles) -> None:
        """Open a run."""
        path = Path(files.path)
        self._path = path
        self._dims = files.dims
        self._batch_rows = files.batch_rows
        self._files = files
        self._partitions: Partitions | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[RunFiles]]:
        """Opened anew in another process, which may need no partitions."""
        return type(self), (self._files,)

    @staticmethod
    def is_whole(files: RunFiles) -> bool:
        """Whether a run's files are as they were written."""
        path = Path(files.path)
        places = (_embeddings_path(path), _metadata_path(path), _index_path(path))
        found = zip(places, (files.embeddings, files.metadata, files.index), strict=True)
        return all(has_sum(place, file.bytes, file.checksum) for place, file in found)

    @property
    def partitions(self) -> Partitions:
        """Its partitions, in order."""
        if self._partitions is None:
            with _reading_ipc(_index_path(self._path)) as reader:
                index = _one_batch(reader.read_all())
            self._partitions = Partitions(
                index.column("site"), index.column("period"), index.column("rows").to_numpy()
            )
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


def _write_ipc(path: Path, batches: Sequence[Any]) -> RunFile:
    schema = batches[0].schema
    with (
        naming(path),
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, schema) as writer,
    ):
        for batch in batches:
            writer.write_batch(batch)
    return RunFile(bytes=path.stat().st_size, checksum=file_sum(path))
