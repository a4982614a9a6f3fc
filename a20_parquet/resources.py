"""Memory and cores that this process may use, as containers and schedulers limit them.

The limits are those of Linux control groups. A process is in one group of each hierarchy, and the
limits of all groups above apply too. In version 1 memory and CPU have separate hierarchies, in
version 2 they share one.
"""

import ctypes
import logging
import math
import os
import re
import sys
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

if sys.platform != "win32":
    import resource

_LOGGER = logging.getLogger(__name__)

METADATA_ROW_BYTES = 450
"""Memory for a window's metadata and keys while they are sorted: twice 190 bytes, and a reserve."""

MOST_WORKERS = 1024
"""More threads are of no use, and systems allow only some thousands."""

_MOST_OPEN_ON_WINDOWS = 512
_ROOT: Final = Path("/")
_ESCAPED = re.compile(r"\\([0-7]{3})")
# Usual folders of the hierarchies, if mountinfo cannot be read.
_USUAL: Final = {
    "": "/sys/fs/cgroup",
    "memory": "/sys/fs/cgroup/memory",
    "cpu": "/sys/fs/cgroup/cpu",
}


def release_memory() -> None:
    """Give memory that was freed back to the system, where the C library can (glibc).

    It keeps what was freed between blocks in use: of the first pass up to 150 MB.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def memory_limit(root: Path = _ROOT) -> int | None:
    """Return the bytes that this process may use, None if no group limits them.

    Above ``memory.high`` the kernel slows processes down, above the other limits it kills them.

    Args:
        root: root of the file system; tests give another one.
    """
    groups = _groups(root, "memory")
    return min((limit for group in groups for limit in _memory_limits(group)), default=None)


def cpu_limit(root: Path = _ROOT) -> float | None:
    """Return how many cores' time this process may use, None if no group limits it."""
    groups = _groups(root, "cpu")
    return min((limit for group in groups for limit in _cpu_limits(group)), default=None)


def _memory_limits(group: Path) -> Iterator[int]:
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        yield from _numbers(group / name)[:1]


def _cpu_limits(group: Path) -> Iterator[float]:
    for quota_and_period in (
        _numbers(group / "cpu.max"),
        _numbers(group / "cpu.cfs_quota_us") + _numbers(group / "cpu.cfs_period_us"),
    ):
        if len(quota_and_period) == 2:  # noqa: PLR2004 - both
            quota, period = quota_and_period
            yield quota / period


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of this process's groups, and of all groups above them."""
    paths = _paths(root)
    for controllers, top, point in _mounts(root):
        if controller not in controllers and "" not in controllers:
            continue
        path = paths.get("" if "" in controllers else controller)
        folder = root / point.lstrip("/")
        # A container may see only its own group, or a path outside of what it sees: then its group
        # is the topmost that it sees.
        inner = PurePosixPath()
        if path is not None and ".." not in path.parts and path.is_relative_to(top):
            inner = path.relative_to(top)
        yield from (folder / below for below in (inner, *inner.parents))


def _paths(root: Path) -> dict[str, PurePosixPath]:
    """The group's path by controller; version 2 has an empty name."""
    paths = {}
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for controller in controllers.split(","):
            paths[controller] = PurePosixPath(path or "/")
    return paths


def _mounts(root: Path) -> Iterator[tuple[Collection[str], str, str]]:
    """Yield controllers, the group at the mount point, and the mount point of each hierarchy."""
    lines = _lines(root / "proc/self/mountinfo")
    if not lines:
        for controller, point in _USUAL.items():
            yield [controller], "/", point
    for line in lines:
        # 31 23 0:28 /root /point rw,relatime shared:1 - cgroup2 cgroup2 rw
        mount, _, filesystem = line.partition(" - ")
        fields, kind = mount.split(), filesystem.split()
        if len(fields) > 4 and len(kind) > 2 and kind[0] in {"cgroup", "cgroup2"}:  # noqa: PLR2004
            names = kind[2].split(",") if kind[0] == "cgroup" else [""]
            yield names, _unescaped(fields[3]), _unescaped(fields[4])


def _unescaped(path: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _numbers(path: Path) -> list[int]:
    """The numbers in a file, empty if a word is not a number, such as ``max`` for no limit."""
    try:
        numbers = [int(word) for word in path.read_text(errors="replace").split()]
    except (OSError, ValueError):
        return []
    # Version 1 writes -1 for no limit.
    return numbers if all(number > 0 for number in numbers) else []


def default_budget() -> int:
    """Return a quarter of the memory that this process may use, in bytes."""
    import psutil

    total = int(psutil.virtual_memory().total)
    limit = memory_limit()
    _LOGGER.debug("memory of the machine: %s; limit of the control groups: %s", total, limit)
    return (total if limit is None else min(total, limit)) // 4


def free_memory() -> int:
    """Return the bytes that processes and cached files can still take, as far as limits allow."""
    import psutil

    free = int(psutil.virtual_memory().available)
    limit = memory_limit()
    return free if limit is None else min(free, limit - int(psutil.Process().memory_info().rss))


def open_files_limit() -> int:
    """Return the number of files that this process may have open."""
    if sys.platform == "win32":
        return _MOST_OPEN_ON_WINDOWS
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def default_workers() -> int:
    """Return the number of cores that this process may use, rounded up."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    limit = cpu_limit()
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))
