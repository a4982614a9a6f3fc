"""Fencing: a token in a file that all workers see decides which run of a conversion may write.

A worker that lost only its connection continues while another one repeats its unit. Later the
conversion may be resumed, or another one may begin at the same path. So a worker compares the token
before a data or quarantine file gets its name, at most once a second, and before each commit
marker. Runs and the notebook's files are not checked: their temporary names belong to one attempt.
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
    """Identifies one run of the command that begins or resumes a conversion."""

    token: str
    """Random text of this run alone."""
    conversion: AnyPath
    """Folder of the unfinished conversion's own files."""
    others: tuple[AnyPath, ...]
    """Further folders that it writes to."""

    @classmethod
    def of(cls, layout: DatasetLayout, *others: AnyPath) -> Self:
        """Make a new token; write nothing yet."""
        return cls(secrets.token_hex(8), layout.conversion, others)

    def begin(self) -> None:
        """Write the token into each folder, which ends all earlier runs.

        Raises:
            OSError: a folder cannot be written.
        """
        self._apart.mkdir(exist_ok=True)
        for folder in self._folders:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / _NAME, self.token)

    def end(self) -> None:
        """Remove the token from the folders outside of the conversion's folder."""
        for folder in self.others:
            with suppress(OSError):
                (folder / _NAME).unlink(missing_ok=True)

    @staticmethod
    def end_all(layout: DatasetLayout) -> None:
        """End all runs, so that workers that are still running stop.

        Raises:
            OSError: the folder cannot be written.
        """
        (layout.conversion / _NAME).unlink(missing_ok=True)

    def find_missing(self) -> AnyPath | None:
        """Return the first folder that does not hold this token, or None."""
        return next((folder for folder in self._folders if not self._is_in(folder)), None)

    @property
    def is_current(self) -> bool:
        """Whether this run is the last one that has begun."""
        return self._is_in(self.conversion)

    @contextmanager
    def create(self, path: AnyPath, check: Callable[[], None]) -> Iterator[NewFile]:
        """Lend a new file that gets its name when the body ends; others may write the same file.

        Args:
            path: final path; if local, on the file system of the conversion's folder.
            check: called before the file gets its name; raises an error to prevent that.

        Raises:
            OSError: the file cannot be written.
        """
        apart = self._apart / secrets.token_hex(8)
        if not isinstance(apart, Path) or not isinstance(path, Path):
            with NewFile(path, buffering=0) as new:
                yield new
                check()
            return
        try:
            with NewFile(apart, "xb", buffering=0) as new:
                yield new
            check()
            path.parent.mkdir(parents=True, exist_ok=True)
            apart.replace(path)
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
