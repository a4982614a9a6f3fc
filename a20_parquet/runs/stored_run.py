"""Runs on scratch storage, in a local folder or in a store. Each is three files.

- ``NAME.embeddings``: raw little-endian float32 rows;
- ``NAME.metadata.arrow``: an Arrow IPC stream, the metadata and sort keys in small batches;
- ``NAME.index.arrow``, written last as the run's commit marker: the metadata's schema and a batch
  with the offsets of its batches, both IPC messages, then an IPC stream of the run's partitions.

With the offsets known, any rows are one byte range of one file each.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from threading import Lock
from typing import Any, Self

import numpy as np
import pyarrow as pa

from a20_parquet.runs.located_run import LocatedRun
from a20_parquet.runs.locations import LOCATION, Pieces
from a20_parquet.runs.run import InMemoryRun, Rows
from a20_parquet.runs.run_files import (
    RunFiles,
    damage_errors,
    damaged,
    read_run_file,
    run_paths,
    write_run_file,
)
from a20_parquet.runs.shard_reader import ShardFiles, ShardReader
from a20_parquet.storage.concurrent import map_at_once
from a20_parquet.storage.locate import check_regular
from a20_parquet.storage.path import AnyPath, StorePath
from a20_parquet.windows.order import Partitions

_OFFSETS = pa.schema([pa.field("start", pa.int64(), nullable=False)])


def write_run(
    run: InMemoryRun | LocatedRun, path: AnyPath, batch_rows: int, *, copy_bytes: int = 4 << 20
) -> RunFiles:
    """Write a run to scratch storage.

    Args:
        run: what to write.
        path: without suffix; in a folder that exists, or in a store.
        batch_rows: rows per batch of metadata, the least that can be read.
        copy_bytes: most bytes of embeddings to copy at a time, or one row.

    Raises:
        OSError: a file cannot be written.
    """
    embeddings_path, metadata_path, index_path = run_paths(path)
    embeddings, _ = write_run_file(embeddings_path, _embedding_blocks(run, copy_bytes))
    schema = run.read_metadata(0, 1).schema
    batches = (
        run.read_metadata(start, min(start + batch_rows, len(run))).serialize()
        for start in range(0, len(run), batch_rows)
    )
    metadata, ends = write_run_file(metadata_path, chain([schema.serialize()], batches))
    offsets = pa.record_batch([np.array(ends, np.int64)], schema=_OFFSETS)
    head = bytes(schema.serialize()) + bytes(offsets.serialize())
    index, _ = write_run_file(index_path, [head, _pack(run.partitions)])
    return RunFiles(
        path=str(path),
        dims=run.dims,
        batch_rows=batch_rows,
        embeddings=embeddings,
        metadata=metadata,
        index=index,
        places_bytes=len(head),
        is_located=isinstance(run, LocatedRun),
    )


class StoredRun:
    """A run on scratch storage; any number of threads may read it.

    The index is read once, when it is first needed. The partitions may be more than the windows
    that fit into memory, so they stay packed.
    """

    on_disk = True

    def __init__(self, files: RunFiles, shards: ShardFiles | None = None) -> None:
        """Read nothing yet; see ``open_runs``.

        Args:
            files: of the run.
            shards: in which the embeddings of a located run are.
        """
        self._files = files
        self._shards = shards
        self._reader = ShardReader(shards, files.dims) if shards and files.is_located else None
        self._embeddings, self._metadata, self._index = files.paths()
        self._lock = Lock()
        self._batches: tuple[Any, Sequence[int]] | None = None
        self._packed: bytes | None = None

    def __reduce__(self) -> tuple[type[Self], tuple[RunFiles, ShardFiles | None]]:
        """Leave the index behind: another process reads what it needs of it."""
        return type(self), (self._files, self._shards)

    @property
    def is_remote(self) -> bool:
        """See ``Run``."""
        return isinstance(self._index, StorePath)

    def open(self) -> bytes:
        """Read the index with one request, and return the packed partitions.

        Raises:
            DatasetError: it was damaged.
            OSError: it cannot be read.
        """
        with self._lock:
            if self._packed is None:
                content = read_run_file(self._index, 0, self._files.index.bytes)
                self._batches = self._parse(content)
                self._packed = content[self._files.places_bytes :]
            return self._packed

    @property
    def partitions(self) -> Partitions:
        """See ``Run``."""
        packed = self.open()
        with damage_errors(self._index):
            batch = pa.ipc.open_stream(packed).read_next_batch()
            rows = batch.column("rows").to_numpy()
            return Partitions(batch.column("site"), batch.column("period"), rows)

    def read_metadata(self, start: int, stop: int) -> Any:
        """See ``Run``; one request."""
        with self._lock:
            if self._batches is None:
                self._batches = self._parse(read_run_file(self._index, 0, self._files.places_bytes))
            schema, offsets = self._batches
        batch_rows = self._files.batch_rows
        first, last = start // batch_rows, -(-stop // batch_rows)
        content = pa.BufferReader(read_run_file(self._metadata, offsets[first], offsets[last]))
        with damage_errors(self._metadata):
            batches = [pa.ipc.read_record_batch(content, schema) for _ in range(first, last)]
        return pa.concat_batches(batches).slice(start - first * batch_rows, stop - start)

    def read_embeddings(self, start: int, out: Rows) -> None:
        """See ``Run``; one request, and those to the shards if the run is located."""
        if self._reader is not None:
            stop = start + len(out) + self._reader.ahead_rows
            size = LOCATION.itemsize
            end = min(stop * size, self._files.embeddings.bytes)
            places = np.frombuffer(read_run_file(self._embeddings, start * size, end), LOCATION)
            if len(places) < len(out) or not self._reader.are_possible(places):
                raise damaged(self._embeddings)
            self._reader.read(Pieces.of(places, self._files.dims), out, start, first=start)
            return
        first = start * self._files.dims * 4
        view = out.data.cast("B")
        if isinstance(self._embeddings, StorePath):
            view[:] = read_run_file(self._embeddings, first, first + len(view))
            return
        check_regular(self._embeddings)
        with open(self._embeddings, "rb", buffering=0) as file:
            file.seek(first)
            while view:
                count = file.readinto(view)
                if not count:
                    raise damaged(self._embeddings)
                view = view[count:]

    def _parse(self, index: bytes) -> tuple[Any, Sequence[int]]:
        """The metadata's schema, the offset of each batch, and where the last one ends."""
        content = pa.BufferReader(index)
        with damage_errors(self._index):
            schema = pa.ipc.read_schema(content)
            offsets = pa.ipc.read_record_batch(content, _OFFSETS).column("start")
        return schema, offsets.to_pylist()


