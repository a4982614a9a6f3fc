"""Where a file's bytes come from: read at any position, straight into memory that is there."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

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
    """An open local file; as a context manager it closes the file."""

    def __init__(self, path: str | Path) -> None:
        """Open the file.

        Raises:
            OSError: it can't be.
        """
        self._path = path
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by __exit__

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return os.fstat(self._file.fileno()).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def read_into(self, buffers: Sequence[memoryview], position: int) -> None:
        """See ``Input``."""
        if hasattr(os, "preadv"):
            wanted = sum(map(len, buffers))
            if os.preadv(self._file.fileno(), buffers, position) == wanted:
                return
        # A read may stop early, and not every system scatters.
        self._file.seek(position)
        for buffer in buffers:
            self._fill(buffer)

    def _fill(self, rest: memoryview) -> None:
        while rest:
            count = self._file.readinto(rest)
            if not count:
                raise DatasetError(
                    f"{self._path} ends {len(rest)} bytes too early. It is damaged: copy or "
                    "convert the dataset again."
                )
            rest = rest[count:]


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
