"""Writes files whole or not at all, on disks and in stores."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self, TypeAlias, cast

import crc32c

from a20_parquet.storage.locate import check_regular
from a20_parquet.storage.path import AnyPath, StorePath
from a20_parquet.storage.retries import ShortAnswerError

_PIECE_BYTES = 1 << 20
# Put with one request, whatever the store.
_SMALL_BYTES = 4 << 20


TEMPORARY: Final = ".tmp"
"""What a local file's name ends in while it is written."""


@contextmanager
def path_errors(place: AnyPath) -> Iterator[None]:
    """Have a failure to write say which file: one of an open file does not.

    Raises:
        OSError: the body raised one.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        if error.errno is None:
            kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
            raise kind(f"{place}: {error}") from error
        raise OSError(error.errno, error.strerror or str(error), str(place)) from error


def write_whole(place: AnyPath, content: str | bytes) -> None:
    """Write a small file so that after a crash it is whole, old or new, or not there.

    Raises:
        OSError: it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    if isinstance(place, StorePath):
        with path_errors(place):
            place.filesystem.pipe_file(place.path, data)
        return
    hidden = place.with_name(place.name + TEMPORARY)
    try:
        # What an earlier try left may be a link.
        hidden.unlink(missing_ok=True)
        with path_errors(place), hidden.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(place)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise


def open_no_link(path: str, flags: int) -> int:
    """Open a file to write it; follow no link, and wait for no reader of a pipe."""
    safe = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(path, flags | safe, 0o666)


