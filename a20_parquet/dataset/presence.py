"""Explains why a path is not a dataset, and which path was probably meant."""

import re
from itertools import islice
from pathlib import Path

from a20_parquet.errors import DatasetError
from a20_parquet.storage.path import AnyPath, parse_path

_SHARD = re.compile(r"-\d{5,}-of-\d{5,}|\.tfrecords?(\.|$)", re.IGNORECASE)
_OF_DATABASES = (".db", ".duckdb")
_MOST_NAMED = 3
# A data file lies at most three folders below its dataset.
_MOST_ABOVE = 4
_MOST_LOOKED_AT = 1000
_CONVERT = (
    "a20-parquet convert SHARDS DATASET makes a dataset of shards, a20-parquet inspect shows what "
    "is in them."
)


def check_is_there(dataset: str) -> None:
    """See at once that a folder of this machine holds a dataset; elsewhere opening it tells.

    Raises:
        DatasetError: it does not.
        UsageError: its store cannot be opened.
    """
    place = parse_path(dataset)
    if isinstance(place, Path) and not (place / "manifest.json").exists():
        raise DatasetError(f"{place}: {why_no_dataset(place)}")


def why_no_dataset(place: AnyPath) -> str:
    """Say why a place without a manifest is no dataset, and what is there."""
    try:
        return _look(place)
    except OSError as error:
        return f"has no manifest.json, and cannot be looked at: {error}"


def _look(place: AnyPath) -> str:
    if place.name.casefold().endswith(_OF_DATABASES) and not place.is_dir():
        return "is called like a database: DATASET comes first, FILE last."
    if not place.exists():
        return "does not exist. Name the folder that a20-parquet convert wrote."
    above = _dataset_above(place)
    if above is not None:
        return f"is a part of a dataset. Name the dataset itself: {above}"
    return _why_no_folder(place) if place.is_dir() else _why_no_file(place)


def _why_no_file(place: AnyPath) -> str:
    kind = "a shard" if _SHARD.search(place.name) else "a file"
    return f"is {kind}, and a dataset is a folder. {_CONVERT}"


def _why_no_folder(place: AnyPath) -> str:
    if (place / "conversion" / "plan.json").exists():
        return (
            "its conversion has not finished, so that it has no manifest.json yet. Wait for it, or "
            "run it again."
        )
    inner = _first_lying_in(place)
    if shards := _name_shards(inner):
        return f"holds {shards}, which are not converted yet. {_CONVERT}"
    below = next((each for each in inner if (each / "manifest.json").exists()), None)
    if below is not None:
        return f"has no manifest.json, but {below} has. Name that one."
    return "has no manifest.json, so it is no complete dataset. Name one that convert has finished."


def name_shards(folder: AnyPath) -> str:
    """Name the files of a folder that are called like shards; empty if none is.

    Raises:
        OSError: it cannot be looked at.
    """
    return _name_shards(_first_lying_in(folder))


def _name_shards(places: list[AnyPath]) -> str:
    names = [place.name for place in places if _SHARD.search(place.name)]
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return f"shards ({', '.join(names[:_MOST_NAMED])}{more})" if names else ""


def _dataset_above(place: AnyPath) -> AnyPath | None:
    for _ in range(_MOST_ABOVE):
        place = place.parent
        if not place.name:
            return None
        if (place / "manifest.json").exists() and (place / "files.parquet").exists():
            return place
    return None


def _first_lying_in(folder: AnyPath) -> list[AnyPath]:
    return sorted(islice(folder.iterdir(), _MOST_LOOKED_AT), key=str)
