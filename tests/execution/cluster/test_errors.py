"""What a user is told where a cluster cannot do the work."""

import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import a20_parquet
from a20_parquet import errors
from a20_parquet.errors import A20ParquetError, ClusterError, RecordError, UsageError
from a20_parquet.execution import dask_cluster
from a20_parquet.execution.dask_cluster import connect_cluster
from a20_parquet.execution.fencing import FencingToken
from a20_parquet.execution.protocols import TaskContext
from a20_parquet.windows.rejection import Reason
from tests.execution.cluster.conftest import OPTIONS
from tests.execution.cluster.grid import READING, Grid, Nursery, Recorder, wait_until

pytestmark = pytest.mark.cluster

_OPTIONS: Any = OPTIONS
RECORD = RecordError(
    shard="s", record=1, offset=2, reason="bad", fix="Mend it.", code=Reason.TRUNCATED
)
OTHERS = [
    kind("what is wrong")
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, A20ParquetError) and kind is not RecordError
]


@pytest.mark.parametrize("error", [RECORD, *OTHERS], ids=lambda error: type(error).__name__)
def test_errors_come_from_other_processes(error: A20ParquetError) -> None:
    """As they were raised there."""
    found = pickle.loads(pickle.dumps(error))  # noqa: S301 - its own
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert vars(found) == vars(error)


@pytest.mark.parametrize("where", ["local:0", "local:", "local:x", "nowhere", "tcp://host", ""])
def test_what_is_no_address(where: str, tmp_path: Path) -> None:
    """It is refused before anything is looked at."""
    with pytest.raises(UsageError, match=r"^dask: "):
        a20_parquet.convert(tmp_path / "in", tmp_path / "out", dask=where)


def test_workers_are_the_clusters(tmp_path: Path) -> None:
    """Their number cannot be given as well."""
    with pytest.raises(UsageError, match=r"^workers counts threads"):
        a20_parquet.convert(tmp_path / "in", tmp_path / "out", dask="local:2", workers=2)


def test_without_dask(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is named."""
    monkeypatch.delitem(sys.modules, "a20_parquet.execution.dask_cluster")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install 'a20-parquet\[dask\]'"):
        a20_parquet.convert(shards, tmp_path / "out", dask="local:2")


def test_without_a_scheduler(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is named, and nothing is left behind."""
    monkeypatch.setattr(dask_cluster, "_CONNECT_S", 0.5)
    with pytest.raises(ClusterError, match=r"tcp://127\.0\.0\.1:9: no scheduler answers there"):
        a20_parquet.convert(shards, tmp_path / "out", dask="tcp://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []


def test_without_workers(nursery: Nursery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for them for long."""
    monkeypatch.setattr(dask_cluster, "_FIRST_WORKER_S", 0.5)
    with (
        Grid(nursery, workers=0) as grid,
        pytest.raises(ClusterError, match="has no worker"),
        connect_cluster(grid.address, Recorder()),
    ):
        pass


def test_another_version(grid: Grid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers must have the same one."""
    monkeypatch.setattr(dask_cluster, "__version__", "99.0")
    with (
        pytest.raises(ClusterError, match="Install the same version"),
        connect_cluster(grid.address, Recorder()),
    ):
        pass


@pytest.mark.skipif(
    not Path("/proc/self/cwd").exists(), reason="needs paths that differ by process"
)
@pytest.mark.parametrize("hidden", ["sources", "dataset"])
def test_a_worker_that_sees_other_folders(
    shards: Path, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str
) -> None:
    """It is named with what it does not see, before any work is done."""
    (tmp_path / "in").symlink_to(shards)
    monkeypatch.chdir(tmp_path)
    own = Path("/proc/self/cwd")
    source = own / "in" / "embeddings-00000-of-00012" if hidden == "sources" else shards
    with pytest.raises(ClusterError, match=r"worker tcp://.*/proc/self/cwd"):
        a20_parquet.convert(
            source,
            (own if hidden == "dataset" else tmp_path) / "out",
            dask=grid.address,
            **_OPTIONS,
        )


@pytest.mark.usefixtures("many_units")
def test_errors_of_records(shards: Path, grid: Grid, tmp_path: Path) -> None:
    """The first one stops all where it should; else they are counted for all workers together."""
    with pytest.raises(RecordError, match="record 7 at byte"):
        a20_parquet.convert(
            shards, tmp_path / "out", dask=grid.address, on_error="fail", **_OPTIONS
        )
    # Each worker alone would see fewer.
    options = dict(_OPTIONS)
    options.update({"dask": grid.address, "max_errors": 13})
    with pytest.raises(RecordError, match="more than max_errors 13"):
        a20_parquet.convert(shards, tmp_path / "out", **options)
    options["max_errors"] = 15
    done = a20_parquet.convert(shards, tmp_path / "out", **options)
    assert done.totals.quarantined + done.totals.damaged == 15


@pytest.mark.usefixtures("many_units")
def test_the_scheduler_is_lost(
    shards: Path, grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command says how to go on, and does."""
    monkeypatch.setattr(dask_cluster, "_CONNECT_S", 2)
    progress = Recorder(tmp_path / "out", {(READING, 3): grid.scheduler.kill})
    with pytest.raises(ClusterError, match="The same command goes on where it stopped"):
        a20_parquet.convert(
            shards, tmp_path / "out", dask=grid.address, progress=progress, **_OPTIONS
        )
    assert a20_parquet.convert(shards, tmp_path / "out", **_OPTIONS).is_resumed


def open_deadly() -> Callable[[int, TaskContext], None]:
    """Return what kills the process that does it."""
    return lambda _, __: os._exit(1)


def test_work_that_kills(nursery: Nursery, tmp_path: Path) -> None:
    """It does not take all workers with it."""
    tmp_path.joinpath("conversion").mkdir()
    with (
        Grid(nursery, workers=5) as grid,
        connect_cluster(grid.address, Recorder()) as workers,
    ):
        workers.check_access(FencingToken("token", tmp_path / "conversion", ()), [])
        with pytest.raises(ClusterError, match="4 workers were lost one after the other"):
            list(workers.map(open_deadly, [0], threads=1))
        assert len(workers._client.nthreads()) == 1  # noqa: SLF001 - one is left


def open_double() -> Callable[[int, TaskContext], int]:
    """Return what doubles a unit."""
    return lambda unit, _: 2 * unit


def test_no_worker_is_left_when_a_pass_begins(nursery: Nursery, tmp_path: Path) -> None:
    """The units wait for one that comes later: none is left out."""
    tmp_path.joinpath("conversion").mkdir()
    with Grid(nursery, workers=1) as grid:

        class Progress(Recorder):
            def say(self, message: str) -> None:
                """Have a worker come once the other one is missed."""
                if "is gone" in message:
                    grid.add_worker()
                super().say(message)

        progress = Progress()
        progress.start("doubling", 0)
        with connect_cluster(grid.address, progress) as workers:
            workers.check_access(FencingToken("token", tmp_path / "conversion", ()), [])
            grid.workers[0].kill()
            wait_until(lambda: not workers._client.nthreads())  # noqa: SLF001 - whom it sees
            assert sorted(workers.map(open_double, range(3), threads=1)) == [0, 2, 4]
        assert len(progress.said) == 2