class NewFile:
    """A file in the making, which lies whole at its place once it is kept; a context manager.

    A local one is written where it will lie. For a store it is written to a temporary file, checked
    and put with one call, so that nothing half-written is ever seen there.

    Attributes:
        file: where to write to.
    """

    def __init__(
        self, place: AnyPath, mode: Literal["wb", "xb"] = "wb", *, buffering: int = -1
    ) -> None:
        """Open it; a local folder above it must be there.

        Args:
            place: where it will lie.
            mode: ``xb`` where no local file may lie there.
            buffering: as ``open`` takes it.

        Raises:
            OSError: it cannot be made.
        """
        self._place = place
        self._expected: tuple[int, int] | None = None
        self.file: BinaryIO
        if isinstance(place, StorePath):
            self._spool = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed by close
                buffering=buffering, prefix="a20-parquet-", suffix=f"-{place.name}"
            )
            self.file = cast("BinaryIO", self._spool.file)
        else:
            self.file = open(  # noqa: SIM115 - likewise
                place, mode, buffering=buffering, opener=open_no_link
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.keep()
        finally:
            self.close()

    def expect(self, size: int, checksum: int) -> None:
        """Say how long the file should be, and its CRC32C: nothing else is put into a store."""
        self._expected = size, checksum

    def keep(self) -> None:
        """Have it at its place.

        Raises:
            OSError: it cannot be put there, or is not what was expected.
        """
        with path_errors(self._place):
            self.file.flush()
            if isinstance(self._place, StorePath):
                self._put(self._place)

    def _put(self, place: StorePath) -> None:
        path = Path(self._spool.name)
        if self._expected is not None:
            size, checksum = self._expected
            if not has_sum(path, size, f"{checksum:08x}"):
                raise OSError(f"{path} was changed while it was written: nothing was put")
        if path.stat().st_size <= _SMALL_BYTES:
            place.filesystem.pipe_file(place.path, path.read_bytes())
        else:
            place.filesystem.put_file(str(path), place.path)

    def close(self) -> None:
        """Close it; what was not kept is not in a store."""
        if isinstance(self._place, StorePath):
            self._spool.close()
        else:
            self.file.close()


Create: TypeAlias = Callable[[AnyPath], AbstractContextManager[NewFile]]
"""Lends a new file, which lies whole at its place when the block ends."""


def create_file(place: AnyPath) -> NewFile:
    """Make a new file, unbuffered, and, where they are missing, the folders above it.

    Raises:
        OSError: it cannot be made, or is there.
    """
    if isinstance(place, Path):
        folder = str(place).rpartition("/")[0]
        try:
            # Most files are the first of their partition. Path.mkdir takes three times as long.
            os.mkdir(folder)  # noqa: PTH102
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    return NewFile(place, "xb", buffering=0)


def read_range(place: AnyPath, start: int, stop: int) -> bytes:
    """Exactly the bytes ``start`` to before ``stop`` of a file.

    Raises:
        OSError: they cannot be read, or the file has fewer.
    """
    if isinstance(place, StorePath):
        return bytes(place.filesystem.read_range(place.path, start, stop))
    check_regular(place)
    with open(place, "rb", buffering=0) as file:
        file.seek(start)
        content = file.read(stop - start)
    if len(content) != stop - start:
        raise ShortAnswerError(f"{place}: ends {stop - start - len(content)} bytes too early")
    return content


def file_size(place: AnyPath) -> int:
    """Bytes of a file.

    Raises:
        OSError: it is not there, or cannot be looked at.
    """
    if isinstance(place, StorePath):
        return int(place.filesystem.info(place.path)["size"])
    return place.stat().st_size


def file_sum(path: Path) -> str:
    """CRC32C of a whole local file, eight hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    buffer = memoryview(bytearray(_PIECE_BYTES))
    value = 0
    check_regular(path)
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            value = crc32c.crc32c(buffer[:count], value)
    return f"{value:08x}"


def has_sum(place: AnyPath, size: int, checksum: str) -> bool:
    """Whether a file is there as it was written, with this size in bytes and this ``file_sum``.

    A store has a file whole or not at all, so that there its size tells.
    """
    try:
        if isinstance(place, StorePath):
            return file_size(place) == size
        return file_size(place) == size and file_sum(place) == checksum
    except OSError:
        return False


def files_below(folder: AnyPath) -> list[str]:
    """Paths of all files below a folder, relative to it, sorted; None if it is not there."""
    if isinstance(folder, Path):
        found = (f"{inner}/{name}" for inner, _, names in os.walk(folder) for name in names)
        return sorted(path[len(str(folder)) + 1 :] for path in found)
    root = f"{folder.path.lstrip('/')}/"
    try:
        paths = folder.filesystem.find(folder.path)
    except FileNotFoundError:
        return []
    return sorted(path.lstrip("/").removeprefix(root) for path in paths)


def copy(place: AnyPath, to: AnyPath) -> None:
    """Have a file of a store at another place of it too.

    Raises:
        OSError: it cannot be copied.
    """
    if not (isinstance(place, StorePath) and isinstance(to, StorePath)):
        raise TypeError(f"{place} and {to} do not both lie in a store")
    with path_errors(to):
        place.filesystem.cp_file(place.path, to.path)


def move(place: AnyPath, to: AnyPath) -> None:
    """Put a file into the place of another of the same kind.

    A store copies it first: whoever is interrupted finds the old place still there.

    Raises:
        OSError: it cannot be moved.
    """
    if isinstance(place, Path) and isinstance(to, Path):
        place.replace(to)
    elif isinstance(place, StorePath) and isinstance(to, StorePath):
        copy(place, to)
        with path_errors(place):
            place.unlink(missing_ok=True)
    else:
        raise TypeError(f"{place} and {to} lie in different kinds of places")


def remove_tree(folder: AnyPath, *, keep: Sequence[str] = ()) -> None:
    """Delete a folder and all below it; nothing where it is not there.

    Args:
        folder: to delete.
        keep: names of files in it that stay; the folder stays with them, also where there are none.

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
        # Where a pipe lies, rmtree would wait for whoever writes to it.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    if not keep:
        shutil.rmtree(folder)
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name not in keep:
            path.unlink()
