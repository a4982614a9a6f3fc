"""Fencing: which run of a conversion may write, told by a file that all its workers see.

Why: a worker that was only cut off continues, while another one does its unit again. Later the
conversion may be resumed, or another one may begin at the same path. So a worker compares the token
at most once a second before a data or quarantine file gets its name, and before each commit marker.
Runs and the notebook's files are not checked: their working names belong to one attempt.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from a20_parquet.dataset.layout import DatasetLayout
from a20_parquet.storage.files import NewFile, write_whole
from a20_parquet.storage.path import AnyPath, read_whole

_NAME = ".a20-parquet-session"


@dataclass(frozen=True, slots=True)
class FencingToken:
    """Stands for one run of the command that begins or resumes a conversion."""

    token: str
    """Its own, and no other's."""
    conversion: AnyPath
    """Folder of what the conversion needs while it is unfinished."""
    others: tuple[AnyPath, ...]
    """Further folders that it writes to."""

    @classmethod
    def of(cls, layout: DatasetLayout, *others: AnyPath) -> Self:
        """Make a new token; nothing is written yet."""
        return cls(secrets.token_hex(8), layout.conversion, others)

    def begin(self) -> None:
        """Write the token into each folder, so that every earlier run has ended.

        Raises:
            OSError: a folder cannot be written.
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
        """End every run, so that workers that were left behind stop.

        Raises:
            OSError: the folder cannot be written.
        """
        (layout.conversion / _NAME).unlink(missing_ok=True)

    def find_missing(self) -> AnyPath | None:
        """Return the first folder that does not hold this token, or None."""
        return next((folder for folder in self._folders if not self._is_in(folder)), None)

    @property
    def is_current(self) -> bool:
        """Whether this run has begun, and no other one since."""
        return self._is_in(self.conversion)

    @contextmanager
    def create(self, place: AnyPath, check: Callable[[], None]) -> Iterator[NewFile]:
        """Lend a new file that gets its name when the body ends; others may write the same one.

        Args:
            place: where; a local one on the file system of the conversion's folder.
            check: called before the file gets its name; raises if it must not.

        Raises:
            OSError: the file cannot be written.
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
    def _folders(self) -> tuple[AnyPath, ...]:
        return (self.conversion, *self.others)

    @property
    def _apart(self) -> AnyPath:
        return self.conversion / "apart"

    def _is_in(self, folder: AnyPath) -> bool:
        try:
            return read_whole(folder / _NAME) == self.token.encode()
        except FileNotFoundError:
            return False
