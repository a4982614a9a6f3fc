"""Lists the files of a source: a folder, a glob or a single file."""

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
# The most exact first; stores give different ones.
_VERSION_KEYS = (
    *("generation", "ETag", "etag", "md5Hash", "Content-MD5", "mtime"),
    *("LastModified", "last_modified", "Last-Modified", "updated"),
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a source."""

    filesystem: Any
    path: str
    size: int
    below: str
    """Path below the source; empty for a file that is the source itself."""
    is_regular: bool = True
    """False for links to folders, links to nothing and devices."""
    version: str = ""
    """See ``Shard``."""

    @property
    def url(self) -> str:
        """URL or path for messages and the manifest, as valid Unicode."""
        if is_local(self.filesystem):
            return as_unicode(self.path)
        return str(self.filesystem.unstrip_protocol(self.path))

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The path without its last part."""
        return self.path.rpartition("/")[0]


def list_source(source: str) -> list[SourceFile]:
    """List the files of a source, and each ``config.json`` beside them.

    Args:
        source: a folder, a file, a glob or an fsspec URL of one.

    Raises:
        SourceError: it does not exist or cannot be listed.
        UsageError: its store cannot be opened.
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
            # A broken link is neither, and does not exist.
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
        raise SourceError(f"{source}: cannot be listed: {error}") from error
    raise SourceError(f"{source}: {missing}")


def _info(filesystem: Any, path: str) -> dict[str, Any] | None:
    """fsspec's info on a path; None if it does not exist."""
    try:
        info: dict[str, Any] = filesystem.info(path)
    except FileNotFoundError:
        return None
    except OSError:
        # A pattern may be no valid local name.
        if is_local(filesystem):
            return None
        raise
    return info


def _named(filesystem: Any, path: str, info: Mapping[str, Any]) -> SourceFile:
    if info["size"] is None:
        raise SourceError(
            f"{filesystem.unstrip_protocol(path)}: the server does not give its size, so that a "
            "truncated file would not be noticed. Copy it to a folder first."
        )
    return SourceFile(filesystem, path, info["size"], "", version=_version(info))


def _configs(filesystem: Any, paths: Iterable[str], known: Iterable[str]) -> Iterator[SourceFile]:
    """Look for ``config.json`` beside files, except for those already in ``known``."""
    beside = {f"{path.rpartition('/')[0]}/{CONFIG_NAME}" for path in paths}
    missing = sorted(beside.difference(known))

    def look(path: str) -> dict[str, Any] | None:
        try:
            return _info(filesystem, path)
        except PermissionError:
            # Without permission to list a bucket, missing files are refused as well.
            return None

    is_remote = not is_local(filesystem)
    infos = map_at_once(look, missing, is_remote=is_remote, at_once=MOST_AT_ONCE)
    for path, info in zip(missing, infos, strict=True):
        if info is not None and info["type"] == "file":
            yield SourceFile(filesystem, path, info["size"], CONFIG_NAME)


def _matches(filesystem: Any, pattern: str) -> dict[str, dict[str, Any]]:
    """fsspec's info on each path that a glob matches."""
    if is_local(filesystem):
        found: dict[str, dict[str, Any]] = filesystem.glob(pattern, detail=True)
        return found
    # fsspec's own glob skips folders that it cannot list.
    parts = pattern.split("/")

    def may_contain_matches(folder: str) -> bool:
        """Whether a folder matches the start of the pattern down to its depth."""
        begin = parts[: folder.count("/") + 1]
        if any("**" in part for part in begin):
            return True
        return len(begin) < len(parts) and _is_match(folder, "/".join(begin))

    try:
        infos = list(_infos_below(filesystem, [_root(pattern)], may_contain_matches))
    except FileNotFoundError:
        return {}
    return {path: info for path, info in infos if _is_match(path, pattern)}


def _is_match(path: str, pattern: str) -> bool:
    return re.match(glob_translate(pattern), path) is not None


def _root(pattern: str) -> str:
    """The folder that contains all matches of a glob."""
    return _GLOB_CHARACTER.split(pattern, maxsplit=1)[0].rpartition("/")[0]


def _files_matching(
    filesystem: Any, pattern: str, matches: dict[str, dict[str, Any]]
) -> Iterator[SourceFile]:
    root = _root(pattern)
    # The content of a matching folder is listed with it.
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
    """Yield path and fsspec's info of everything below folders, or below wanted subfolders.

    fsspec's own walk skips folders that it cannot list, except the first.
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
