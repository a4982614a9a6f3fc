"""Opens a complete dataset: its manifest and the list of its data files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import crc32c
import polars as pl

from a20_parquet.dataset.file_list import read_file_list, summaries
from a20_parquet.dataset.forked import check_threads
from a20_parquet.dataset.manifest import Manifest, ManifestHead
from a20_parquet.dataset.manifest_content import StoredManifest
from a20_parquet.dataset.presence import why_no_dataset
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.errors import DatasetError
from a20_parquet.storage.locate import read_content
from a20_parquet.storage.path import AnyPath, StorePath, parse_path, read_whole
from a20_parquet.windows.partition import PartitionBy
from a20_parquet.windows.schema import Feature, Store, metadata_schema, window_schema

# Fields of an object's info that differ between its versions, in any store.
_VERSIONS: Final = (
    *("ETag", "etag", "generation", "LastModified", "last_modified", "updated", "mtime"),
    *("created", "size"),
)


@dataclass(frozen=True, slots=True)
class Catalog:
    """A dataset's manifest and list of files; no data file is opened.

    Only files in this list belong to the dataset: an unfinished append may have written others.
    """

    location: str
    """Absolute path or URL of the dataset, for messages."""
    folder: AnyPath
    """The same as a path."""
    stored: StoredManifest
    """The content of ``manifest.json``."""
    files: pl.DataFrame
    """One row per data file, in the dataset's order: ``path`` (relative to the dataset), the Hive
    keys, ``rows``, ``bytes``, ``checksum``, ``first_window_start``, ``last_window_start``, and the
    columns in ``file_bounds.BOUNDS``, null if an earlier version wrote the file."""
    written: tuple[Any, ...] = ()
    """Identifies this version of ``manifest.json``; empty if that is unknown."""

    @classmethod
    def open(cls, dataset: str | Path) -> Self:
        """Read the manifest and the list of files of a dataset, by its folder or fsspec URL.

        Raises:
            DatasetError: the path is not a complete dataset, or its list of files is damaged.
            UsageError: its store cannot be opened, or this process cannot use polars.
        """
        check_threads()
        folder = parse_path(dataset)
        written = _identify_version(folder)
        stored = _read_manifest(folder)
        try:
            content = _read_files(folder, stored.head)
        except DatasetError:
            # An append may have replaced both files in between: read them once more.
            stored = _read_manifest(folder)
            content = _read_files(folder, stored.head)
        files = read_file_list(content, f"{folder}/files.parquet", stored.head.options)
        return cls(str(folder), folder, stored, files, written)

    def check_unchanged(self) -> None:
        """Check that the dataset still has all files that it had when it was opened.

        Files may have been appended.

        Raises:
            DatasetError: the dataset was replaced, or is no longer complete.
            UsageError: this process cannot use polars, see ``check_threads``.
        """
        check_threads()
        if self.written == _identify_version(self.folder):
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
        """Whether the dataset is on this machine."""
        return isinstance(self.folder, Path)

    @property
    def filesystem(self) -> Any:
        """The dataset's fsspec filesystem."""
        if isinstance(self.folder, StorePath):
            return self.folder.filesystem
        # Importing it takes as long as reading the list of files, and local queries do without.
        import fsspec

        return fsspec.filesystem("file")

    @property
    def root(self) -> str:
        """The dataset's folder in ``filesystem``, without a slash at its end."""
        return self.location if isinstance(self.folder, Path) else self.folder.path

    @property
    def head(self) -> ManifestHead:
        """The manifest without shards and quarantine."""
        return self.stored.head

    @property
    def manifest(self) -> Manifest:
        """The whole manifest.

        Raises:
            DatasetError: a shard in it is invalid.
        """
        return self.stored.manifest

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """Fields of ``manifest.json`` that a later version of this package has added.

        Raises:
            DatasetError: a shard in it is invalid.
        """
        return self.stored.unknown_fields

    @property
    def partition_by(self) -> PartitionBy:
        """The Hive keys."""
        return self.head.options.partition_by

    @property
    def dims(self) -> int:
        """Floats per embedding."""
        return self.head.options.dims

    @property
    def features(self) -> tuple[Feature, ...]:
        """Further features of the records, each a column after the metadata."""
        return self.head.options.features

    @property
    def store(self) -> Store:
        """How files store the floats of embeddings."""
        return self.head.options.store

    @property
    def file_keys(self) -> tuple[str, ...]:
        """Hive keys that the files repeat as columns, which queries leave out."""
        return self.head.options.key_columns

    @property
    def schema(self) -> pl.Schema:
        """Polars types of all columns as they are read: those of the files, then the Hive keys.

        Embeddings are float32, also where files store halves.
        """
        # An empty table would make pyarrow import pandas.
        stored = pl.Schema(window_schema(self.dims, self.features))
        return pl.Schema(stored | {key: self.files.schema[key] for key in self.partition_by.keys})

    @property
    def metadata_columns(self) -> tuple[str, ...]:
        """Names of the files' columns except the embedding, features included."""
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
        """Return a file's path in ``filesystem``."""
        return f"{self.root}/{relative}"

    def url(self, relative: str) -> str:
        """Return a file's absolute path, or its URL if the dataset is in a store."""
        return f"{self.location}/{relative}"


def _identify_version(folder: AnyPath) -> tuple[Any, ...]:
    """Return values that differ between versions of ``manifest.json``, empty if unknown."""
    path = folder / "manifest.json"
    try:
        if isinstance(path, StorePath):
            info = path.filesystem.info(path.path)
            return tuple(str(info.get(name)) for name in _VERSIONS)
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _read_manifest(folder: AnyPath) -> StoredManifest:
    path = folder / "manifest.json"
    try:
        content = read_whole(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(f"{folder}: {why_no_dataset(folder)}") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
    return StoredManifest(content, str(path))


def _read_files(folder: AnyPath, manifest: ManifestHead) -> bytes:
    """Read the list of files that belongs to a manifest."""
    try:
        content = _read_list(folder, folder / "files.parquet")
    except DatasetError as error:
        problem = error
    else:
        checksum = f"{crc32c.crc32c(content):08x}"
        if checksum == manifest.files_checksum:
            return content
        problem = DatasetError(
            f"{folder}/files.parquet: its checksum is {checksum}, expected "
            f"{manifest.files_checksum} as in manifest.json. Convert the shards again."
        )
    # The manifest is written before the list is moved to its final path.
    staged = folder / "conversion" / "files.parquet"
    if staged.exists():
        content = _read_list(folder, staged)
        if f"{crc32c.crc32c(content):08x}" == manifest.files_checksum:
            return content
    raise problem


def _read_list(folder: AnyPath, path: AnyPath) -> bytes:
    try:
        return read_whole(path)
    except OSError as error:
        raise DatasetError(
            f"{folder}: {path.name} cannot be read: {error}. Convert the shards again."
        ) from error
