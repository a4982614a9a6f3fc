"""Listing sources: which files lie in a folder, match a glob or are named themselves."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fsspec.utils import glob_translate

from a20_parquet.errors import SourceError
from a20_parquet.formatting import as_unicode
from a20_parquet.storage.concurrent import MOST_AT_ONCE, map_at_once
from a20_parquet.storage.locate import check_regular, is_local, locate
from a20_parquet.storage.path import StorePath, check_bucket

CONFIG_NAME = "config.json"

_GLOB_CHARACTER = re.compile(r"[*?\[]")
# The first that a store tells: a later one may only say the same less exactly.
_VERSION_KEYS = (
    "generation",
    "ETag",
    "etag",
    "md5Hash",
    "Content-MD5",
    "mtime",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "updated",
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source."""

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
        """Where it lies, for messages and the manifest: as Unicode, whatever its path is."""
        if is_local(self.filesystem):
            return as_unicode(self.path)
        return str(self.filesystem.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The path without its last part."""
        return self.path.rpartition("/")[0]


def list_source(source: str) -> list[SourceFile]:
    """List the files of a source, and each ``config.json`` beside those that it names.

    Args:
        source: a folder, a file, a glob or an fsspec URL of one.

    Raises:
        SourceError: it does not exist or can't be listed.
        UsageError: its store can't be opened.
    """
    try:
        filesystem, path = locate(source)
        info = _info(filesystem, path)
        kind = None if info is None else info["type"]
        missing = "does not exist. Name a shard, a folder of them or a glob."
        if info is not None and kind == "file":
            return [_named(filesystem, path, info), *_configs(filesystem, [path], ())]
        if kind == "directory":
            return list(_files_below(filesystem, [path], path))
        if kind == "other" and is_local(filesystem):
            # A link to nothing is none of these either, and does not exist.
            check_regular(path)
        if _GLOB_CHARACTER.search(path):
            if matches := _matches(filesystem, path):
                return list(_files_matching(filesystem, path, matches))
            missing = "nothing matches. Check the pattern and its folder."
        if not is_local(filesystem):
            check_bucket(StorePath(filesystem, path))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise SourceError(f"{source}: can't be listed: {error}") from error
    raise SourceError(f"{source}: {missing}")


def _info(filesystem: Any, path: str) -> dict[str, Any] | None:
    """What a filesystem says of a path; none where nothing is."""
    try:
        info: dict[str, Any] = filesystem.info(path)
    except FileNotFoundError:
        return None
    except OSError:
        # A pattern may be no name that a local filesystem can look up.
        if is_local(filesystem):
            return None
        raise
    return info


def _named(filesystem: Any, path: str, info: Mapping[str, Any]) -> SourceFile:
    if info["size"] is None:
        raise SourceError(
            f"{filesystem.unstrip_protocol(path)}: the server does not tell its size, so that one "
            "that is cut could not be told from one that is whole. Copy it to a folder first."
        )
    return SourceFile(filesystem, path, info["size"], "", version=_version(info))


def _configs(filesystem: Any, paths: Iterable[str], known: Iterable[str]) -> Iterator[SourceFile]:
    """Look for the configuration in each folder that holds one of the files.

    Args:
        filesystem: to look in.
        paths: of files.
        known: further paths that are known to exist, among which it need not be looked for.
    """
    beside = {f"{path.rpartition('/')[0]}/{CONFIG_NAME}" for path in paths}
    missing = sorted(beside.difference(known))

    def look(path: str) -> dict[str, Any] | None:
        try:
            return _info(filesystem, path)
        except PermissionError:
            # Who may not list a bucket is refused, too, what is not there.
            return None

    is_remote = not is_local(filesystem)
    infos = map_at_once(look, missing, is_remote=is_remote, at_once=MOST_AT_ONCE)
    for path, info in zip(missing, infos, strict=True):
        if info is not None and info["type"] == "file":
            yield SourceFile(filesystem, path, info["size"], CONFIG_NAME)


def _matches(filesystem: Any, pattern: str) -> dict[str, dict[str, Any]]:
    """What a filesystem says of each path that a glob matches."""
    if is_local(filesystem):
        found: dict[str, dict[str, Any]] = filesystem.glob(pattern, detail=True)
        return found
    # fsspec's own passes over folders that it can't list.
    parts = pattern.split("/")

    def may_hold_some(folder: str) -> bool:
        """Whether a folder matches as much of the pattern as names folders so deep."""
        begin = parts[: folder.count("/") + 1]
        if any("**" in part for part in begin):
            return True
        return len(begin) < len(parts) and _is_match(folder, "/".join(begin))

    try:
        infos = list(_infos_below(filesystem, [_root(pattern)], may_hold_some))
    except FileNotFoundError:
        return {}
    return {path: info for path, info in infos if _is_match(path, pattern)}


def _is_match(path: str, pattern: str) -> bool:
    return re.match(glob_translate(pattern), path) is not None


def _root(pattern: str) -> str:
    """The folder below which all that a glob matches lies."""
    return _GLOB_CHARACTER.split(pattern, maxsplit=1)[0].rpartition("/")[0]


def _files_matching(
    filesystem: Any, pattern: str, matches: dict[str, dict[str, Any]]
) -> Iterator[SourceFile]:
    root = _root(pattern)
    # What lies in a folder that matches is listed with it.
    paths = [path for path in sorted(matches) if path.rpartition("/")[0] not in matches]
    folders = [path for path in paths if matches[path]["type"] == "directory"]
    files = [path for path in paths if matches[path]["type"] != "directory"]
    yield from _files_below(filesystem, folders, root)
    yield from (_file_below(filesystem, path, matches[path], root) for path in files)
    yield from _configs(filesystem, files, files)


def _files_below(filesystem: Any, folders: Iterable[str], root: str) -> Iterator[SourceFile]:
    for path, info in _infos_below(filesystem, folders):
        if info["type"] != "directory":
            yield _file_below(filesystem, path, info, root)


def _infos_below(
    filesystem: Any,
    folders: Iterable[str],
    is_wanted: Callable[[str], bool] = lambda _: True,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path of all that lies below folders, and what the filesystem says of it.

    fsspec's own walk passes over folders that it can't list, but for the first.

    Args:
        filesystem: holds the folders.
        folders: paths of these.
        is_wanted: whether to look into a further folder.
    """

    def list_folder(folder: str) -> list[tuple[str, dict[str, Any]]]:
        listed = [(str(i["name"]).rstrip("/"), i) for i in filesystem.ls(folder, detail=True)]
        # Some stores have an object that stands for the folder.
        return [(path, info) for path, info in listed if path != folder.rstrip("/")]

    is_remote = not is_local(filesystem)
    level = list(folders)
    while level:
        found = map_at_once(list_folder, level, is_remote=is_remote, at_once=MOST_AT_ONCE)
        listed = [item for items in found for item in items]
        yield from listed
        level = [path for path, info in listed if info["type"] == "directory" and is_wanted(path)]


def _file_below(filesystem: Any, path: str, info: dict[str, Any], root: str) -> SourceFile:
    below = path.removeprefix(root.rstrip("/")).strip("/")
    is_regular = info["type"] == "file" or filesystem.isfile(path)
    return SourceFile(filesystem, path, info["size"], below, is_regular, _version(info))


def _version(info: Mapping[str, Any]) -> str:
    found = [info[key] for key in _VERSION_KEYS if info.get(key)]
    return str(found[0]) if found else ""
