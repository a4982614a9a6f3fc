"""Where a file's bytes come from: read at any position, straight into memory that is there."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from a20_parquet.errors import DatasetError


class Input(Protocol):
    """Bytes that can be read at any position; for one thread."""

    def read_into(self, buffers: Sequence[memoryview], position: int) -> None:
        """Fill buffers, one behind the other, with the bytes from ``position`` on.

        Raises:
            DatasetError: there are fewer.
            OSError: they can't be read.
        """
        ...


class LocalInput:
    """An open local file."""

    def __init__(self, path: str | Path) -> None:
        """Open the file.

        Raises:
            OSError: it can't be, or is no regular file.
        """
        self._path = path
        # A Python file object takes longer to make than a small file's windows to read.
        # A FIFO at its place has no bytes, rather than being waited for.
        flags = getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        self._descriptor = os.open(path, os.O_RDONLY | flags)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self.close()
            raise OSError("it is a folder, a named pipe, a socket or a device, and no file")

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def read_into(self, buffers: Sequence[memoryview], position: int) -> None:
        """See ``Input``."""
        if hasattr(os, "preadv"):
            wanted = sum(map(len, buffers))
            if os.preadv(self._descriptor, buffers, position) == wanted:
                return
        # A read may stop early, and not every system scatters.
        os.lseek(self._descriptor, position, os.SEEK_SET)
        for buffer in buffers:
            self._fill(buffer)

    def _fill(self, rest: memoryview) -> None:
        while rest:
            content = os.read(self._descriptor, len(rest))
            if not content:
                raise DatasetError(
                    f"{self._path} ends {len(rest)} bytes too early. It is damaged: copy or "
                    "convert the dataset again."
                )
            rest[: len(content)] = content
            rest = rest[len(content) :]


class HeldInput:
    """Bytes of a file that are in memory already."""

    def __init__(self, content: bytes, position: int, name: str) -> None:
        """Take the bytes.

        Args:
            content: of the file.
            position: of the first of them in the file.
            name: of the file, for messages.
        """
        self._content = memoryview(content)
        self._position = position
        self._name = name

    def read_into(self, buffers: Sequence[memoryview], position: int) -> None:
        """See ``Input``."""
        start = position - self._position
        for buffer in buffers:
            part = self._content[start : start + len(buffer)]
            if len(part) < len(buffer):
                raise DatasetError(
                    f"{self._name} ends {len(buffer) - len(part)} bytes too early. It is damaged: "
                    "copy or convert the dataset again."
                )
            buffer[:] = part
            start += len(buffer)
