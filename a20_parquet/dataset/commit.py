"""The commit: how a finished conversion becomes the dataset, at one moment.

All that belongs to the new state is written under ``conversion/`` first. Replacing
``manifest.json`` commits it; what was staged then moves to its place. Whoever is killed before
has changed nothing, whoever is killed after has only left the moving to the next one. Readers look
at both places. Where nothing was before, what a store would have to copy goes to its place first.
"""

import ctypes
import hashlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from a20_parquet.dataset.claim import clear_conversion
from a20_parquet.dataset.layout import PART, DatasetLayout
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.quarantine import DAMAGED, LIST, RECORDS
from a20_parquet.storage.files import files_below, move, remove_tree, write_whole
from a20_parquet.storage.place import Place, StorePath, place_of


class _Commit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str
    """SHA-256 of the manifest that commits the conversion."""


def commit(
    layout: DatasetLayout, manifest: Manifest, files_content: bytes, sites_content: bytes | None
) -> None:
    """Make a finished conversion the dataset; its data files and quarantine are written.

    Args:
        layout: of the dataset.
        manifest: of the new state.
        files_content: of ``files.parquet``.
        sites_content: of ``sites.parquet``; none where the dataset has no sites table, or keeps it.

    Raises:
        OSError: something can't be written.
    """
    write_whole(layout.staged_files, files_content)
    if sites_content is not None:
        write_whole(layout.staged_sites, sites_content)
    content = (manifest.model_dump_json(indent=1) + "\n").encode()
    write_whole(layout.commit, _Commit(manifest=_digest(content)).model_dump_json())
    if isinstance(layout.root, Path):
        flush_to_disk(layout.root)
    elif not layout.manifest.exists():
        _publish(layout)
    write_whole(layout.manifest, content)


def is_committed(layout: DatasetLayout) -> bool:
    """Whether the conversion here has been committed, and only its traces are left."""
    try:
        expected = _Commit.model_validate_json(layout.commit.read_bytes()).manifest
        return _digest(layout.manifest.read_bytes()) == expected
    except FileNotFoundError:
        return False


def settle(layout: DatasetLayout, scratch: Sequence[str]) -> None:
    """Move what a committed conversion has staged to its place and remove its traces.

    Args:
        layout: of the dataset.
        scratch: folders of its runs.

    Raises:
        OSError: something can't be moved or removed.
    """
    manifest = Manifest.model_validate_json(layout.manifest.read_bytes())
    _publish(layout)
    _empty_quarantine(layout, manifest)
    _release(layout, scratch)


def _publish(layout: DatasetLayout) -> None:
    """Move what is staged to its place."""
    for staged, place in (
        (layout.staged_files, layout.files),
        (layout.staged_sites, layout.sites),
        *_staged_quarantine(layout),
    ):
        if staged.exists():
            place.parent.mkdir(exist_ok=True)
            move(staged, place)


def _empty_quarantine(layout: DatasetLayout, manifest: Manifest) -> None:
    """Remove what was kept of shards of which less, or nothing, is in quarantine now."""
    left = {file.name for shard in manifest.quarantine for file in shard.files}
    for shard in manifest.shards:
        for suffix in (RECORDS, DAMAGED, LIST):
            if (name := f"{shard.label}{suffix}") not in left:
                (layout.quarantine / name).unlink(missing_ok=True)
    with suppress(OSError):
        layout.quarantine.rmdir()  # only where it is empty


def _staged_quarantine(layout: DatasetLayout) -> Sequence[tuple[Place, Place]]:
    names = files_below(layout.staged_quarantine)
    return [(layout.staged_quarantine / name, layout.quarantine / name) for name in names]


def _release(layout: DatasetLayout, scratch: Sequence[str]) -> None:
    """Remove the traces of a committed conversion."""
    for folder in scratch:
        remove_tree(place_of(folder))
    # Without a plan what is left here is known to be of no use.
    layout.plan.unlink(missing_ok=True)
    clear_conversion(layout)


def remove_strays(layout: DatasetLayout, known: Sequence[str]) -> None:
    """Remove data files that units left half-written, and folders that are empty then.

    Whatever else a user keeps there stays.

    Args:
        layout: of the dataset.
        known: paths of all other data files, relative to the dataset.
    """
    data = layout.data
    keep = set(known)
    strays = [
        name
        for name in files_below(data)
        if f"{data.name}/{name}" not in keep and PART.fullmatch(name.rpartition("/")[2])
    ]
    if isinstance(data, StorePath):
        data.filesystem.rm_files([(data / name).path for name in strays])
        return
    for name in strays:
        (data / name).unlink()
    _remove_empty_folders(data)


def _remove_empty_folders(data: Path) -> None:
    for folder, _, _ in os.walk(data, topdown=False):
        if folder != str(data) and not any(Path(folder).iterdir()):
            Path(folder).rmdir()


def flush_to_disk(folder: Path) -> None:
    """Wait until all that was written to the file system of ``folder`` is on its disk.

    One call for all files: to flush each of many thousand small ones takes minutes.
    """
    if sys.platform == "linux":
        handle = os.open(folder, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).syncfs(handle) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number), str(folder))
        finally:
            os.close(handle)
    elif hasattr(os, "sync"):
        os.sync()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
