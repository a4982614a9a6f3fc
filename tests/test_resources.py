"""Limits of control groups: those of all groups that the process is in count, and no others."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet import resources
from a20_parquet.resources import cpu_limit, memory_limit

_V2 = "29 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
_V1 = (
    "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
_HYBRID = _V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
_PATHS_V1 = "5:memory:{0}\n4:cpu,cpuacct:{0}\n1:name=systemd:/elsewhere\n"


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Make a root of a file system with these files."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


CASES: dict[str, tuple[dict[str, str], int | None, float | None]] = {
    "nothing at all": ({}, None, None),
    "version 2, no limit": (
        {
            "proc/self/cgroup": "0::/user.slice\n",
            "proc/self/mountinfo": _V2,
            "sys/fs/cgroup/user.slice/memory.max": "max\n",
            "sys/fs/cgroup/user.slice/cpu.max": "max 100000\n",
        },
        None,
        None,
    ),
    "Kubernetes: its own namespace": (
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": _V2,
            "sys/fs/cgroup/memory.max": "1000\n",
            "sys/fs/cgroup/cpu.max": "150000 100000\n",
        },
        1000,
        1.5,
    ),
    "systemd: a limit two groups above": (
        {
            "proc/self/cgroup": "0::/user.slice/user-1.slice/run-1.scope\n",
            "proc/self/mountinfo": _V2,
            "sys/fs/cgroup/user.slice/memory.max": "700\n",
            "sys/fs/cgroup/user.slice/user-1.slice/run-1.scope/memory.max": "max\n",
            "sys/fs/cgroup/user.slice/user-1.slice/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/system.slice/memory.max": "1\n",
        },
        700,
        3.0,
    ),
    "above it is slowed down": (
        {
            "proc/self/cgroup": "0::/a\n",
            "proc/self/mountinfo": _V2,
            "sys/fs/cgroup/a/memory.max": "900\n",
            "sys/fs/cgroup/a/memory.high": "800\n",
        },
        800,
        None,
    ),
    "Slurm, version 1": (
        {
            "proc/self/cgroup": _PATHS_V1.format("/slurm/uid_1/job_5/step_0"),
            "proc/self/mountinfo": _HYBRID,
            "sys/fs/cgroup/memory/slurm/uid_1/job_5/memory.limit_in_bytes": "600\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/cpu,cpuacct/slurm/uid_1/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/slurm/uid_1/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/slurm/uid_1/job_5/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/slurm/uid_1/job_5/cpu.cfs_period_us": "100000\n",
        },
        600,
        0.5,
    ),
    "Docker, version 1: it sees its own group alone": (
        {
            "proc/self/cgroup": _PATHS_V1.format("/docker/abc"),
            "proc/self/mountinfo": _V1.replace(" / ", " /docker/abc "),
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "500\n",
        },
        500,
        None,
    ),
    "a group outside of the namespace": (
        {
            "proc/self/cgroup": "0::/../../other\n",
            "proc/self/mountinfo": _V2,
            "sys/fs/cgroup/memory.max": "400\n",
            "sys/other/memory.max": "1\n",
        },
        400,
        None,
    ),
    "nested namespaces: a mount of the outer one": (
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": _V2.replace(" / ", " /../.. "),
            "sys/fs/cgroup/memory.max": "400\n",
        },
        400,
        None,
    ),
    "a mount point with a space": (
        {
            "proc/self/cgroup": "0::/a b\n",
            "proc/self/mountinfo": _V2.replace("/sys/fs/cgroup", r"/my\040groups"),
            "my groups/a b/memory.max": "300\n",
        },
        300,
        None,
    ),
    "no list of mounts": (
        {
            "proc/self/cgroup": "0::/a\n",
            "sys/fs/cgroup/a/memory.max": "200\n",
        },
        200,
        None,
    ),
    "garbage": (
        {
            "proc/self/cgroup": "what\n:\n0:\n\n0::/a\n",
            "proc/self/mountinfo": "\n-\n1 2 - cgroup2\n" + _V2,
            "sys/fs/cgroup/a/memory.max": "lots\n",
            "sys/fs/cgroup/a/memory.high": "0\n",
            "sys/fs/cgroup/a/cpu.max": "1 2 3\n",
            "sys/fs/cgroup/memory.max": "-5\n",
            "sys/fs/cgroup/cpu.max": "100000 0\n",
        },
        None,
        None,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_limits(case: str, tmp_path: Path) -> None:
    """As container engines, schedulers and systemd set them."""
    files, of_memory, of_cpu = CASES[case]
    root = write(tmp_path, files)
    assert memory_limit(root) == of_memory
    assert cpu_limit(root) == of_cpu


_LEVEL = st.one_of(st.none(), st.just("max"), st.integers(1, 10**6).map(str))


@given(levels=st.lists(_LEVEL, min_size=1, max_size=5), version=st.sampled_from([1, 2]))
def test_the_least_of_all_above(levels: list[str | None], version: int) -> None:
    """Whichever group sets it, and however many do."""
    path = PurePosixPath("/", *(f"level-{number}" for number in range(len(levels) - 1)))
    groups = [*reversed(path.parents), path]
    if version == 1:
        told = {"proc/self/cgroup": _PATHS_V1.format(path), "proc/self/mountinfo": _V1}
        below, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
    else:
        told = {"proc/self/cgroup": f"0::{path}\n", "proc/self/mountinfo": _V2}
        below, name = "sys/fs/cgroup", "memory.max"
    limits = {
        f"{below}{group if group != PurePosixPath('/') else ''}/{name}": f"{level}\n"
        for group, level in zip(groups, levels, strict=True)
        if level is not None
    }
    with TemporaryDirectory() as folder:
        root = write(Path(folder), told | limits)
        found = memory_limit(root)
    numbers = [int(level) for level in levels if level not in {None, "max"}]
    assert found == min(numbers, default=None)


def test_what_the_defaults_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of what is there or allowed, whichever is less; parts of a core count whole."""
    total = int(psutil.virtual_memory().total)
    for limit, budget in ((None, total // 4), (4000, 1000), (total * 2, total // 4)):
        monkeypatch.setattr(resources, "memory_limit", lambda limit=limit: limit)
        assert resources.default_budget() == budget
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8), raising=False)
    for cpus, workers in ((None, 8), (0.1, 1), (1.5, 2), (2.0, 2), (64.0, 8)):
        monkeypatch.setattr(resources, "cpu_limit", lambda cpus=cpus: cpus)
        assert resources.default_workers() == workers


def test_this_process() -> None:
    """It is in some group, or in none."""
    for limit in (resources.memory_limit(), resources.cpu_limit()):
        assert limit is None or limit > 0
