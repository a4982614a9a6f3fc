"""Where the files of a dataset lie."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from a20_parquet.storage.path import AnyPath, parse_path, read_whole

FORMAT: Final = "a20_parquet"
DATA: Final = "data"
"""Name of the folder that holds the Hive folders."""
PART: Final = re.compile(r"part-\d{4,}\.parquet")
"""Name of a data file."""


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """The paths inside one dataset."""

    root: AnyPath

    @classmethod
    def at(cls, dataset: str | Path) -> Self:
        """The dataset in a folder, here or in a store, which need not be there.

        Raises:
            UsageError: the store can't be opened.
        """
        return cls(parse_path(dataset))

    @property
    def location(self) -> Path | str:
        """Its folder, or its URL where it lies in a store."""
        return self.root if isinstance(self.root, Path) else str(self.root)

    @property
    def data(self) -> AnyPath:
        """The Hive folders, and nothing else."""
        return self.root / DATA

    @property
    def manifest(self) -> AnyPath:
        """Written last: without it the dataset is not complete."""
        return self.root / "manifest.json"

    @property
    def files(self) -> AnyPath:
        """One row a data file."""
        return self.root / "files.parquet"

    @property
    def sites(self) -> AnyPath:
        """The sites table, where one was given."""
        return self.root / "sites.parquet"

    @property
    def quarantine(self) -> AnyPath:
        """What could not be converted, and why."""
        return self.root / "quarantine"

    @property
    def conversion(self) -> AnyPath:
        """What an unfinished conversion needs; gone when it is finished."""
        return self.root / "conversion"

    @property
    def lock(self) -> AnyPath:
        """Locked by the process that converts."""
        return self.conversion / "lock"

    @property
    def plan(self) -> AnyPath:
        """Inputs and options of an unfinished conversion."""
        return self.conversion / "plan.json"

    @property
    def sorted(self) -> AnyPath:
        """A commit marker for each finished unit of the first pass: its runs and shards."""
        return self.conversion / "sorted"

    @property
    def units(self) -> AnyPath:
        """A commit marker for each finished unit of the merge: the files that it wrote."""
        return self.conversion / "units"

    @property
    def staged_quarantine(self) -> AnyPath:
        """What goes to ``quarantine`` once the conversion is committed."""
        return self.conversion / "quarantine"

    @property
    def staged_files(self) -> AnyPath:
        """What becomes ``files`` once the conversion is committed."""
        return self.conversion / "files.parquet"

    @property
    def staged_sites(self) -> AnyPath:
        """What becomes ``sites`` once the conversion is committed."""
        return self.conversion / "sites.parquet"

    @property
    def commit(self) -> AnyPath:
        """Says which manifest commits the conversion."""
        return self.conversion / "commit.json"


def is_ours(path: AnyPath) -> bool:
    """Whether a file is JSON that this program wrote."""
    try:
        content = json.loads(read_whole(path))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT
