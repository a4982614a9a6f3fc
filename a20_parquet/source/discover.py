"""Finding shards: which files of the sources are TFRecord shards, and in which order."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from a20_parquet.errors import SourceError
from a20_parquet.source.content import open_content
from a20_parquet.source.labels import NUMBERED, make_labels, missing_shards
from a20_parquet.source.shard import (
    HEADER_BYTES,
    Codec,
    Shard,
    detect_codec,
    reading,
    starts_with_frame,
)
from a20_parquet.storage.place import Place

_NAMED_TFRECORD = re.compile(r"\.tfrecord", re.IGNORECASE)
# What others write beside shards, named after them; only its first frame can make it a shard.
_SIDECAR = re.compile(r"\.(npy|jsonl?|txt|csv|parquet|idx|index|md5|sha\d*|crc\w*)$", re.IGNORECASE)
_GLOB_CHARACTER = re.compile(r"[*?\[]")
_DAMAGED_SUFFIX = ".damaged"
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated")
_NO_SHARD = "no TFRecord shard by name or first frame"
CONFIG_NAME = "config.json"


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file of a source that is no shard."""

    url: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What the sources hold."""

    shards: tuple[Shard, ...]
    """In shard order: by label, which does not depend on where the sources lie."""
    passed_over: tuple[PassedOver, ...]
    missing: tuple[str, ...]
    """A sentence for each numbered set of shards that is not whole."""
    configs: tuple[tuple[Any, str], ...]
    """Filesystem and path of each ``config.json`` beside shards."""

    @property
    def bytes(self) -> int:
        """Stored size of all shards."""
        return sum(shard.size for shard in self.shards)


@dataclass(frozen=True, slots=True)
class _File:
    filesystem: Any
    path: str
    size: int
    below: str
    """Path below the source that was searched; empty for a file that was named itself."""
    is_regular: bool = True
    """False for links to folders, links to nothing and devices."""
    version: str = ""
    """As ``Shard`` has it."""

    @property
    def url(self) -> str:
        if isinstance(self.filesystem, LocalFileSystem):
            return self.path
        return str(self.filesystem.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def find_shards(
    sources: str | Path | Sequence[str | Path], leave_out: Place | None = None
) -> Listing:
    """Search folders, files, globs and fsspec URLs for shards; folders are searched whole.

    A file is a shard if its name says so or if it begins with a valid frame. A file that is named
    itself, not found in a folder or by a glob, must be one, unless it is known to lie beside them.

    Args:
        sources: where to search.
        leave_out: a dataset, which may lie below a source; what it holds is passed over, unless a
            source is it or lies in it.

    Raises:
        SourceError: a source does not exist, can't be listed, or nothing is a shard.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    files: dict[str, _File] = {}
    passed_over, found = [], []
    for source in sources:
        listed = list(_files_of(str(source)))
        is_left_out = _left_out(str(source), leave_out)
        for file in listed:
            if is_left_out(file):
                passed_over.append(PassedOver(file.url, "part of the dataset"))
            elif not file.below or file.url not in files:
                files[file.url] = file
    for file in files.values():
        reason = _why_no_shard(file)
        if reason is None:
            found.append(file)
        elif file.below or reason != _NO_SHARD:
            passed_over.append(PassedOver(file.url, reason))
        else:
            raise SourceError(f"{file.url}: {reason}. Name a TFRecord shard or a folder of them.")
    if not found:
        raise SourceError(
            f"no shard found in {', '.join(map(str, sources))} ({len(passed_over)} files passed "
            "over). Shards are called like embeddings-00000-of-00010 or *.tfrecord, or begin with "
            "a valid TFRecord frame."
        )
    labels = make_labels([file.url for file in found])
    labelled = sorted(zip(labels, found, strict=True), key=lambda item: item[0])
    folders = {file.path.rpartition("/")[0] for file in found}
    return Listing(
        shards=tuple(
            Shard(label, file.url, position, file.path, file.size, file.filesystem, file.version)
            for position, (label, file) in enumerate(labelled)
        ),
        passed_over=tuple(sorted(passed_over, key=lambda item: item.url)),
        missing=tuple(missing_shards([file.path for file in found])),
        configs=tuple(
            (file.filesystem, file.path)
            for file in files.values()
            if file.name == CONFIG_NAME and file.path.rpartition("/")[0] in folders
        ),
    )


