"""Conversions by a cluster end as those of one process do, to the byte."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import a20_parquet
from a20_parquet.conversion.result import Conversion
from a20_parquet.conversion.transaction.checkpoints import committed_files
from a20_parquet.dataset.layout import DatasetLayout
from tests.execution.cluster.conftest import OPTIONS, SHARDS
from tests.execution.cluster.grid import READING, WRITING, Grid, Nursery, Recorder, wait_until
from tests.helpers.conversions import digests

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("many_units")]

KILLED = """
import sys
from a20_parquet.conversion import merge_pass
from tests.execution.cluster.test_cluster import convert
from tests.helpers.conversions import use_tiny_memory
from tests.execution.cluster.grid import Recorder
import pytest
from pathlib import Path

def tell():
    print("now", flush=True)
    sys.stdin.read()

if __name__ == "__main__":
    use_tiny_memory(pytest.MonkeyPatch(), workers=1)
    merge_pass._UNIT_BYTES = 1
    shards, folder, dask = sys.argv[1:]
    folder = Path(folder)
    progress = Recorder(folder / "dataset", {("reading shards", 4): tell})
    convert(Path(shards), folder, progress, dask=dask)
"""


class Stop(Exception):  # noqa: N818 - no error of this package
    """Stands for whatever may stop a conversion."""


def stop() -> None:
    """Be what stops it."""
    raise Stop


def convert(shards: Path, folder: Path, progress: Recorder, **running: Any) -> Conversion:
    """Convert as the fixture ``expected`` does."""
    options: Any = {**OPTIONS, **running, "npy_json": folder / "notebook"}
    return a20_parquet.convert(shards, folder / "dataset", progress=progress, **options)


def written(folder: Path) -> dict[str, str]:
    """Digests of all that ``convert`` wrote."""
    return {**digests(folder / "dataset"), **digests(folder / "notebook")}


def test_same_bytes(shards: Path, expected: dict[str, str], grid: Grid, tmp_path: Path) -> None:
    """Whoever does the units: files, quarantine, manifest, and the notebook's files."""
    progress = Recorder()
    scratch = tmp_path / "scratch"
    done = convert(shards, tmp_path, progress, dask=grid.address, scratch=scratch)
    assert written(tmp_path) == expected
    assert done.runs_on_disk >= SHARDS
    assert done.duplicates.identical > 0
    assert progress.done == progress.totals
    assert list(scratch.iterdir()) == []


def test_workers_die_and_others_come(
    shards: Path, expected: dict[str, str], grid: Grid, tmp_path: Path
) -> None:
    """Units of workers that die in either pass are done again, also by one that came later.

    A worker that is stopped when the first unit is done has two others that only its death frees.
    """
    first, second, _ = grid.workers

    def replace() -> None:
        first.kill()
        grid.add_worker()

    progress = Recorder(
        tmp_path / "dataset",
        {
            (READING, 1): lambda: first.signal(signal.SIGSTOP),
            (READING, 4): replace,
            (WRITING, 1): lambda: second.signal(signal.SIGSTOP),
            (WRITING, 4): second.kill,
        },
    )
    done = convert(shards, tmp_path, progress, dask=grid.address)
    assert progress.at == {}
    assert written(tmp_path) == expected
    assert progress.done == progress.totals
    assert done.new_shards == SHARDS
    said = "\n".join(progress.said)
    assert f"worker {first.address} is gone" in said
    assert f"worker {grid.workers[-1].address} has joined" in said


def test_a_worker_that_was_cut_off(
    shards: Path, expected: dict[str, str], nursery: Nursery, tmp_path: Path
) -> None:
    """One that was given up goes on later, beside or after those who did its units again."""
    with Grid(nursery) as grid:
        early, late, _ = grid.workers

        def cut_off() -> None:
            for worker in (early, late):
                worker.signal(signal.SIGSTOP)
                grid.give_up(worker)

        moments: dict[tuple[str, int], Callable[[], object]] = {
            (READING, 1): cut_off,
            (WRITING, 3): lambda: early.signal(signal.SIGCONT),
        }
        progress = Recorder(tmp_path / "dataset", moments)
        convert(shards, tmp_path, progress, dask=grid.address)
        late.signal(signal.SIGCONT)
        # Both notice that they were given up, and end.
        wait_until(lambda: all(_is_gone(worker.pid) for worker in (early, late)))
    assert progress.done == progress.totals
    assert written(tmp_path) == expected


def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _begin_and_kill(shards: Path, folder: Path, dask: str) -> list[psutil.Process]:
    """Begin a conversion in another process and kill that one; what it had started."""
    arguments = [sys.executable, "-c", KILLED, str(shards), str(folder), dask]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"now\n", process.stderr.read()
        children: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    return children


def test_convert_is_killed_and_goes_on(
    shards: Path, expected: dict[str, str], grid: Grid, tmp_path: Path
) -> None:
    """Begun on a cluster it goes on there, and then without: what is done is never done again."""
    _begin_and_kill(shards, tmp_path, grid.address)
    done = len(list((tmp_path / "dataset" / "conversion" / "sorted").glob("*.json")))
    assert 4 <= done < SHARDS
    progress = Recorder(tmp_path / "dataset", {(WRITING, 5): stop})
    with pytest.raises(Stop):
        convert(shards, tmp_path, progress, dask=grid.address)
    sizes = [path.stat().st_size for path in shards.iterdir()]
    assert progress.totals[READING] <= sum(sizes) - done * min(sizes)
    finished = _finished(tmp_path)
    assert len(finished) >= 4
    again = Recorder()
    assert convert(shards, tmp_path, again, workers=2).is_resumed
    assert READING not in again.totals
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert written(tmp_path) == expected


def _finished(folder: Path) -> dict[Path, int]:
    """Data files that commit markers name, with their times of change."""
    layout = DatasetLayout(folder / "dataset")
    paths = [folder / "dataset" / path for path in committed_files(layout)]
    return {path: path.stat().st_mtime_ns for path in paths}


def test_processes_of_this_machine(
    shards: Path, expected: dict[str, str], grid: Grid, tmp_path: Path
) -> None:
    """They die with the process that began them, and another cluster goes on."""
    children = _begin_and_kill(shards, tmp_path, "local:2")
    assert len(children) >= 2
    wait_until(lambda: not any(child.is_running() for child in children))
    assert convert(shards, tmp_path, Recorder(), dask=grid.address).is_resumed
    assert written(tmp_path) == expected


def test_a_cluster_goes_on_with_what_threads_began(
    shards: Path, expected: dict[str, str], grid: Grid, tmp_path: Path
) -> None:
    """In the middle of the merge, of which other units may be left then."""
    begun = Recorder(tmp_path / "dataset", {(WRITING, 5): stop})
    with pytest.raises(Stop):
        convert(shards, tmp_path, begun, workers=2)
    finished = _finished(tmp_path)
    assert len(finished) >= 4
    progress = Recorder()
    assert convert(shards, tmp_path, progress, dask=grid.address).is_resumed
    assert READING not in progress.totals
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert written(tmp_path) == expected
