"""Which run of a conversion may write into it, told by a file that all its workers see.

A worker of a cluster that was only cut off goes on, while another one does its unit again and,
later, whoever began the conversion may begin it anew, or another one at the same place. What such
a worker has made is the same as what replaces it, or is wanted no more: so files get their names
when they are whole, and none gets it once another session has begun.
"""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from a20_parquet.dataset.layout import DatasetLayout, write_durably

_NAME = ".a20-parquet-session"


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command that began a conversion or goes on with it."""

    token: str
    """Its own, and no other's."""
    conversion: Path
    """Folder of what the conversion needs while it is unfinished."""
    others: tuple[Path, ...]
    """Further folders that it writes to."""

    @classmethod
    def of(cls, layout: DatasetLayout, *others: Path) -> Self:
        """A new session; nothing is written yet."""
        return cls(secrets.token_hex(8), layout.conversion, others)

    def begin(self) -> None:
        """Write down that this session has begun, so that every earlier one has ended.

        Raises:
            OSError: a folder can't be written.
        """
        self._apart.mkdir(exist_ok=True)
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            write_durably(folder / _NAME, self.token)

    def end(self) -> None:
        """Remove what ``begin`` wrote outside of the conversion's folder."""
        for folder in self.others:
            with suppress(OSError):
                (folder / _NAME).unlink(missing_ok=True)

    @property
    def unseen(self) -> Path | None:
        """A folder that is not there as this session left it; none where all are."""
        return next((folder for folder in self._folders if not self._is_begun(folder)), None)

    @property
    def is_current(self) -> bool:
        """Whether it has begun, and no other one since."""
        return self._is_begun(self.conversion)

    @contextmanager
    def create(self, path: str, check: Callable[[], None]) -> Iterator[FileIO]:
        """Lend a new file, which lies at ``path`` when the body ends; others may write it as well.

        Args:
            path: on the file system of the conversion's folder.
            check: called before the file gets there; raises where it must not.

        Raises:
            OSError: it can't be written.
        """
        hidden = str(self._apart / secrets.token_hex(8))
        try:
            with FileIO(hidden, "xb") as file:
                yield file
            check()
            os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120 - strings
            os.replace(hidden, path)  # noqa: PTH105 - likewise
        except BaseException:
            with suppress(OSError):
                os.unlink(hidden)  # noqa: PTH108 - likewise
            raise

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (self.conversion, *self.others)

    @property
    def _apart(self) -> Path:
        return self.conversion / "apart"

    def _is_begun(self, folder: Path) -> bool:
        try:
            return (folder / _NAME).read_text() == self.token
        except FileNotFoundError:
            return False
