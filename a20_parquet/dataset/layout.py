"""Where the files of a dataset lie."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from a20_parquet.storage.path import Place, place_of, read_whole

FORMAT: Final = "a20_parquet"
DATA: Final = "data"
"""Name of the folder that holds the Hive folders."""
PART: Final = re.compile(r"part-\d{4,}\.parquet")
"""Name of a data file."""


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """The paths inside one dataset."""

    root: Place

    @classmethod
    def at(cls, dataset: str | Path) -> Self:
        """The dataset in a folder, here or in a store, which need not be there.

        Raises:
            UsageError: the store can't be opened.
        """
        return cls(place_of(dataset))

    @property
    def location(self) -> Path | str:
        """Its folder, or its URL where it lies in a store."""
        return self.root if isinstance(self.root, Path) else str(self.root)

    @property
    def data(self) -> Place:
        """The Hive folders, and nothing else."""
        return self.root / DATA

    @property
    def manifest(self) -> Place:
        """Written last: without it the dataset is not complete."""
        return self.root / "manifest.json"

    @property
    def files(self) -> Place:
        """One row a data file."""
        return self.root / "files.parquet"

    @property
    def sites(self) -> Place:
        """The sites table, where one was given."""
        return self.root / "sites.parquet"

    @property
    def quarantine(self) -> Place:
        """What could not be converted, and why."""
        return self.root / "quarantine"

    @property
    def conversion(self) -> Place:
        """What an unfinished conversion needs; gone when it is finished."""
        return self.root / "conversion"

    @property
    def lock(self) -> Place:
        """Locked by the process that converts."""
        return self.conversion / "lock"

    @property
    def plan(self) -> Place:
        """Inputs and options of an unfinished conversion."""
        return self.conversion / "plan.json"

    @property
    def sorted(self) -> Place:
        """A commit marker for each finished unit of the first pass: its runs and shards."""
        return self.conversion / "sorted"

    @property
    def units(self) -> Place:
        """A commit marker for each finished unit of the merge: the files that it wrote."""
        return self.conversion / "units"

    @property
    def staged_quarantine(self) -> Place:
        """What goes to ``quarantine`` once the conversion is committed."""
        return self.conversion / "quarantine"

    @property
    def staged_files(self) -> Place:
        """What becomes ``files`` once the conversion is committed."""
        return self.conversion / "files.parquet"

    @property
    def staged_sites(self) -> Place:
        """What becomes ``sites`` once the conversion is committed."""
        return self.conversion / "sites.parquet"

    @property
    def commit(self) -> Place:
        """Says which manifest commits the conversion."""
        return self.conversion / "commit.json"


def is_ours(path: Place) -> bool:
    """Whether a file is JSON that this program wrote."""
    try:
        content = json.loads(read_whole(path))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT
