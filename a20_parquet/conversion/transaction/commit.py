"""The commit: how a finished conversion becomes the dataset, at one moment.

All that belongs to the new state is written under ``conversion/`` first. Replacing
``manifest.json`` commits it; what was staged then moves to its place. Whoever is killed before
has changed nothing, whoever is killed after has only left the moving to the next one. Readers look
at both places. Where nothing was before, what a store would have to copy goes to its place first.
"""

import ctypes
import hashlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from a20_parquet.conversion.transaction.lock import check_lock, clear_conversion, confirm_lock
from a20_parquet.conversion.transaction.scratch import remove_scratch
from a20_parquet.dataset.layout import PART, DatasetLayout
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.manifest_content import manifest_content, parse_manifest
from a20_parquet.dataset.quarantine import DAMAGED, LIST, RECORDS
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.storage.conditional import ConditionalFile
from a20_parquet.storage.files import copy, files_below, move, path_errors, write_whole
from a20_parquet.storage.path import AnyPath, StorePath, read_whole

_LOGGER = logging.getLogger(__name__)
_SUFFIXES = (RECORDS, DAMAGED, LIST)


class _Commit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: str
    """SHA-256 of the manifest that commits the conversion."""
    is_published: bool = False
    """Whether copies of all that is staged lie at their places."""


def commit(
    layout: DatasetLayout, manifest: Manifest, files_content: bytes, sites_content: bytes | None
) -> None:
    """Make a finished conversion the dataset; its data files and quarantine are written.

    Args:
        layout: of the dataset.
        manifest: of the new state.
        files_content: of ``files.parquet``.
        sites_content: of ``sites.parquet``; None if the dataset has no sites table, or keeps it.

    Raises:
        OSError: something cannot be written.
    """
    write_whole(layout.staged_files, files_content)
    if sites_content is not None:
        write_whole(layout.staged_sites, sites_content)
    content = manifest_content(manifest)
    marker = _Commit(manifest=_digest(content))
    write_whole(layout.commit, marker.model_dump_json())
    if isinstance(layout.root, Path):
        flush_to_disk(layout.root)
    elif not layout.manifest.exists():
        # What is staged stays: units whose quarantine is gone would be sorted again.
        for staged, place in _staged(layout, manifest):
            if staged != layout.staged_sites or sites_content is not None:
                copy(staged, place)
        published = marker.model_copy(update={"is_published": True})
        write_whole(layout.commit, published.model_dump_json())
    _put_manifest(layout, content)
    _LOGGER.info("manifest written: %s", layout.manifest)


def _put_manifest(layout: DatasetLayout, content: bytes) -> None:
    if isinstance(layout.manifest, Path):
        write_whole(layout.manifest, content)
        return
    # Whoever falls asleep after the lock was confirmed replaces no manifest that others commit
    # meanwhile.
    file = ConditionalFile(layout.manifest)
    version = file.version()
    confirm_lock(layout)
    with path_errors(layout.manifest):
        is_put = file.put(content, version) is not None or file.look()[1] == content
    if not is_put:
        confirm_lock(layout)
        raise DatasetError(
            f"{layout.manifest}: changed while it was written, and not by a conversion that has "
            "the lock. The same command looks at what is there now"
        )


def is_committed(layout: DatasetLayout) -> bool:
    """Whether the conversion here has been committed, and only its traces are left."""
    marker = _read(layout)
    try:
        return marker is not None and _digest(read_whole(layout.manifest)) == marker.manifest
    except FileNotFoundError:
        return False


def _read(layout: DatasetLayout) -> _Commit | None:
    try:
        with path_errors(layout.commit):
            return _Commit.model_validate_json(read_whole(layout.commit))
    except (FileNotFoundError, ValidationError):
        return None


def clean_up(layout: DatasetLayout, scratch: Sequence[AnyPath]) -> None:
    """Move what a committed conversion has staged to its place and remove its traces.

    Args:
        layout: of the dataset.
        scratch: folders of its runs, see ``Plan.own_scratch``.

    Raises:
        DatasetError: the manifest is damaged.
        OSError: something cannot be moved or removed.
    """
    manifest, _ = parse_manifest(read_whole(layout.manifest), str(layout.manifest))
    marker = _read(layout)
    if marker is None or not marker.is_published:
        for staged, place in _staged(layout, manifest):
            # Quarantine that the dataset has held before is not staged, nor what was moved already.
            place.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):
                move(staged, place)
    _empty_quarantine(layout, manifest)
    _release(layout, scratch)


def _staged(layout: DatasetLayout, manifest: Manifest) -> Iterator[tuple[AnyPath, AnyPath]]:
    """What may be staged, and where it belongs: what a store lists may be of a moment ago."""
    yield layout.staged_files, layout.files
    yield layout.staged_sites, layout.sites
    for shard in manifest.quarantine:
        for file in shard.files:
            yield layout.staged_quarantine / file.name, layout.quarantine / file.name


def _empty_quarantine(layout: DatasetLayout, manifest: Manifest) -> None:
    """Remove what was kept of shards of which less, or nothing, is in quarantine now."""
    left = {file.name for shard in manifest.quarantine for file in shard.files}
    known = {f"{shard.label}{suffix}" for shard in manifest.shards for suffix in _SUFFIXES}
    for name in files_below(layout.quarantine):
        if name in known - left:
            (layout.quarantine / name).unlink(missing_ok=True)
    with suppress(OSError):
        layout.quarantine.rmdir()  # only where it is empty


def _release(layout: DatasetLayout, scratch: Sequence[AnyPath]) -> None:
    """Remove the traces of a committed conversion."""
    check_lock(layout)
    remove_scratch(scratch)
    # Without a plan what is left here is known to be of no use.
    layout.plan.unlink(missing_ok=True)
    clear_conversion(layout)


def remove_strays(layout: DatasetLayout, known: Sequence[str]) -> None:
    """Remove data files that units left half-written, and folders that are empty then.

    Whatever else a user keeps there stays.

    Args:
        layout: of the dataset.
        known: paths of all other data files, relative to the dataset.

    Raises:
        UsageError: a folder of a partition is a link, through which files would be written.
    """
    data = layout.data
    if isinstance(data, Path):
        _refuse_links(data)
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


def _refuse_links(data: Path) -> None:
    for folder, names, _ in os.walk(data):
        for name in names:
            if (path := Path(folder, name)).is_symlink():
                raise UsageError(
                    f"{path} is a symbolic link: nothing is written where it leads. Put the folder "
                    "itself there, or name another dataset."
                )


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
