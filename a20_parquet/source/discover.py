"""Finding shards: which files of the sources are TFRecord shards, and in which order."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice, takewhile
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from a20_parquet.errors import SourceError
from a20_parquet.source.content import open_content
from a20_parquet.source.shard import (
    HEADER_BYTES,
    Codec,
    Shard,
    detect_codec,
    reading,
    starts_with_frame,
)

_NUMBERED = re.compile(r"^(?P<stem>.*)-(?P<number>\d{5,})-of-(?P<total>\d{5,})")
_NAMED_TFRECORD = re.compile(r"\.tfrecord", re.IGNORECASE)
# What others write beside shards, named after them; only its first frame can make it a shard.
_SIDECAR = re.compile(r"\.(npy|jsonl?|txt|csv|parquet|idx|index|md5|sha\d*|crc\w*)$", re.IGNORECASE)
_GLOB_CHARACTER = re.compile(r"[*?\[]")
_MAX_NAMED_MISSING = 5
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

    @property
    def url(self) -> str:
        if isinstance(self.filesystem, LocalFileSystem):
            return self.path
        return str(self.filesystem.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def find_shards(sources: str | Path | Sequence[str | Path]) -> Listing:
    """Search folders, files, globs and fsspec URLs for shards; folders are searched whole.

    A file is a shard if its name says so or if it begins with a valid frame. A file that is named
    itself, not found in a folder or by a glob, must be one, unless it is known to lie beside them.

    Raises:
        SourceError: a source does not exist, can't be listed, or nothing is a shard.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    files: dict[str, _File] = {}
    for source in sources:
        for file in _files_of(str(source)):
            if not file.below or file.url not in files:
                files[file.url] = file
    passed_over, found = [], []
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
            Shard(label, file.url, position, file.path, file.size, file.filesystem)
            for position, (label, file) in enumerate(labelled)
        ),
        passed_over=tuple(sorted(passed_over, key=lambda item: item.url)),
        missing=tuple(_missing([file.path for file in found])),
        configs=tuple(
            (file.filesystem, file.path)
            for file in files.values()
            if file.name == CONFIG_NAME and file.path.rpartition("/")[0] in folders
        ),
    )


def make_labels(paths: Sequence[str]) -> list[str]:
    """Label files by name or, where they share it, by the shortest path tail that differs.

    Folders in a label are joined by ``__``; the folder that holds all files is not part of a label,
    so that labels stay when it moves. Labels are unique: those that meet because names hold ``__``
    themselves are numbered.
    """
    whole = [path.strip("/").split("/") for path in paths]
    levels = zip(*(part[:-1] for part in whole), strict=False)
    common = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    parts = [part[common:] for part in whole]
    depth = [1] * len(paths)
    while True:
        labels = ["__".join(part[-n:]) for part, n in zip(parts, depth, strict=True)]
        times = Counter(labels)
        grow = [
            i for i, label in enumerate(labels) if times[label] > 1 and depth[i] < len(parts[i])
        ]
        if not grow:
            return _number_repeated(labels, paths)
        for i in grow:
            depth[i] += 1


def _number_repeated(labels: Sequence[str], paths: Sequence[str]) -> list[str]:
    unique = list(labels)
    used: set[str] = set()
    for i in sorted(range(len(paths)), key=paths.__getitem__):
        numbers = count(2)
        while unique[i] in used:
            unique[i] = f"{labels[i]}~{next(numbers)}"
        used.add(unique[i])
    return unique


def _files_of(source: str) -> Iterator[_File]:
    try:
        filesystem, path = fsspec.core.url_to_fs(source)
        if isinstance(filesystem, LocalFileSystem):
            path = re.sub("^/+", "/", os.path.normpath(path))
        if filesystem.isfile(path):
            yield _File(filesystem, path, filesystem.size(path), "")
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
    def stop(error: OSError) -> None:
        raise error

    for _, _, infos in filesystem.walk(folder, detail=True, on_error=stop):
        for info in sorted(infos.values(), key=lambda info: str(info["name"])):
            yield _file_below(filesystem, str(info["name"]), info, root)


def _file_below(filesystem: Any, path: str, info: dict[str, Any], root: str) -> _File:
    below = path.removeprefix(root.rstrip("/")).strip("/")
    is_regular = info["type"] == "file" or filesystem.isfile(path)
    return _File(filesystem, path, info["size"], below, is_regular)


def _why_no_shard(file: _File) -> str | None:
    """Say why a file is passed over; None for a shard."""
    folders = file.path.split("/")[:-1]
    if any(part.startswith(".") for part in file.below.split("/")):
        return "hidden"
    if not file.is_regular:
        return "no regular file; name a linked folder itself as a source"
    if file.name == CONFIG_NAME:
        return "Perch's own configuration"
    if folders and (folders[-1], file.name.rpartition(".")[2]) in {
        ("embeddings", "npy"),
        ("metadata", "json"),
    }:
        return "written by the notebook"
    is_named = _NUMBERED.match(file.name) or _NAMED_TFRECORD.search(file.name)
    if is_named and not _SIDECAR.search(file.name):
        return None
    return None if _begins_like_shard(file) else _NO_SHARD


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


def _missing(paths: Iterable[str]) -> Iterator[str]:
    sets: dict[tuple[str, str], set[int]] = defaultdict(set)
    for path in paths:
        folder, _, name = path.rpartition("/")
        match = _NUMBERED.match(name)
        if match:
            key = f"{folder}/{match['stem']}" if folder else match["stem"]
            sets[key, match["total"]].add(int(match["number"]))
    for (stem, total), numbers in sorted(sets.items()):
        # The total is only a name's word, and may be huge.
        here = sum(number < int(total) for number in numbers)
        absent = (number for number in range(int(total)) if number not in numbers)
        named = [f"{number:0{len(total)}d}" for number in islice(absent, _MAX_NAMED_MISSING)]
        if named:
            more = ", …" if int(total) - here > len(named) else ""
            yield (
                f"{stem}-*-of-{total}: {here} of {int(total)} shards are here, missing "
                f"{', '.join(named)}{more}"
            )
