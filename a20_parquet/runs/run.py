"""Runs: windows in sorted order, held in memory or on scratch storage, read slice by slice."""

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, Protocol, Self, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from a20_parquet.runs.run_files import (
    MetadataPlaces,
    RunFile,
    damaged,
    embeddings_place,
    index_place,
    metadata_place,
    pack_partitions,
    read_file,
    unpack_partitions,
    write_file,
)
from a20_parquet.storage.concurrent import map_at_once
from a20_parquet.storage.files import has_sum
from a20_parquet.storage.locate import check_regular
from a20_parquet.storage.path import AnyPath, StorePath, parse_path
from a20_parquet.windows.order import Partitions, find_partitions, sort_order


class RunFiles(BaseModel):
    """A run on scratch storage: its path, and what its files contain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Absolute, or a URL; without the suffixes of its files."""
    dims: int
    batch_rows: int
    """How many rows of metadata can be read at a time."""
    embeddings: RunFile
    metadata: RunFile
    index: RunFile
    places_bytes: int
    """With how many bytes the index tells where the batches of metadata are."""


Rows = npt.NDArray[np.float32]
"""Embeddings, shape ``(rows, dims)``."""

COPY_BYTES = 4 << 20
"""Size of the buffer through which a run is written."""


class Run(Protocol):
    """Windows in sorted order."""

    @property
    def on_disk(self) -> bool:
        """Whether it is on scratch storage."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether who reads it waits for a store; several threads may, then."""
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


class PartitionsOf(Sequence[Partitions]):
    """The partitions of runs, each read when it is asked for: all of them may take gigabytes."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs

    def __len__(self) -> int:
        """Count the runs."""
        return len(self._runs)

    @overload
    def __getitem__(self, index: int) -> Partitions: ...
    @overload
    def __getitem__(self, index: slice) -> "PartitionsOf": ...
    def __getitem__(self, index: int | slice) -> "Partitions | PartitionsOf":
        """Read those of a run, or take some of the runs."""
        if isinstance(index, slice):
            return PartitionsOf(self._runs[index])
        return self._runs[index].partitions


class InMemoryRun:
    """Windows that stay where they were decoded; only their order and metadata are sorted."""

    on_disk = False
    is_remote = False

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

    def write(self, path: AnyPath, batch_rows: int) -> RunFiles:
        """Write the run to scratch storage as ``path`` with three suffixes.

        Args:
            path: in a folder that exists, or in a store.
            batch_rows: how many rows of metadata can be read back at a time.

        Raises:
            OSError: it cannot be written.
        """
        embeddings, _ = write_file(embeddings_place(path), self._blocks())
        metadata, ends = write_file(metadata_place(path), self._messages(batch_rows))
        places = MetadataPlaces(self._metadata.schema, np.array(ends, np.int64)).serialize()
        index = [places, pack_partitions(self._partitions)]
        return RunFiles(
            path=str(path),
            dims=self._embeddings.shape[1],
            batch_rows=batch_rows,
            embeddings=embeddings,
            metadata=metadata,
            index=write_file(index_place(path), index)[0],
            places_bytes=len(places),
        )

    def _messages(self, batch_rows: int) -> Iterator[Any]:
        """Its metadata, message by message."""
        yield self._metadata.schema.serialize()
        for start in range(0, len(self._rows), batch_rows):
            yield self._metadata.slice(start, batch_rows).serialize()

    def _blocks(self) -> Iterator[Any]:
        """Its embeddings in order, through a small buffer that is used again and again."""
        dims = self._embeddings.shape[1]
        block = np.empty((max(1, COPY_BYTES // (dims * 4)), dims), np.float32)
        for start in range(0, len(self._rows), len(block)):
            piece = block[: len(self._rows) - start]
            self.read_embeddings(start, piece)
            yield piece


class StoredRun:
    """A run on scratch storage; any number of threads may read it.

    Its index is read when something of it is first needed, and once only. Its partitions, of which
    there may be more than windows fit into memory, are kept as they are stored.
    """

    on_disk = True

    def __init__(self, files: RunFiles) -> None:
        """Name a run; see ``open_runs``."""
        self._files = files
        self._path = parse_path(files.path)
        self._lock = Lock()
        self._places: MetadataPlaces | None = None
        self._packed: bytes | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[RunFiles]]:
        """Another process reads of its index what it needs."""
        return type(self), (self._files,)

    @staticmethod
    def is_whole(files: RunFiles) -> bool:
        """Whether a run's files are as they were written."""
        path = parse_path(files.path)
        places = (embeddings_place(path), metadata_place(path), index_place(path))
        found = zip(places, (files.embeddings, files.metadata, files.index), strict=True)
        return all(has_sum(place, file.bytes, file.checksum) for place, file in found)

    @property
    def is_remote(self) -> bool:
        """Whether it is in a store."""
        return isinstance(self._path, StorePath)

    def open(self) -> bytes:
        """Read the index, with one request, and give the partitions as it has them.

        Raises:
            DatasetError: it was damaged.
            OSError: it cannot be read.
        """
        with self._lock:
            if self._packed is None:
                place, split = index_place(self._path), self._files.places_bytes
                content = read_file(place, 0, self._files.index.bytes)
                self._places = MetadataPlaces.parse(content[:split], place)
                self._packed = content[split:]
            return self._packed

    @property
    def partitions(self) -> Partitions:
        """Its partitions, in order; unpacked each time.

        Raises:
            DatasetError: the index was damaged.
            OSError: it cannot be read.
        """
        return unpack_partitions(self.open(), index_place(self._path))

    def read_metadata(self, start: int, stop: int) -> Any:
        """Rows ``start`` to before ``stop``, a record batch of ``keyed_schema()``.

        Raises:
            DatasetError: the metadata or the index was damaged.
            OSError: it cannot be read.
        """
        batch_rows = self._files.batch_rows
        first, last = start // batch_rows, -(-stop // batch_rows)
        rows = self._find_places().read(metadata_place(self._path), first, last)
        return rows.slice(start - first * batch_rows, stop - start)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """Fill ``out`` with the embeddings from row ``start`` on.

        Raises:
            DatasetError: the file is shorter than it was when it was written.
            OSError: it cannot be read.
        """
        place = embeddings_place(self._path)
        first = start * self._files.dims * 4
        view = out.data.cast("B")
        if isinstance(place, StorePath):
            view[:] = read_file(place, first, first + len(view))
            return
        check_regular(place)
        with open(place, "rb", buffering=0) as file:
            file.seek(first)
            while view:
                count = file.readinto(view)
                if not count:
                    raise damaged(place)
                view = view[count:]

    def _find_places(self) -> MetadataPlaces:
        with self._lock:
            if self._places is None:
                place = index_place(self._path)
                content = read_file(place, 0, self._files.places_bytes)
                self._places = MetadataPlaces.parse(content, place)
            return self._places


def open_runs(files: Sequence[RunFiles]) -> list[StoredRun]:
    """Open runs on scratch storage, those in stores at the same time.

    Raises:
        DatasetError: one was damaged.
        OSError: one cannot be read.
    """
    runs = [StoredRun(each) for each in files]
    map_at_once(StoredRun.open, runs, is_remote=any(run.is_remote for run in runs))
    return runs


def _one_batch(table: Any) -> Any:
    return table.combine_chunks().to_batches()[0]
