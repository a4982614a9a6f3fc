"""Finds an example of each reason for which something is in quarantine."""

import io
from dataclasses import dataclass

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.layout import QUARANTINE
from a20_parquet.dataset.quarantine import LIST, Entry, parse_entry
from a20_parquet.errors import DatasetError
from a20_parquet.storage.files import file_size, read_range
from a20_parquet.windows.rejection import Reason

# Of a list that fills a disk, only the beginning is read.
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Held:
    """What is in quarantine for one reason."""

    reason: Reason
    count: int
    """Records and damaged ranges."""
    shards: int
    """Number of shards that they are from."""
    example: Entry | None
    """One of them; None if none is at the beginning of a shard's list."""


def read_held(catalog: Catalog) -> tuple[Held, ...]:
    """Read what is in quarantine, the most frequent reason first.

    Raises:
        DatasetError: a list is missing or was changed.
    """
    manifest = catalog.manifest
    examples: dict[Reason, Entry] = {}
    for shard in manifest.quarantine:
        if set(shard.reasons) - set(examples):
            examples = _read_examples(catalog, shard.label) | examples
    return tuple(
        Held(
            reason=Reason(name),
            count=count,
            shards=sum(Reason(name) in shard.reasons for shard in manifest.quarantine),
            example=examples.get(Reason(name)),
        )
        for name, count in manifest.count_reasons().items()
    )


def _read_examples(catalog: Catalog, label: str) -> dict[Reason, Entry]:
    """Return the first entry of each reason at the beginning of a shard's list."""
    name = f"{QUARANTINE}/{label}{LIST}"
    try:
        path = catalog.folder / name
        content = read_range(path, 0, min(file_size(path), _MOST_BYTES))
    except OSError as error:
        raise DatasetError(
            f"{catalog.url(name)}: cannot be read: {error}. Copy it from where it is whole, or "
            "convert the shards again."
        ) from error
    examples: dict[Reason, Entry] = {}
    for number, line in enumerate(io.BytesIO(content), 1):
        if line.endswith(b"\n"):
            entry = parse_entry(line, f"{catalog.url(name)}, line {number}")
            examples.setdefault(entry.reason, entry)
    return examples
