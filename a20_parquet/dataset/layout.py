"""Paths inside a dataset, and types for names that are read from one.

A dataset may come from anybody. File names in its manifest, plan and markers are used only as the
types below, which cannot contain a path to outside of the dataset.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import AfterValidator

from a20_parquet.storage.path import AnyPath, parse_path, read_whole

FORMAT: Final = "a20_parquet"
DATA: Final = "data"
"""Name of the folder of the Hive folders."""
CARD: Final = "README.md"
"""Name of the dataset card."""
QUARANTINE: Final = "quarantine"
"""Name of the folder of what could not be converted."""
QUARANTINES: Final = (QUARANTINE, f"conversion/{QUARANTINE}")
"""Folders that it may be in: shortly after a commit, files are still in the second one."""
PART: Final = re.compile(r"part-\d{4,}\.parquet")
"""Name of a data file."""
_SEPARATORS: Final = frozenset({"/", "\0", os.sep})
_DATA_PATH: Final = re.compile(
    r"data/site=[A-Za-z0-9_-]+"
    r"(?:/(?:date=-?\d{3,}-\d\d-\d\d|month=-?\d{3,}-\d\d|year=-?\d{3,}"
    r"|(?:date|month|year)=__HIVE_DEFAULT_PARTITION__))?"
    r"/part-\d{4,}\.parquet"
)


@dataclass(frozen=True, slots=True)
class DatasetLayout:
    """The paths inside one dataset."""

    root: AnyPath

    @classmethod
    def at(cls, dataset: str | Path) -> Self:
        """Parse the path or URL of a dataset's folder, which need not exist.

        Raises:
            UsageError: the store cannot be opened.
        """
        return cls(parse_path(dataset))

    @property
    def location(self) -> Path | str:
        """The dataset's folder, or its URL if it is in a store."""
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
        """One row per data file."""
        return self.root / "files.parquet"

    @property
    def sites(self) -> AnyPath:
        """The sites table, if one was given."""
        return self.root / "sites.parquet"

    @property
    def card(self) -> AnyPath:
        """The dataset card, for the Hugging Face Hub and ``datasets``."""
        return self.root / CARD

    @property
    def quarantine(self) -> AnyPath:
        """Records and bytes that could not be converted, with the reasons."""
        return self.root / QUARANTINE

    @property
    def conversion(self) -> AnyPath:
        """Files of an unfinished conversion; deleted when it is finished."""
        return self.root / "conversion"

    @property
    def lock(self) -> AnyPath:
        """Lock of the process that converts."""
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
        """Moved to ``quarantine`` after the conversion is committed."""
        return self.conversion / QUARANTINE

    @property
    def staged_files(self) -> AnyPath:
        """Moved to ``files`` after the conversion is committed."""
        return self.conversion / "files.parquet"

    @property
    def staged_sites(self) -> AnyPath:
        """Moved to ``sites`` after the conversion is committed."""
        return self.conversion / "sites.parquet"

    @property
    def staged_card(self) -> AnyPath:
        """Its parts go into ``card`` after the conversion is committed."""
        return self.conversion / CARD

    @property
    def commit(self) -> AnyPath:
        """Identifies the manifest that commits the conversion."""
        return self.conversion / "commit.json"


def is_ours(path: AnyPath) -> bool:
    """Whether a file is JSON that this package wrote."""
    try:
        content = json.loads(read_whole(path))
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") == FORMAT


def is_file_name(name: str) -> bool:
    """Whether a name is a plain file name, without a folder."""
    return name not in {"", ".", ".."} and _SEPARATORS.isdisjoint(name)


def is_data_path(path: str) -> bool:
    """Whether a path relative to a dataset is the path of a data file."""
    return _DATA_PATH.fullmatch(path) is not None


def _file_name(name: str) -> str:
    if not is_file_name(name):
        raise ValueError(f"{name!r} is not the name of a file, which holds no '/' and is not '..'")
    return name


def _data_path(path: str) -> str:
    if not is_data_path(path):
        raise ValueError(f"{path!r} is not the path of a data file below data/")
    return path


FileName = Annotated[str, AfterValidator(_file_name)]
"""The name of a file, without any folder."""
DataPath = Annotated[str, AfterValidator(_data_path)]
"""Such as ``data/site=site_0285/date=2020-10-14/part-0000.parquet``."""
DATA_PATH: Final = f"^(?:{_DATA_PATH.pattern})$"
"""Regular expression of data paths, for whole columns."""
