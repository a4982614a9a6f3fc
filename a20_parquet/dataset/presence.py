"""Explains why a path is not a dataset, and which path was probably meant."""

import re
from itertools import islice
from pathlib import Path

from a20_parquet.errors import DatasetError
from a20_parquet.formatting import first_names
from a20_parquet.storage.path import AnyPath, parse_path

_SHARD = re.compile(r"-\d{5,}-of-\d{5,}|\.tfrecords?(\.|$)", re.IGNORECASE)
_OF_DATABASES = (".db", ".duckdb")
_MOST_NAMED = 3
# A data file is at most three folders below its dataset.
_MOST_ABOVE = 4
_MOST_LISTED = 1000
_CONVERT = (
    "a20-parquet convert SHARDS DATASET makes a dataset of shards, a20-parquet inspect shows what "
    "is in them."
)


def check_is_there(dataset: str) -> None:
    """Check that a local folder is a dataset; one in a store is checked when it is opened.

    Raises:
        DatasetError: it is not.
        UsageError: its store cannot be opened.
    """
    path = parse_path(dataset)
    if isinstance(path, Path) and not (path / "manifest.json").exists():
        raise DatasetError(f"{path}: {why_no_dataset(path)}")


def why_no_dataset(path: AnyPath) -> str:
    """Explain why a path without a manifest is not a dataset, and what it is."""
    try:
        if path.name.casefold().endswith(_OF_DATABASES) and not path.is_dir():
            return "is called like a database: DATASET comes first, FILE last."
        if not path.exists():
            return "does not exist. Name the folder that a20-parquet convert wrote."
        above = _dataset_above(path)
        if above is not None:
            return f"is a part of a dataset. Name the dataset itself: {above}"
        if not path.is_dir():
            kind = "a shard" if _SHARD.search(path.name) else "a file"
            return f"is {kind}, and a dataset is a folder. {_CONVERT}"
        return _why_no_folder(path)
    except OSError as error:
        return f"has no manifest.json, and cannot be listed: {error}"


def _why_no_folder(folder: AnyPath) -> str:
    if (folder / "conversion" / "plan.json").exists():
        return (
            "its conversion has not finished, so it has no manifest.json yet. Wait for it, or run "
            "it again."
        )
    if shards := name_shards(folder):
        return f"holds {shards}, which are not converted yet. {_CONVERT}"
    inner = _first_paths(folder)
    below = next((each for each in inner if (each / "manifest.json").exists()), None)
    if below is not None:
        return f"has no manifest.json, but {below} has. Name that one."
    return (
        "has no manifest.json, so it is not a complete dataset. Name one that convert has finished."
    )


def name_shards(folder: AnyPath) -> str:
    """Describe the files of a folder that have names like shards; empty if there are none.

    Raises:
        OSError: it cannot be listed.
    """
    names = [path.name for path in _first_paths(folder) if _SHARD.search(path.name)]
    return f"shards ({first_names(names, _MOST_NAMED)})" if names else ""


def _dataset_above(path: AnyPath) -> AnyPath | None:
    for _ in range(_MOST_ABOVE):
        path = path.parent
        if not path.name:
            return None
        if (path / "manifest.json").exists() and (path / "files.parquet").exists():
            return path
    return None


def _first_paths(folder: AnyPath) -> list[AnyPath]:
    return sorted(islice(folder.iterdir(), _MOST_LISTED), key=str)
