"""Finds the TFRecord shards among the files of the sources, and their order."""

import logging
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from a20_parquet.errors import SourceError
from a20_parquet.shards.labels import NUMBERED, make_labels, missing_shards
from a20_parquet.shards.listing import (
    CONFIG_NAME,
    SourceFile,
    list_source,
)
from a20_parquet.storage.concurrent import MOST_AT_ONCE, map_at_once
from a20_parquet.storage.locate import is_local, locate
from a20_parquet.storage.path import AnyPath, is_inside
from a20_parquet.tfrecord.compression import LOOK, open_content
from a20_parquet.tfrecord.shard import HEADER_BYTES, Shard, starts_with_frame

_LOGGER = logging.getLogger(__name__)
_NAMED_TFRECORD = re.compile(r"\.tfrecord", re.IGNORECASE)
# Files beside shards, named after them; they are shards only if their first frame is valid.
_SIDECAR = re.compile(r"\.(npy|jsonl?|txt|csv|parquet|idx|index|md5|sha\d*|crc\w*)$", re.IGNORECASE)
_BEAM_FOLDER = re.compile(r"beam-temp-")
# Of gsutil and gcloud, browsers, aria2, WinSCP, rclone and programs that rename finished files.
_UNFINISHED = re.compile(
    r"\.(gstmp|part|partial|filepart|crdownload|opdownload|download|incomplete|tmp|temp|aria2|!ut)$",
    re.IGNORECASE,
)
_ARIA2 = ".aria2"
_DAMAGED_SUFFIX = ".damaged"
_RECORDS_SUFFIX = ".tfrecord"
_LIST = ".jsonl"
_QUARANTINE = "quarantine"
_OF_A_DATASET = frozenset({"manifest.json", "files.parquet"})
_MOST_NAMED = 3
_NO_SHARD = "no TFRecord shard by name or first frame"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file of a source that is not a shard."""

    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What the sources hold."""

    shards: tuple[Shard, ...]
    """Sorted by label, which does not depend on the sources' folders."""
    passed_over: tuple[PassedOver, ...]
    missing: tuple[str, ...]
    """A sentence for each incomplete numbered set of shards."""
    configs: tuple[SourceFile, ...]
    """Each ``config.json`` beside shards."""
    remarks: tuple[str, ...] = ()
    """A sentence for each option that contradicts a ``config.json``."""

    @property
    def bytes(self) -> int:
        """Stored size of all shards."""
        return sum(shard.size for shard in self.shards)


def find_shards(
    sources: str | Path | Sequence[str | Path], leave_out: AnyPath | None = None
) -> Listing:
    """Search folders, files, globs and fsspec URLs for shards; folders with all subfolders.

    A file is a shard if its name says so or if it begins with a valid frame. A file that is itself
    a source must be a shard, or a known kind of file beside shards.

    Args:
        sources: where to search.
        leave_out: a dataset, possibly below a source, whose files are passed over unless a source
            is the dataset or inside it.

    Raises:
        SourceError: a source does not exist or cannot be listed, or nothing is a shard.
        UsageError: a source's store cannot be opened because its client is not installed.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    files: dict[str, SourceFile] = {}
    passed_over, found = [], []
    for source in sources:
        in_source = list_source(str(source))
        is_left_out = _left_out(str(source), leave_out)
        _refuse_dataset(str(source), in_source, leave_out)
        for file in in_source:
            if is_left_out(file):
                passed_over.append(PassedOver(file.url, "part of the dataset"))
            else:
                _add(file, files)
    listed = list(files.values())
    for file, reason in zip(listed, _why_no_shard(listed), strict=True):
        if reason is None:
            found.append(file)
        elif file.below or reason != _NO_SHARD:
            passed_over.append(PassedOver(file.url, reason))
        else:
            raise SourceError(f"{file.url}: {reason}. Name a TFRecord shard or a folder of them.")
    if not found:
        raise SourceError(_why_none(sources, passed_over))
    _LOGGER.info(
        "shards found: %d of %.1f MB; passed over: %d",
        len(found),
        sum(file.size for file in found) / 1e6,
        len(passed_over),
    )
    labels = make_labels([file.url for file in found])
    labelled = sorted(zip(labels, found, strict=True), key=lambda item: item[0])
    folders = {file.folder for file in found}
    lists = {f"{_stem(file)}{_LIST}" for file in listed if _is_kept(file)} & files.keys()
    # Quarantine contains only parts of most sets.
    numbered = [file.path for file in found if f"{_stem(file)}{_LIST}" not in lists]
    return Listing(
        shards=tuple(
            Shard(label, file.url, position, file.path, file.size, file.filesystem, file.version)
            for position, (label, file) in enumerate(labelled)
        ),
        passed_over=tuple(
            sorted((each for each in passed_over if each.url not in lists), key=lambda i: i.url)
        ),
        missing=tuple(missing_shards(numbered)),
        configs=tuple(
            # Equal whichever source it was found by.
            replace(file, below="", version="")
            for file in listed
            if file.name == CONFIG_NAME and file.is_regular and file.folder in folders
        ),
    )


def _is_kept(file: SourceFile) -> bool:
    """Whether it may be a file of a dataset's quarantine, beside its list."""
    is_named = file.name.endswith((_RECORDS_SUFFIX, _DAMAGED_SUFFIX))
    return is_named and file.folder.rpartition("/")[2] == _QUARANTINE


