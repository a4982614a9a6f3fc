"""The commit: a finished conversion becomes the dataset in one atomic step.

All files of the new state are first written (staged) under ``conversion/``. Replacing
``manifest.json`` commits them; then they move to their final paths. A crash before this point
changes nothing; after it, the next run only finishes moving the staged files. Readers look at both
paths. For a new dataset in a store, which would have to copy instead of moving, staged files are
copied before the commit.
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
from a20_parquet.dataset.card import make_card
from a20_parquet.dataset.card_file import update_card
from a20_parquet.dataset.layout import PART, DatasetLayout
from a20_parquet.dataset.manifest import Manifest
from a20_parquet.dataset.manifest_content import manifest_content, parse_manifest
from a20_parquet.dataset.quarantine import DAMAGED, LIST, RECORDS
from a20_parquet.dataset.summaries import FileSummary
from a20_parquet.dataset.write_file_list import files_content
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
    """Whether all staged files have been copied to their final paths."""


def commit(
    layout: DatasetLayout,
    manifest: Manifest,
    files: Sequence[FileSummary],
    sites_content: bytes | None,
) -> None:
    """Commit a finished conversion; its data files and quarantine are already written.

    Args:
        layout: of the dataset.
        manifest: its new one.
        files: all data files, of which the manifest has the list's checksum.
        sites_content: of the sites table; None if the dataset has none, or keeps it.

    Raises:
        OSError: a file cannot be written.
    """
    listed = files_content(files, manifest.options.partition_by)
    write_whole(layout.staged_files, listed.to_pybytes())
    write_whole(layout.staged_card, make_card(manifest, files))
    if sites_content is not None:
        write_whole(layout.staged_sites, sites_content)
    content = manifest_content(manifest)
    marker = _Commit(manifest=_digest(content))
    write_whole(layout.commit, marker.model_dump_json())
    if isinstance(layout.root, Path):
        flush_to_disk(layout.root)
    elif not layout.manifest.exists():
        # Copied, not moved: a resumed conversion sorts units again whose quarantine is gone.
        for staged, final in _staged(layout, manifest):
            if staged != layout.staged_sites or sites_content is not None:
                copy(staged, final)
        _update_card(layout)
        published = marker.model_copy(update={"is_published": True})
        write_whole(layout.commit, published.model_dump_json())
    _put_manifest(layout, content)
    _LOGGER.info("manifest written: %s", layout.manifest)


def _put_manifest(layout: DatasetLayout, content: bytes) -> None:
    if isinstance(layout.manifest, Path):
        write_whole(layout.manifest, content)
        return
    # Conditional, as this process may be suspended after it confirmed the lock, and another one may
    # commit meanwhile.
    file = ConditionalFile(layout.manifest)
    version = file.version()
    confirm_lock(layout)
    with path_errors(layout.manifest):
        is_put = file.put(content, version) is not None or file.look()[1] == content
    if not is_put:
        confirm_lock(layout)
        raise DatasetError(
            f"{layout.manifest}: changed while it was written, by something without the lock. Give "
            "the same command again: it looks at what is there now"
        )


def is_committed(layout: DatasetLayout) -> bool:
    """Whether the conversion here has been committed, so that only cleaning up is left."""
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
    """Move the staged files of a committed conversion to their final paths, and remove the rest.

    Raises:
        DatasetError: the manifest is damaged.
        OSError: a file cannot be moved or removed.
    """
    manifest, _ = parse_manifest(read_whole(layout.manifest), str(layout.manifest))
    marker = _read(layout)
    if marker is None or not marker.is_published:
        for staged, final in _staged(layout, manifest):
            final.parent.mkdir(exist_ok=True)
            # Older quarantine is not staged, and some files may have been moved already.
            with suppress(FileNotFoundError):
                move(staged, final)
        _update_card(layout)
    _empty_quarantine(layout, manifest)
    check_lock(layout)
    remove_scratch(scratch)
    # Without a plan the rest is known to be of no use.
    layout.plan.unlink(missing_ok=True)
    clear_conversion(layout)


def _staged(layout: DatasetLayout, manifest: Manifest) -> Iterator[tuple[AnyPath, AnyPath]]:
    """Yield each path that may be staged, with its final path.

    The paths come from the manifest, as the listing of a store may be out of date.
    """
    yield layout.staged_files, layout.files
    yield layout.staged_sites, layout.sites
    for shard in manifest.quarantine:
        for file in shard.files:
            yield layout.staged_quarantine / file.name, layout.quarantine / file.name


def _update_card(layout: DatasetLayout) -> None:
    # An earlier version that was killed after its commit has staged none.
    with suppress(FileNotFoundError):
        update_card(layout, read_whole(layout.staged_card).decode())


def _empty_quarantine(layout: DatasetLayout, manifest: Manifest) -> None:
    """Remove files of quarantine that the manifest no longer has."""
    left = {file.name for shard in manifest.quarantine for file in shard.files}
    known = {f"{shard.label}{suffix}" for shard in manifest.shards for suffix in _SUFFIXES}
    for name in files_below(layout.quarantine):
        if name in known - left:
            (layout.quarantine / name).unlink(missing_ok=True)
    with suppress(OSError):
        layout.quarantine.rmdir()  # fails unless it is empty


def remove_strays(layout: DatasetLayout, known: Sequence[str]) -> None:
    """Remove data files of unfinished units, and folders that are empty afterwards.

    The ``known`` data files, by their path in the dataset, stay; so do other files of the user.

    Raises:
        UsageError: the folder of a partition is a symbolic link.
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
                    f"{path} is a symbolic link, through which nothing is written. Put the folder "
                    "itself there, or name another dataset."
                )


def _remove_empty_folders(data: Path) -> None:
    for folder, _, _ in os.walk(data, topdown=False):
        if folder != str(data) and not any(Path(folder).iterdir()):
            Path(folder).rmdir()


def flush_to_disk(folder: Path) -> None:
    """Wait until everything that was written to the file system of ``folder`` is on disk.

    One call for all files: flushing each of many thousand small ones would take minutes.
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
