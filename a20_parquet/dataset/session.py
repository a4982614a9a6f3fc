"""Which run of a conversion may write into it, told by a file that all its workers see.

A worker of a cluster that was only cut off goes on, while another one does its unit again and,
later, whoever began the conversion may begin it anew, or another one at the same place. What such
a worker has made is the same as what replaces it, or is wanted no more: so files get their names
when they are whole, and none gets it once another session has begun.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.storage.files import NewFile, write_whole
from a20_parquet.storage.place import Place, read_whole

_NAME = ".a20-parquet-session"


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the command that began a conversion or goes on with it."""

    token: str
    """Its own, and no other's."""
    conversion: Place
    """Folder of what the conversion needs while it is unfinished."""
    others: tuple[Place, ...]
    """Further folders that it writes to."""

    @classmethod
    def of(cls, layout: DatasetLayout, *others: Place) -> Self:
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
            write_whole(folder / _NAME, self.token)

    def end(self) -> None:
        """Remove what ``begin`` wrote outside of the conversion's folder."""
        for folder in self.others:
            with suppress(OSError):
                (folder / _NAME).unlink(missing_ok=True)

    @staticmethod
    def end_all(layout: DatasetLayout) -> None:
        """End every session that has begun, so that workers that were left behind stop.

        Raises:
            OSError: the folder can't be written.
        """
        (layout.conversion / _NAME).unlink(missing_ok=True)

    @property
    def unseen(self) -> Place | None:
        """A folder that is not there as this session left it; none where all are."""
        return next((folder for folder in self._folders if not self._is_begun(folder)), None)

    @property
    def is_current(self) -> bool:
        """Whether it has begun, and no other one since."""
        return self._is_begun(self.conversion)

    @contextmanager
    def create(self, place: Place, check: Callable[[], None]) -> Iterator[NewFile]:
        """Lend a new file, which lies at its place when the body ends; others may write it as well.

        Args:
            place: where; a local one on the file system of the conversion's folder.
            check: called before the file gets there; raises where it must not.

        Raises:
            OSError: it can't be written.
        """
        apart = self._apart / secrets.token_hex(8)
        if not isinstance(apart, Path) or not isinstance(place, Path):
            with NewFile(place, buffering=0) as new:
                yield new
                check()
            return
        try:
            with NewFile(apart, "xb", buffering=0) as new:
                yield new
            check()
            place.parent.mkdir(parents=True, exist_ok=True)
            apart.replace(place)
        except BaseException:
            with suppress(OSError):
                apart.unlink()
            raise

    @property
    def _folders(self) -> tuple[Place, ...]:
        return (self.conversion, *self.others)

    @property
    def _apart(self) -> Place:
        return self.conversion / "apart"

    def _is_begun(self, folder: Place) -> bool:
        try:
            return read_whole(folder / _NAME) == self.token.encode()
        except FileNotFoundError:
            return False
