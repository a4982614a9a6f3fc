"""What the ``config.json`` of each folder says of its shards, for messages that name folders."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from a20_parquet.formatting import first_names
from a20_parquet.tfrecord.shard import Shard

Value = TypeVar("Value", float, str)

_MOST_NAMED = 3


def folders_by_value(
    shards: Iterable[Shard], value: Callable[[Shard], Value | None]
) -> tuple[dict[Value, set[str]], set[str]]:
    """Group the folders of shards.

    Args:
        shards: the shards.
        value: returns what the configuration beside a shard says, or None.

    Returns:
        The folders of each value, in the order of the shards; and those without one.
    """
    known: dict[Value, set[str]] = {}
    silent = set()
    for shard in shards:
        folder = shard.url.rpartition("/")[0]
        found = value(shard)
        if found is None:
            silent.add(folder)
        else:
            known.setdefault(found, set()).add(folder)
    return known, silent


def listed(folders: set[str]) -> str:
    """Name the first folders, sorted."""
    return first_names(sorted(folders), _MOST_NAMED)
