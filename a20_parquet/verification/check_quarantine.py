"""Checks what lies in quarantine against what the manifest says of it."""

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from typing import Any

import crc32c

from a20_parquet.dataset.catalog import Catalog
from a20_parquet.dataset.manifest import QuarantinedShard, QuarantineFile
from a20_parquet.dataset.problem import Problem
from a20_parquet.dataset.quarantine import LIST, Entry, list_sum, parse_entry
from a20_parquet.errors import DatasetError
from a20_parquet.storage.locate import check_regular
from a20_parquet.windows.rejection import Reason

_READ_BYTES = 1 << 20


def check_quarantine(catalog: Catalog, *, strays: bool) -> Iterator[Problem]:
    """Check every file in ``quarantine/``.

    Args:
        catalog: of the dataset.
        strays: whether files that the manifest does not name are wrong.
    """
    files = [file for shard in catalog.manifest.quarantine for file in shard.files]
    for file in files:
        # What has just been committed may not have moved to its place yet.
        places = [f"{folder}/{file.name}" for folder in ("quarantine", "conversion/quarantine")]
        found = [list(_check(catalog, place, file)) for place in places]
        yield from found[0] if all(found) else ()
    for shard in catalog.manifest.quarantine:
        yield from _check_reasons(catalog, shard)
    if strays:
        yield from _check_strays(catalog, {file.name for file in files})


def _check_reasons(catalog: Catalog, shard: QuarantinedShard) -> Iterator[Problem]:
    entries = _read_list(catalog, shard.label)
    if entries is None:
        return  # what is wrong with its list has been told
    found = Counter(entry.reason for entry in entries)
    if found != shard.reasons:
        yield Problem(
            f"quarantine/{shard.label}{LIST}",
            f"lists {_told(found)}, expected {_told(shard.reasons)} as in manifest.json",
        )


def _told(reasons: Mapping[Reason, int]) -> str:
    return ", ".join(f"{reasons[each]:,} {each.value}" for each in sorted(reasons)) or "nothing"


def kept_list_sum(catalog: Catalog, label: str) -> str | None:
    """The ``list_sum`` of what is kept of a shard; none where its list can't be read."""
    entries = _read_list(catalog, label)
    return None if entries is None else list_sum(entries)


def _read_list(catalog: Catalog, label: str) -> list[Entry] | None:
    for folder in ("quarantine", "conversion/quarantine"):
        path = f"{folder}/{label}{LIST}"
        try:
            with _open(catalog, path) as lines:
                return [parse_entry(line, path) for line in lines]
        except (OSError, DatasetError):
            continue
    return None


def _open(catalog: Catalog, path: str) -> Any:
    if catalog.is_local:
        check_regular(catalog.path(path))
    return catalog.filesystem.open(catalog.path(path), "rb")


def _check(catalog: Catalog, path: str, file: QuarantineFile) -> Iterator[Problem]:
    size = checksum = 0
    try:
        with _open(catalog, path) as opened:
            while piece := opened.read(_READ_BYTES):
                size += len(piece)
                checksum = crc32c.crc32c(piece, checksum)
    except OSError as error:
        yield Problem(path, f"can't be read: {error}")
        return
    if size != file.bytes:
        yield Problem(path, f"has {size:,} bytes, expected {file.bytes:,}")
    elif f"{checksum:08x}" != file.checksum:
        yield Problem(path, f"its checksum is {checksum:08x}, expected {file.checksum}")


def _check_strays(catalog: Catalog, named: Container[str]) -> Iterator[Problem]:
    try:
        found = catalog.filesystem.ls(catalog.path("quarantine"), detail=False)
    except FileNotFoundError:
        return
    except OSError as error:
        yield Problem("quarantine", f"can't be listed: {error}")
        return
    for name in sorted(path.rstrip("/").rpartition("/")[2] for path in found):
        if name not in named:
            yield Problem(f"quarantine/{name}", "the manifest does not name it")
