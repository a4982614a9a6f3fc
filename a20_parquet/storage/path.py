"""Paths of files and folders, on this machine or in a store."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from a20_parquet.errors import UsageError
from a20_parquet.formatting import is_unicode
from a20_parquet.storage.locate import check_regular, is_local, is_url, locate


@dataclass(frozen=True, slots=True)
class StorePath:
    """A file or folder in a store, with those methods of ``pathlib.Path`` that a dataset needs.

    Stores have no folders: a folder exists as long as a file is below it.
    """

    filesystem: Any
    """A ``StoreFileSystem``."""
    path: str
    """Path in ``filesystem``, without a slash at its end."""

    def __str__(self) -> str:
        """Return the URL."""
        return str(self.filesystem.unstrip_protocol(self.path))

    def __truediv__(self, name: str) -> "StorePath":
        """Return a path below it."""
        return StorePath(self.filesystem, f"{self.path}/{name}")

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> "StorePath":
        """The folder that contains it."""
        return StorePath(self.filesystem, self.path.rpartition("/")[0])

    def with_name(self, name: str) -> "StorePath":
        """Return a path in the same folder."""
        return self.parent / name

    def exists(self) -> bool:
        """Whether the file exists, or a file below the folder."""
        return bool(self.filesystem.exists(self.path))

    def is_dir(self) -> bool:
        """Whether a file is below the folder."""
        return bool(self.filesystem.isdir(self.path))

    def read_bytes(self) -> bytes:
        """Read the whole file.

        Raises:
            FileNotFoundError: it does not exist.
            OSError: it cannot be read.
        """
        return bytes(self.filesystem.cat_file(self.path))

    def iterdir(self) -> Iterator["StorePath"]:
        """Yield the files and folders in it; none if it does not exist."""
        try:
            found = self.filesystem.ls(self.path, detail=False)
        except FileNotFoundError:
            return
        for path in found:
            if (inner := path.rstrip("/")) != self.path:
                yield StorePath(self.filesystem, inner)

    def unlink(self, *, missing_ok: bool = False) -> None:
        """Delete it.

        Raises:
            FileNotFoundError: it does not exist, and ``missing_ok`` is false.
            OSError: it cannot be deleted.
        """
        try:
            self.filesystem.rm_file(self.path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder exists with its first file."""

    def rmdir(self) -> None:
        """Do nothing: a folder disappears with its last file."""


AnyPath: TypeAlias = Path | StorePath
"""A file or folder, on this machine or in a store."""


def parse_path(name: str | Path) -> AnyPath:
    """Parse a URL or a local path, which need not exist.

    Raises:
        UsageError: its store cannot be opened, it is a whole store, or it is not UTF-8.
    """
    if not is_url(name):
        text = str(name).removeprefix("file://").removeprefix("local://")
        # Not resolve(): messages name a link as the user did.
        return _as_readers_open(Path(os.path.normpath(Path(text).expanduser().absolute())))
    filesystem, path = locate(str(name))
    if not path.strip("/"):
        raise UsageError(f"{name}: names a whole store. Name a folder in it.")
    return StorePath(filesystem, path.rstrip("/"))


def local_file(name: str | Path) -> Path:
    """Return the absolute path of a file to write on this machine.

    Raises:
        UsageError: it is a URL, or its path is not UTF-8.
    """
    if is_url(name):
        raise UsageError(f"{name}: it can only be written to a local file. Name one.")
    return _as_readers_open(Path(name).absolute())


def _as_readers_open(path: Path) -> Path:
    if not is_unicode(str(path)):
        raise UsageError(
            f"{path}: its name is not UTF-8, so not every reader could open it. Rename it."
        )
    return path


def read_whole(path: AnyPath) -> bytes:
    """Read a whole file.

    Raises:
        OSError: it cannot be read, or is not a regular file.
    """
    if isinstance(path, Path):
        check_regular(path)
    return path.read_bytes()


def is_inside(filesystem: Any, path: str, folder: AnyPath) -> bool:
    """Whether a file of a filesystem is below a folder, links followed."""
    if isinstance(folder, Path):
        return is_local(filesystem) and Path(path).resolve().is_relative_to(folder.resolve())
    url = str(filesystem.unstrip_protocol(path))
    return url.startswith(f"{folder}/")


def check_bucket(path: StorePath) -> None:
    """Check that a path's bucket exists.

    Raises:
        OSError: it does not exist, or the store cannot be reached.
    """
    bucket = path.path.lstrip("/").partition("/")[0]
    try:
        path.filesystem.info(bucket)
    except FileNotFoundError as error:
        if bucket and _has_buckets(path.filesystem):
            raise OSError(f"there is no bucket {bucket}. Create it, or name another") from error
    except PermissionError:
        # Permission to write into a bucket does not include permission to list it.
        return


def _has_buckets(filesystem: Any) -> bool:
    return str(filesystem.unstrip_protocol("")).startswith(("s3", "gs", "gcs"))
