"""A complete dataset, opened for reading: its manifest and the list of its data files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import crc32c
import fsspec
import polars as pl

from a20_parquet.dataset.file_list import read_file_list, summaries
from a20_parquet.dataset.forked import check_threads
from a20_parquet.dataset.manifest import FileSummary, Manifest
from a20_parquet.dataset.manifest_content import parse_manifest
from a20_parquet.dataset.presence import why_no_dataset
from a20_parquet.errors import DatasetError
from a20_parquet.storage.locate import is_local, read_content
from a20_parquet.storage.path import StorePath, parse_path
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import Feature, metadata_schema, window_schema

# Fields with which stores identify a version of an object.
_VERSIONS: Final = (
    *("ETag", "etag", "generation", "LastModified", "last_modified", "updated", "mtime"),
    *("created", "size"),
)


@dataclass(frozen=True, slots=True)
class Catalog:
    """A dataset's manifest and file list; no data file is opened.

    Only files in this list belong to the dataset: an append may have written others beside them.
    """

    location: str
    """Absolute path or URL of the dataset, for messages."""
    filesystem: Any
    """The ``fsspec`` filesystem of the dataset."""
    root: str
    """The dataset's folder in ``filesystem``, without a slash at its end."""
    manifest: Manifest
    unknown_fields: tuple[str, ...]
    """Fields of ``manifest.json`` that a later version of this program has added."""
    files: pl.DataFrame
    """One row a data file, in the dataset's order: ``path`` (relative to the dataset), the Hive
    keys, ``rows``, ``bytes``, ``checksum``, ``first_window_start``, ``last_window_start``."""
    written: tuple[Any, ...] = ()
    """Identifies this version of ``manifest.json``, as far as its store can."""

    @classmethod
    def open(cls, dataset: str | Path) -> Self:
        """Read a dataset's manifest and list of files.

        Args:
            dataset: its folder, or any fsspec URL of it.

        Raises:
            DatasetError: the path is not a complete dataset, or its list of files is damaged.
            UsageError: its store cannot be opened, or this process cannot use polars.
        """
        check_threads()
        path = parse_path(dataset)
        location = str(path)
        if isinstance(path, StorePath):
            filesystem, root = path.filesystem, path.path
        else:
            filesystem, root = fsspec.filesystem("file"), location
        written = _when_written(filesystem, root)
        manifest, unknown = _read_manifest(filesystem, root, location)
        try:
            content = _read_files(filesystem, root, location, manifest)
        except DatasetError:
            # An append may have replaced both files in between: read them once more.
            manifest, unknown = _read_manifest(filesystem, root, location)
            content = _read_files(filesystem, root, location, manifest)
        files = read_file_list(content, f"{location}/files.parquet", manifest.options)
        return cls(location, filesystem, root, manifest, unknown, files, written)

    def check_unchanged(self) -> None:
        """Check that the dataset still has all files that it had when it was opened.

        More may have been appended.

        Raises:
            DatasetError: the dataset was replaced, or is no longer complete.
            UsageError: this process cannot read it, see ``check_threads``.
        """
        check_threads()
        if self.written == _when_written(self.filesystem, self.root):
            return
        known = ["path", "checksum"]
        gone = self.files.join(Catalog.open(self.location).files, on=known, how="anti")
        if len(gone):
            raise DatasetError(
                f"{self.location} was replaced since it was opened: {gone['path'][0]} was "
                "changed or deleted. Open it again."
            )

    @property
    def is_local(self) -> bool:
        """Whether the dataset is a folder of this machine."""
        return is_local(self.filesystem)

    @property
    def partition_by(self) -> PartitionBy:
        """The Hive keys."""
        return self.manifest.options.partition_by

    @property
    def dims(self) -> int:
        """Floats an embedding."""
        return self.manifest.options.dims

    @property
    def features(self) -> tuple[Feature, ...]:
        """Further features of the records, each a column behind the metadata."""
        return self.manifest.options.features

    @property
    def schema(self) -> pl.Schema:
        """Polars types of all columns: those of the files, then the Hive keys."""
        empty = pl.DataFrame(window_schema(self.dims, self.features).empty_table())
        keys = {key: self.files.schema[key] for key in self.partition_by.keys}
        return pl.Schema({**empty.schema, **keys})

    @property
    def metadata_columns(self) -> tuple[str, ...]:
        """Names of the files' columns but for the embedding, features included."""
        return tuple(metadata_schema(self.features).names)

    def data_files(self) -> list[FileSummary]:
        """The data files, in the dataset's order."""
        return summaries(self.files, self.partition_by)

    def read(self, relative: str) -> bytes:
        """Read a whole file.

        Raises:
            OSError: the file cannot be read.
        """
        return read_content(self.filesystem, self.path(relative))

    def path(self, relative: str) -> str:
        """A file's path in ``filesystem``."""
        return f"{self.root}/{relative}"

    def url(self, relative: str) -> str:
        """A file's absolute path, or its URL where the dataset is not local."""
        return f"{self.location}/{relative}"


def _when_written(filesystem: Any, root: str) -> tuple[Any, ...]:
    if not is_local(filesystem):
        try:
            known = filesystem.info(f"{root}/manifest.json")
        except OSError:
            return ()
        return tuple(str(known.get(name)) for name in _VERSIONS)
    try:
        found = Path(root, "manifest.json").stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read_manifest(filesystem: Any, root: str, location: str) -> tuple[Manifest, tuple[str, ...]]:
    path = f"{root}/manifest.json"
    try:
        content = read_content(filesystem, path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(f"{location}: {why_no_dataset(parse_path(location))}") from error
    except OSError as error:
        raise DatasetError(f"{location}/manifest.json: cannot be read: {error}") from error
    return parse_manifest(content, f"{location}/manifest.json")


def _read_files(filesystem: Any, root: str, location: str, manifest: Manifest) -> bytes:
    """Read the list of files that a manifest speaks of."""
    try:
        content = _read(filesystem, f"{root}/files.parquet", location)
    except DatasetError as error:
        problem = error
    else:
        checksum = f"{crc32c.crc32c(content):08x}"
        if checksum == manifest.files_checksum:
            return content
        problem = DatasetError(
            f"{location}/files.parquet: its checksum is {checksum}, expected "
            f"{manifest.files_checksum} as in manifest.json. Convert the shards again."
        )
    # The manifest is written before the list moves to its final path.
    staged = f"{root}/conversion/files.parquet"
    if filesystem.exists(staged):
        moving = _read(filesystem, staged, location)
        if f"{crc32c.crc32c(moving):08x}" == manifest.files_checksum:
            return moving
    raise problem


def _read(filesystem: Any, path: str, location: str) -> bytes:
    try:
        return read_content(filesystem, path)
    except OSError as error:
        raise DatasetError(
            f"{location}: {path.rpartition('/')[2]} cannot be read: {error}. Convert the shards "
            "again."
        ) from error
