"""The files of a run on scratch storage, in a local folder or in a store.

- ``NAME.embeddings``: raw little-endian float32 rows;
- ``NAME.metadata.arrow``: an Arrow IPC stream, the metadata and sort keys in small batches;
- ``NAME.index.arrow``, written last as the run's commit marker: the metadata's schema and a batch
  with the places of its batches, both IPC messages, then an IPC stream of the run's partitions.

With the places at hand any rows are one range of one file each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import crc32c
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from a20_parquet.errors import DatasetError
from a20_parquet.storage.files import NewFile, path_errors, read_range
from a20_parquet.storage.path import AnyPath
from a20_parquet.storage.retries import ShortAnswerError
from a20_parquet.windows.order import Partitions

_STARTS = pa.schema([pa.field("start", pa.int64(), nullable=False)])


class RunFile(BaseModel):
    """One file of a run, as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    checksum: str
    """CRC32C, eight hexadecimal digits."""


def embeddings_place(run: AnyPath) -> AnyPath:
    """Where a run's embeddings lie."""
    return run.with_name(f"{run.name}.embeddings")


def metadata_place(run: AnyPath) -> AnyPath:
    """Where a run's metadata lie."""
    return run.with_name(f"{run.name}.metadata.arrow")


def index_place(run: AnyPath) -> AnyPath:
    """Where a run's index lies."""
    return run.with_name(f"{run.name}.index.arrow")


def write_file(place: AnyPath, pieces: Iterable[Any]) -> tuple[RunFile, list[int]]:
    """Write a file of a run.

    Args:
        place: of the file.
        pieces: buffers; each may be used again when the next one is asked for.

    Returns:
        What it is like, and at which byte each piece ends.

    Raises:
        OSError: it cannot be written.
    """
    checksum = size = 0
    ends = []
    with path_errors(place), NewFile(place, buffering=0) as new:
        for piece in pieces:
            view = memoryview(piece).cast("B")
            checksum = crc32c.crc32c(view, checksum)
            size += len(view)
            ends.append(size)
            while view:
                view = view[new.file.write(view) :]
        new.expect(size, checksum)
    return RunFile(bytes=size, checksum=f"{checksum:08x}"), ends


def read_file(place: AnyPath, start: int, stop: int) -> bytes:
    """Bytes ``start`` to before ``stop`` of a file of a run, with one request.

    Raises:
        DatasetError: it is shorter than it was when it was written.
        OSError: it cannot be read.
    """
    with path_errors(place):
        try:
            return read_range(place, start, stop)
        except OSError as error:
            if isinstance(error, ShortAnswerError) or isinstance(error.__cause__, ShortAnswerError):
                raise damaged(place) from error
            raise


def damaged(place: AnyPath) -> DatasetError:
    """Say that a file of a run is not what it was."""
    return DatasetError(
        f"{place} has been cut short or changed since it was written. Nothing else may write to "
        "the scratch folder: convert again."
    )


@dataclass(frozen=True, slots=True)
class MetadataPlaces:
    """Where the batches of a run's metadata are in their file."""

    schema: Any
    starts: npt.NDArray[np.int64]
    """At which byte each batch begins, and behind the last one where it ends."""

    def serialize(self) -> bytes:
        """As the index begins."""
        batch = pa.record_batch([self.starts], schema=_STARTS)
        return bytes(self.schema.serialize()) + bytes(batch.serialize())

    @classmethod
    def parse(cls, content: bytes, place: AnyPath) -> Self:
        """Read what ``serialize`` gave.

        Raises:
            DatasetError: it is something else.
        """
        reader = pa.BufferReader(content)
        try:
            schema = pa.ipc.read_schema(reader)
            starts = pa.ipc.read_record_batch(reader, _STARTS).column("start")
        except (pa.ArrowException, EOFError, OSError) as error:
            raise damaged(place) from error
        return cls(schema, starts.to_numpy())

    def read(self, place: AnyPath, first: int, last: int) -> Any:
        """Read the batches ``first`` to before ``last`` as one, with one request.

        Raises:
            DatasetError: they are not as they were written.
            OSError: they cannot be read.
        """
        content = read_file(place, int(self.starts[first]), int(self.starts[last]))
        reader = pa.BufferReader(content)
        try:
            batches = [pa.ipc.read_record_batch(reader, self.schema) for _ in range(first, last)]
        except (pa.ArrowException, EOFError, OSError) as error:
            raise damaged(place) from error
        return pa.concat_batches(batches)


def pack_partitions(partitions: Partitions) -> bytes:
    """Partitions as the index has them: few bytes each, as neighbours are alike."""
    columns: Sequence[Any] = [partitions.site, partitions.period, pa.array(partitions.rows)]
    batch = pa.record_batch(columns, names=["site", "period", "rows"])
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def unpack_partitions(packed: bytes, place: AnyPath) -> Partitions:
    """Read what ``pack_partitions`` gave.

    Raises:
        DatasetError: it is something else.
    """
    try:
        index = pa.ipc.open_stream(packed).read_next_batch()
        return Partitions(
            index.column("site"), index.column("period"), index.column("rows").to_numpy()
        )
    except (pa.ArrowException, EOFError, OSError, StopIteration, KeyError) as error:
        raise damaged(place) from error
