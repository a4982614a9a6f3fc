"""Reads, writes, moves and deletes files on disks and in stores."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Self, TypeAlias, cast

import crc32c

from a20_parquet.storage.locate import check_regular
from a20_parquet.storage.path import AnyPath, StorePath
from a20_parquet.storage.retries import ShortAnswerError

_PIECE_BYTES = 1 << 20
# Files up to this size are put with one request, whatever the store.
_SMALL_BYTES = 4 << 20

TEMPORARY: Final = ".tmp"
"""Suffix of a local file while it is written."""


@contextmanager
def path_errors(path: AnyPath) -> Iterator[None]:
    """Add a path to the body's ``OSError``: errors of an open file have none."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        if error.errno is None:
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
            raise kind(f"{path}: {error}") from error
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_whole(path: AnyPath, content: str | bytes) -> None:
    """Write a small file: after a crash the old or the new one is there, whole, or none.

    Raises:
        OSError: it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if isinstance(path, StorePath):
        with path_errors(path):
            path.filesystem.pipe_file(path.path, data)
        return
    hidden = path.with_name(path.name + TEMPORARY)
    try:
        # A file left by an earlier try may be a link.
        hidden.unlink(missing_ok=True)
        with path_errors(path), hidden.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise


def open_no_link(path: str, flags: int) -> int:
    """Open a file to write it, without following a link or waiting for a pipe's reader."""
    safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | safe, 0o666)


class NewFile:
    """A context manager that writes one file, which is whole when the block ends.

    A local file is written in path. A file for a store is written to a temporary file, checked and
    put with one call, so that readers never see part of it; if the block fails, nothing is put.

    Attributes:
        file: the open file to write to.
    """

    def __init__(
        self, path: AnyPath, mode: Literal["wb", "xb"] = "wb", *, buffering: int = -1
    ) -> None:
        """Open the file; the folder of a local one must exist.

        Args:
            path: the file's final path.
            mode: ``xb`` raises FileExistsError if a local file exists.
            buffering: as for ``open``.

        Raises:
            OSError: it cannot be created.
        """
        self._path = path
        self._expected: tuple[int, int] | None = None
        self._spool: Any = None
        self.file: BinaryIO
        if isinstance(path, StorePath):
            self._spool = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed by __exit__
                buffering=buffering, prefix="a20-parquet-", suffix=f"-{path.name}"
            )
            self.file = cast("BinaryIO", self._spool.file)
        else:
            self.file = open(  # noqa: SIM115 - likewise
                path, mode, buffering=buffering, opener=open_no_link
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                with path_errors(self._path):
                    self.file.flush()
                    if isinstance(self._path, StorePath):
                        self._put(self._path)
        finally:
            (self._spool or self.file).close()

    def expect(self, size: int, checksum: int) -> None:
        """Set the size and CRC32C without which nothing is put into a store."""
        self._expected = size, checksum

    def _put(self, path: StorePath) -> None:
        spool = Path(self._spool.name)
        if self._expected is not None:
            size, checksum = self._expected
            if not has_sum(spool, size, f"{checksum:08x}"):
                raise OSError(f"{spool} was changed while it was written: nothing was put")
        if spool.stat().st_size <= _SMALL_BYTES:
            path.filesystem.pipe_file(path.path, spool.read_bytes())
        else:
            path.filesystem.put_file(str(spool), path.path)


Create: TypeAlias = Callable[[AnyPath], AbstractContextManager[NewFile]]
"""Lends a new file, which is whole when the block ends."""


def create_file(path: AnyPath) -> NewFile:
    """Create a new file, unbuffered, and the missing folders above it.

    Raises:
        OSError: it cannot be created, or exists.
    """
    if isinstance(path, Path):
        folder = str(path).rpartition("/")[0]
        try:
            # Most files are the first of their partition. Path.mkdir takes three times as long.
            os.mkdir(folder)  # noqa: PTH102
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    return NewFile(path, "xb", buffering=0)


def read_range(path: AnyPath, start: int, stop: int) -> bytes:
    """Read exactly the bytes ``start`` to before ``stop`` of a file.

    Raises:
        OSError: they cannot be read, or the file has fewer.
    """
    if isinstance(path, StorePath):
        return bytes(path.filesystem.read_range(path.path, start, stop))
    check_regular(path)
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        content = file.read(stop - start)
    if len(content) != stop - start:
        raise ShortAnswerError(f"{path}: ends {stop - start - len(content)} bytes too early")
    return content


def file_size(path: AnyPath) -> int:
    """Return a file's size in bytes.

    Raises:
        OSError: it does not exist, or the store cannot be asked.
    """
    if isinstance(path, StorePath):
        return int(path.filesystem.info(path.path)["size"])
    return path.stat().st_size


def has_sum(path: AnyPath, size: int, checksum: str) -> bool:
    """Whether a file has this size in bytes and, if it is local, this CRC32C in hexadecimal.

    A file in a store is whole or does not exist, so its size is enough.
    """
    try:
        if file_size(path) != size:
            return False
        if isinstance(path, StorePath):
            return True
        buffer = memoryview(bytearray(_PIECE_BYTES))
        value = 0
        check_regular(path)
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                value = crc32c.crc32c(buffer[:count], value)
    except OSError:
        return False
    return f"{value:08x}" == checksum


def files_below(folder: AnyPath) -> list[str]:
    """Sorted paths of all files below a folder, relative to it; empty if it does not exist."""
    if isinstance(folder, Path):
        found = (f"{inner}/{name}" for inner, _, names in os.walk(folder) for name in names)
        return sorted(path[len(str(folder)) + 1 :] for path in found)
    root = f"{folder.path.lstrip('/')}/"
    try:
        paths = folder.filesystem.find(folder.path)
    except FileNotFoundError:
        return []
    return sorted(path.lstrip("/").removeprefix(root) for path in paths)


def copy(path: AnyPath, to: AnyPath) -> None:
    """Copy a file within a store.

    Raises:
        OSError: it cannot be copied.
    """
    if not (isinstance(path, StorePath) and isinstance(to, StorePath)):
        raise TypeError(f"{path} and {to} are not both in a store")
    with path_errors(to):
        path.filesystem.cp_file(path.path, to.path)


def move(path: AnyPath, to: AnyPath) -> None:
    """Move a file on a disk or within a store, replacing another.

    In a store it is copied and then deleted: after an interruption both files may exist.

    Raises:
        OSError: it cannot be moved.
    """
    if isinstance(path, Path) and isinstance(to, Path):
        path.replace(to)
        return
    copy(path, to)
    with path_errors(path):
        path.unlink(missing_ok=True)


def remove_tree(folder: AnyPath, *, keep: Sequence[str] = ()) -> None:
    """Delete a folder and its content, if it exists.

    If ``keep`` is not empty, the folder stays, with the files in it that have these names.

    Raises:
        OSError: something cannot be deleted.
    """
    if isinstance(folder, StorePath):
        with path_errors(folder):
            names = [name for name in files_below(folder) if name not in keep]
            folder.filesystem.rm_files([f"{folder.path}/{name}" for name in names])
        return
    if not folder.exists():
        return
    if not folder.is_dir():
        # rmtree would wait for the writer of a named pipe.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not keep:
        shutil.rmtree(folder)
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in keep:
            path.unlink()