def open_runs(files: Sequence[RunFiles], shards: ShardFiles | None = None) -> list[StoredRun]:
    """Open runs on scratch storage, those in stores at the same time.

    Args:
        files: of the runs.
        shards: in which the embeddings of located runs are.

    Raises:
        DatasetError: one was damaged.
        OSError: one cannot be read.
    """
    runs = [StoredRun(each, shards) for each in files]
    map_at_once(StoredRun.open, runs, is_remote=any(run.is_remote for run in runs))
    return runs


def _embedding_blocks(run: InMemoryRun | LocatedRun, copy_bytes: int) -> Iterator[Any]:
    """Embeddings in order, through one small buffer, or their locations."""
    if isinstance(run, LocatedRun):
        yield run.locations(0, len(run)).tobytes()
        return
    buffer = np.empty((max(1, copy_bytes // (run.dims * 4)), run.dims), np.float32)
    for start in range(0, len(run), len(buffer)):
        block = buffer[: len(run) - start]
        run.read_embeddings(start, block)
        yield block


def _pack(partitions: Partitions) -> bytes:
    """Partitions compressed to a few bytes each, as neighbours are alike."""
    columns: Sequence[Any] = [partitions.site, partitions.period, pa.array(partitions.rows)]
    batch = pa.record_batch(columns, names=["site", "period", "rows"])
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
