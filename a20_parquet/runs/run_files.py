"""The files of a run on scratch storage: what they are called, hold, and how they are read."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import crc32c
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from a20_parquet.errors import DatasetError
from a20_parquet.storage.files import NewFile, has_sum, path_errors, read_range
from a20_parquet.storage.path import AnyPath, parse_path
from a20_parquet.storage.retries import ShortAnswerError


class RunFile(BaseModel):
    """One file of a run, as it was written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    checksum: str
    """CRC32C, eight hexadecimal digits."""


class RunFiles(BaseModel):
    """The path of a run on scratch storage, and what its files contain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Absolute, or a URL; without the suffixes of the files."""
    dims: int
    """Floats per embedding."""
    batch_rows: int
    """Rows per batch of metadata."""
    embeddings: RunFile
    metadata: RunFile
    index: RunFile
    places_bytes: int
    """Size of the index's first part: the schema and the offsets of the metadata's batches."""
    is_located: bool = False
    """Whether the embeddings are in the shards, and their file has their locations."""

    def paths(self) -> tuple[AnyPath, AnyPath, AnyPath]:
        """Paths of the embeddings, the metadata and the index."""
        return run_paths(parse_path(self.path))

    def are_whole(self) -> bool:
        """Whether the files are as they were written."""
        files = zip(self.paths(), (self.embeddings, self.metadata, self.index), strict=True)
        return all(has_sum(path, file.bytes, file.checksum) for path, file in files)


def run_paths(run: AnyPath) -> tuple[AnyPath, AnyPath, AnyPath]:
    """Return the paths of a run's embeddings, metadata and index."""
    return (
        run.with_name(f"{run.name}.embeddings"),
        run.with_name(f"{run.name}.metadata.arrow"),
        run.with_name(f"{run.name}.index.arrow"),
    )


def write_run_file(path: AnyPath, pieces: Iterable[Any]) -> tuple[RunFile, list[int]]:
    """Write a file of buffers, each of which is used before the next one is asked for.

    Returns:
        Its size and checksum, and the offset at which each piece ends.

    Raises:
        OSError: it cannot be written.
    """
    checksum = size = 0
    ends = []
    with path_errors(path), NewFile(path, buffering=0) as new:
        for piece in pieces:
            view = memoryview(piece).cast("B")
            checksum = crc32c.crc32c(view, checksum)
            size += len(view)
            ends.append(size)
            while view:
                view = view[new.file.write(view) :]
        new.expect(size, checksum)
    return RunFile(bytes=size, checksum=f"{checksum:08x}"), ends


def read_run_file(path: AnyPath, start: int, stop: int) -> bytes:
    """Read bytes ``start`` to before ``stop`` of a file, with one request.

    Raises:
        DatasetError: it is shorter than it was when it was written.
        OSError: it cannot be read.
    """
    with path_errors(path):
        try:
            return read_range(path, start, stop)
        except OSError as error:
            if isinstance(error, ShortAnswerError) or isinstance(error.__cause__, ShortAnswerError):
                raise damaged(path) from error
            raise


@contextmanager
def damage_errors(path: AnyPath) -> Iterator[None]:
    """Raise DatasetError if the body cannot parse what it has read of a file."""
    try:
        yield
    except (pa.ArrowException, EOFError, OSError, StopIteration, KeyError) as error:
        raise damaged(path) from error


def damaged(path: AnyPath) -> DatasetError:
    """Return the error that says that a run's file is not as it was written."""
    return DatasetError(
        f"{path} has been cut short or changed since it was written. Nothing else may write to "
        "the scratch folder: convert again."
    )