def _stem(file: SourceFile) -> str:
    """The URL without the last extension."""
    return file.url.rpartition(".")[0]


def _add(file: SourceFile, files: dict[str, SourceFile]) -> None:
    """Add a file to those found; a source that is a file replaces the same file of a folder.

    Raises:
        SourceError: another file would have the same name in the manifest.
    """
    if files.setdefault(file.url, file).path != file.path:
        raise SourceError(
            f"two files are {file.url} when written as Unicode. Rename the one whose name is no "
            "UTF-8."
        )
    if not file.below:
        files[file.url] = file


def _refuse_dataset(source: str, files: Sequence[SourceFile], own: AnyPath | None) -> None:
    """Refuse a dataset as a source, unless its own quarantine is retried.

    Raises:
        SourceError: the source is a dataset.
    """
    if not {file.below for file in files} >= _OF_A_DATASET:
        return
    filesystem, path = locate(source)
    quarantine = f"{source.rstrip('/')}/quarantine"
    is_own = own is not None and is_inside(filesystem, f"{path}/.", own)
    if not is_own or not any(file.below.startswith("quarantine/") for file in files):
        raise SourceError(
            f"{source} is a dataset, not a folder of shards. Name the folder of the shards it was "
            f"made from; records that could not be converted are in {quarantine}."
        )


def _why_none(sources: Sequence[str | Path], passed_over: Sequence[PassedOver]) -> str:
    names = ", ".join(each.url.rpartition("/")[2] for each in passed_over[:_MOST_NAMED])
    more = ", …" * (len(passed_over) > _MOST_NAMED)
    kinds = sorted({each.reason for each in passed_over} - {_NO_SHARD})
    why = "".join(f"; {kind}" for kind in kinds[:_MOST_NAMED])
    return (
        f"no shard found in {', '.join(map(str, sources))} ({len(passed_over)} files passed over"
        f"{': ' * bool(names)}{names}{more}{why}). Shards are "
        "called like embeddings-00000-of-00010 or *.tfrecord, or begin with a valid TFRecord frame."
    )


def _left_out(source: str, dataset: AnyPath | None) -> Callable[[SourceFile], bool]:
    """Return a function that tells whether a file of ``source`` belongs to the dataset."""
    filesystem, path = locate(source)

    @cache
    def is_datasets(folder: str) -> bool:
        """Whether a folder is the dataset, or is inside it."""
        return dataset is not None and is_inside(filesystem, f"{folder}/.", dataset)

    if is_datasets(path):
        return lambda _: False
    return lambda file: is_datasets(file.folder)


def _why_no_shard(files: Sequence[SourceFile]) -> list[str | None]:
    """Return for each file why it is passed over; None for a shard."""
    urls = {file.url for file in files}
    reasons = [_known_kind(file) or _why_leftover(file.url, file.below, urls) for file in files]
    unclear = [
        index
        for index, (file, reason) in enumerate(zip(files, reasons, strict=True))
        if reason is None and not _is_named_like_shard(file)
    ]
    looked_at = [files[index] for index in unclear]
    is_remote = not all(is_local(file.filesystem) for file in looked_at)
    begin = map_at_once(_begins_like_shard, looked_at, is_remote=is_remote, at_once=MOST_AT_ONCE)
    for index, begins in zip(unclear, begin, strict=True):
        reasons[index] = None if begins else _NO_SHARD
    return reasons


def _is_named_like_shard(file: SourceFile) -> bool:
    is_named = NUMBERED.match(file.name) or _NAMED_TFRECORD.search(file.name)
    return bool(is_named) and not _SIDECAR.search(file.name)


def _known_kind(file: SourceFile) -> str | None:
    """Name the kind of a file that is known not to be a shard, or return None."""
    folders = file.path.split("/")[:-1]
    if any(part.startswith(".") for part in file.below.split("/")):
        return "hidden"
    if not file.is_regular:
        return "no regular file; name a linked folder itself as a source"
    if file.name.endswith(_DAMAGED_SUFFIX):
        return "damaged bytes kept from another shard"
    if file.name == CONFIG_NAME:
        return "Perch's own configuration"
    is_notebooks = folders and (folders[-1], file.name.rpartition(".")[2]) in {
        ("embeddings", "npy"),
        ("metadata", "json"),
    }
    return "written by the notebook" if is_notebooks else None


def _why_leftover(url: str, below: str, beside: Collection[str]) -> str | None:
    """Return why a file is a leftover; None if it may be a shard.

    ``below`` is that of the ``SourceFile``; ``beside`` are the URLs of all files.
    """
    *folders, name = url.split("/")
    # A source that is such a folder itself is searched.
    for folder in below.split("/")[:-1] if below else folders[-1:]:
        if _BEAM_FOLDER.match(folder):
            return (
                f"in {folder}, which a Beam job that was killed has left; name that folder itself "
                "to take what is in it"
            )
    if _UNFINISHED.search(name):
        return "not finished by the program that downloaded or wrote it, as its name says"
    if f"{url}{_ARIA2}" in beside:
        return f"not finished by aria2, whose {name}{_ARIA2} is beside it"
    return None


def _begins_like_shard(file: SourceFile) -> bool:
    if file.size < HEADER_BYTES:
        return False
    shard = Shard(file.name, file.url, 0, file.path, file.size, file.filesystem)
    head = bytearray(HEADER_BYTES)
    with open_content(shard, LOOK) as content:
        content.readinto(memoryview(head))
    return starts_with_frame(bytes(head))
