"""Where the files of a dataset lie, and how small ones are written."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from a20_parquet.errors import UsageError

FORMAT: Final = "a20_parquet"
DATA: Final = "data"
"""Name of the folder that holds the Hive folders."""
PART: Final = re.compile(r"part-\d{4,}\.parquet")
"""Name of a data file."""


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """The paths inside one dataset."""

    root: Path

    @classmethod
    def at(cls, dataset: str | Path) -> Self:
        """The dataset in a local folder, which need not be there.

        Raises:
            UsageError: it is a URL of another place.
        """
        text = str(dataset).removeprefix("file://")
        if "://" in text:
            raise UsageError(f"{dataset}: a dataset can only be written to a local folder.")
        return cls(Path(text).expanduser().absolute())

    @property
    def data(self) -> Path:
        """The Hive folders, and nothing else."""
        return self.root / DATA

    @property
    def manifest(self) -> Path:
        """Written last: without it the dataset is not complete."""
        return self.root / "manifest.json"

    @property
    def files(self) -> Path:
        """One row a data file."""
        return self.root / "files.parquet"

    @property
    def sites(self) -> Path:
        """The sites table, where one was given."""
        return self.root / "sites.parquet"

    @property
    def quarantine(self) -> Path:
        """What could not be converted, and why."""
        return self.root / "quarantine"

    @property
    def conversion(self) -> Path:
        """What an unfinished conversion needs; gone when it is finished."""
        return self.root / "conversion"

    @property
    def lock(self) -> Path:
        """Locked by the process that converts."""
        return self.conversion / "lock"

    @property
    def plan(self) -> Path:
        """Inputs and options of an unfinished conversion."""
        return self.conversion / "plan.json"

    @property
    def sorted(self) -> Path:
        """A commit marker for each finished unit of the first pass: its runs and shards."""
        return self.conversion / "sorted"

    @property
    def units(self) -> Path:
        """A commit marker for each finished unit of the merge: the files that it wrote."""
        return self.conversion / "units"

    @property
    def staged_quarantine(self) -> Path:
        """What goes to ``quarantine`` once the conversion is committed."""
        return self.conversion / "quarantine"

    @property
    def staged_files(self) -> Path:
        """What becomes ``files`` once the conversion is committed."""
        return self.conversion / "files.parquet"

    @property
    def staged_sites(self) -> Path:
        """What becomes ``sites`` once the conversion is committed."""
        return self.conversion / "sites.parquet"

    @property
    def commit(self) -> Path:
        """Says which manifest commits the conversion."""
        return self.conversion / "commit.json"


def is_ours(path: Path) -> bool:
    """Whether a file is JSON that this program wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def temporary(path: Path) -> Path:
    """Where a file lies while it is written."""
    return path.with_name(path.name + ".tmp")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have a failure to write say which file: one of an open file does not.

    Raises:
        OSError: the body raised one.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_durably(path: Path, content: str | bytes) -> None:
    """Write a small file so that after a crash it is whole or not there."""
    hidden = temporary(path)
    try:
        with naming(path), hidden.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        hidden.replace(path)
    except OSError:
        hidden.unlink(missing_ok=True)
        raise