def _files_of(source: str) -> Iterator[_File]:
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
        if isinstance(filesystem, LocalFileSystem):
            path = re.sub("^/+", "/", os.path.normpath(path))
        if filesystem.isfile(path):
            info = filesystem.info(path)
            yield _File(filesystem, path, info["size"], "", version=_version(info))
            yield from _configs_in(filesystem, {path.rpartition("/")[0]})
        elif filesystem.isdir(path):
            yield from _files_below(filesystem, path, path)
        elif _GLOB_CHARACTER.search(path):
            matches = filesystem.glob(path, detail=True)
            if not matches:
                raise SourceError(f"{source}: nothing matches. Check the pattern and its folder.")
            yield from _files_matching(filesystem, path, matches)
        else:
            raise SourceError(
                f"{source}: does not exist. Name a shard, a folder of them or a glob."
            )
    except (OSError, ValueError, ImportError) as error:
        raise SourceError(f"{source}: can't be listed: {error}") from error


def _configs_in(filesystem: Any, folders: Iterable[str]) -> Iterator[_File]:
    for path in (f"{folder}/{CONFIG_NAME}" for folder in sorted(folders)):
        if filesystem.isfile(path):
            yield _File(filesystem, path, filesystem.size(path), CONFIG_NAME)


def _files_matching(
    filesystem: Any, pattern: str, matches: dict[str, dict[str, Any]]
) -> Iterator[_File]:
    root = _GLOB_CHARACTER.split(pattern, maxsplit=1)[0].rpartition("/")[0]
    folders = set()
    for match, info in sorted(matches.items()):
        if info["type"] == "directory":
            yield from _files_below(filesystem, match, root)
        else:
            yield _file_below(filesystem, match, info, root)
            folders.add(match.rpartition("/")[0])
    yield from _configs_in(filesystem, folders)


def _files_below(filesystem: Any, folder: str, root: str) -> Iterator[_File]:
    # fsspec's own walk passes over folders that it can't list, but for the first.
    for info in sorted(filesystem.ls(folder, detail=True), key=lambda info: str(info["name"])):
        path = str(info["name"]).rstrip("/")
        if path == folder.rstrip("/"):
            continue  # an object that stands for the folder
        if info["type"] == "directory":
            yield from _files_below(filesystem, path, root)
        else:
            yield _file_below(filesystem, path, info, root)


def _file_below(filesystem: Any, path: str, info: dict[str, Any], root: str) -> _File:
    below = path.removeprefix(root.rstrip("/")).strip("/")
    is_regular = info["type"] == "file" or filesystem.isfile(path)
    return _File(filesystem, path, info["size"], below, is_regular, _version(info))


def _version(info: dict[str, Any]) -> str:
    found = [info[key] for key in _VERSION_KEYS if info.get(key)]
    return str(found[0]) if found else ""


def _left_out(source: str, dataset: Place | None) -> Callable[[_File], bool]:
    """Make what tells whether a file of ``source`` is one of the dataset's."""
    filesystem, path = fsspec.core.url_to_fs(source)
    if not isinstance(dataset, Path) or not isinstance(filesystem, LocalFileSystem):
        return lambda _: False
    root = dataset.resolve()
    if Path(path).resolve().is_relative_to(root):
        return lambda _: False

    @cache
    def is_inside(folder: str) -> bool:
        return Path(folder).resolve().is_relative_to(root)

    return lambda file: is_inside(file.path.rpartition("/")[0])


def _why_no_shard(file: _File) -> str | None:
    """Say why a file is passed over; None for a shard."""
    if reason := _known_kind(file):
        return reason
    is_named = NUMBERED.match(file.name) or _NAMED_TFRECORD.search(file.name)
    if is_named and not _SIDECAR.search(file.name):
        return None
    return None if _begins_like_shard(file) else _NO_SHARD


def _known_kind(file: _File) -> str | None:
    """Say what a file is that is known to be no shard."""
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


def _begins_like_shard(file: _File) -> bool:
    if file.size < HEADER_BYTES:
        return False
    with reading(file.url), file.filesystem.open(file.path, "rb") as opened:
        head = opened.read(HEADER_BYTES)
    if detect_codec(head) is Codec.NONE:
        return starts_with_frame(head)
    shard = Shard(file.name, file.url, 0, file.path, file.size, file.filesystem)
    inflated = bytearray(HEADER_BYTES)
    try:
        with open_content(shard) as content:
            content.readinto(memoryview(inflated))
    except SourceError:
        return False
    return starts_with_frame(bytes(inflated))
