"""Runs in a store: what each read asks of it, and that many are read at the same time."""

# ruff: noqa: S311 - random rows, the same each time

import pickle
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a20_parquet.conversion.duplicates_pass import Comparison
from a20_parquet.errors import DatasetError
from a20_parquet.runs.cursor import MergeCursor
from a20_parquet.runs.run_files import RunFiles
from a20_parquet.runs.stored_run import StoredRun, open_runs, write_run
from a20_parquet.runs.without_rows import WithoutRows
from a20_parquet.storage import retries
from a20_parquet.storage.concurrent import AT_ONCE, map_at_once
from a20_parquet.storage.path import parse_path
from tests.helpers.fake_store import FakeStore, Request, fake_store, reads, refuse
from tests.helpers.repeated import repeated_rows, run_of
from tests.helpers.runs import DIMS, Row, embeddings_of, held, random_rows, read_run, sort_key
from tests.helpers.units import buffer

if TYPE_CHECKING:
    from a20_parquet.runs.run import Run

FOLDER = "bucket/runs"


@pytest.fixture(autouse=True)
def _store() -> Iterator[None]:
    with fake_store():
        yield


def write(rows: Sequence[Row], number: int = 0, batch_rows: int = 2) -> RunFiles:
    """Write a run into the store; what that has asked of it is forgotten."""
    files = write_run(held(rows), parse_path(f"fake://{FOLDER}/run-{number}"), batch_rows)
    FakeStore.requests.clear()
    return files


def asked() -> list[str]:
    """Which files of runs were read since the last time, and that nothing else was asked."""
    assert {request.kind for request in FakeStore.requests} <= {"read"}
    names = [request.path.rpartition("/")[2] for request in FakeStore.requests]
    FakeStore.requests.clear()
    return names


def wait_for_each_other(ending: str) -> threading.Barrier:
    """Have reads of some files wait until as many are under way as may be; broken if never."""
    barrier = threading.Barrier(AT_ONCE)

    def wait(request: Request) -> None:
        if request.kind == "read" and request.path.endswith(ending) and not barrier.broken:
            barrier.wait(timeout=5)

    FakeStore.before.append(wait)
    return barrier


def many_runs(count: int = 2 * AT_ONCE, rows: int = 6) -> tuple[list[StoredRun], list[Row]]:
    """Runs of rows that lie among each other, and all their rows in order."""
    rng = random.Random(count)
    each = [random_rows(rng, rows, shard) for shard in range(count)]
    runs = open_runs([write(mine, number) for number, mine in enumerate(each)])
    FakeStore.requests.clear()
    return runs, sorted((row for mine in each for row in mine), key=sort_key)


def test_a_read_is_one_request() -> None:
    """Any rows are one range of one file, once the index was read, as far as it is needed."""
    rows = sorted(random_rows(random.Random(0), 40, 0), key=sort_key)
    files = write(rows)
    run = StoredRun(files)
    assert run.read_metadata(3, 30).to_pylist() == held(rows).read_metadata(3, 30).to_pylist()
    assert asked() == ["run-0.index.arrow", "run-0.metadata.arrow"]
    assert run.read_metadata(39, 40).num_rows == 1
    assert asked() == ["run-0.metadata.arrow"]
    out = buffer(7)
    run.read_embeddings(20, out)
    assert out.tobytes() == embeddings_of(rows[20:27]).tobytes()
    assert reads() == [(20 * DIMS * 4, 27 * DIMS * 4)]
    assert asked() == ["run-0.embeddings"]
    assert run.partitions.rows.sum() == 40
    assert asked() == ["run-0.index.arrow"]
    assert run.partitions.rows.sum() == 40
    assert asked() == []


def test_an_opened_run_needs_no_more_of_its_index() -> None:
    """Opening reads the index whole; another process reads where metadata lie, and no more."""
    rows = random_rows(random.Random(1), 40, 0)
    (run,) = open_runs([write(rows)])
    assert asked() == ["run-0.index.arrow"]
    assert run.partitions.rows.sum() == 40
    expected = read_run(run, 0, 40)[0]
    assert asked() == ["run-0.embeddings", "run-0.metadata.arrow"]
    there = pickle.loads(pickle.dumps(run))  # noqa: S301 - our own
    assert read_run(there, 0, 40)[0] == expected
    (index,) = reads(f"{FOLDER}/run-0.index.arrow")
    assert index[1] < len(FakeStore.objects[f"{FOLDER}/run-0.index.arrow"])


def test_runs_are_written_whole_and_the_index_last() -> None:
    """Three objects, each put once."""
    FakeStore.requests.clear()
    files = write_run(
        held(random_rows(random.Random(2), 9, 0)), parse_path(f"fake://{FOLDER}/a"), 2
    )
    written = [request.path for request in FakeStore.requests if request.kind == "write"]
    suffixes = [".embeddings", ".metadata.arrow", ".index.arrow"]
    assert written == [f"{FOLDER}/a{suffix}" for suffix in suffixes]
    assert files.are_whole()
    for name in written:
        content = FakeStore.objects.pop(name)
        assert not files.are_whole()
        FakeStore.objects[name] = content[:-1]
        assert not files.are_whole()
        FakeStore.objects[name] = content


def test_runs_are_opened_at_the_same_time() -> None:
    """As many as are asked for at once."""
    files = [write(random_rows(random.Random(n), 3, n), n) for n in range(AT_ONCE)]
    barrier = wait_for_each_other(".index.arrow")
    assert [int(run.partitions.rows.sum()) for run in open_runs(files)] == [3] * AT_ONCE
    assert not barrier.broken


@pytest.mark.parametrize("ending", [".metadata.arrow", ".embeddings"])
def test_runs_are_merged_at_the_same_time(ending: str) -> None:
    """Slices of metadata, and embeddings, of many runs are under way together; no thread stays."""
    runs, expected = many_runs()
    threads = set(threading.enumerate())
    barrier = wait_for_each_other(ending)
    slices = [(0, 6)] * len(runs)
    cursor = MergeCursor(runs, slices, batch_rows=6, staging=buffer(2 * len(expected)))
    out = buffer(len(expected))
    cursor.read(out)
    assert not barrier.broken
    assert out.tobytes() == embeddings_of(expected).tobytes()
    assert set(threading.enumerate()) == threads


def test_embeddings_are_read_once_a_run_for_all_that_is_staged() -> None:
    """However few rows are asked for at a time, each run is asked once for those that fit."""
    runs, expected = many_runs()
    slices = [(0, 6)] * len(runs)
    cursor = MergeCursor(runs, slices, batch_rows=6, staging=buffer(2 * len(expected)))
    found = []
    for _ in range(0, len(expected), 3):
        out = buffer(3)
        assert cursor.read_paged(out)[1](0, 3).tobytes() == out.tobytes()
        found.append(out)
    assert np.concatenate(found).tobytes() == embeddings_of(expected).tobytes()
    asked_for = Counter(asked())
    assert set(asked_for.values()) == {1}
    assert len(asked_for) == 2 * len(runs)


def test_half_of_the_staging_memory_is_for_answers() -> None:
    """What requests bring lies beside what was staged: both together fit."""
    runs, expected = many_runs(count=3, rows=20)
    slices = [(0, 20)] * 3
    row_bytes = DIMS * 4
    for request_bytes, most in ((1 << 20, 20), (row_bytes, 40 - AT_ONCE)):
        cursor = MergeCursor(
            runs, slices, batch_rows=20, staging=buffer(40), request_bytes=request_bytes
        )
        FakeStore.requests.clear()
        cursor.read(buffer(1))
        sizes = [r.stop - r.start for r in FakeStore.requests if r.path.endswith(".embeddings")]
        assert sum(sizes) == most * row_bytes
        assert max(sizes) <= request_bytes
    assert len(expected) == 60


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [(3 * DIMS * 4, [(2, 5), (5, 8), (8, 11), (11, 13)]), (2 << 20, [(2, 13)])],
)
def test_a_run_alone_is_read_in_pieces_at_the_same_time(
    request_bytes: int, expected: list[tuple[int, int]]
) -> None:
    """A row group of one run is divided among requests, none of which is large."""
    rows = random_rows(random.Random(3), 20, 0)
    run = StoredRun(write(rows))
    cursor = MergeCursor(
        [run], [(2, 20)], batch_rows=5, staging=buffer(4), request_bytes=request_bytes
    )
    out = buffer(11)
    cursor.read_paged(out)
    assert out.tobytes() == embeddings_of(sorted(rows, key=sort_key)[2:13]).tobytes()
    bounds = sorted(reads(f"{FOLDER}/run-0.embeddings"))
    assert bounds == [(a * DIMS * 4, b * DIMS * 4) for a, b in expected]


@settings(max_examples=10)
@given(rng=st.randoms(use_true_random=False))
def test_where_runs_lie_changes_nothing(rng: random.Random) -> None:
    """Runs in memory, in a store, and those without some rows give the same, at any sizes."""
    rows = [random_rows(rng, rng.randint(5, 30), shard) for shard in range(5)]
    kept: list[Run] = []
    mixed: list[Run] = []
    for number, mine in enumerate(rows):
        here, there = held(mine), StoredRun(write(mine, number, rng.choice([1, 3, 50])))
        some = np.array(sorted(rng.sample(range(len(mine)), rng.randint(1, 4))))
        kept.append(WithoutRows(here, some))
        mixed.append(WithoutRows(there if rng.random() < 0.7 else here, some))
    assert [run.is_remote for run in kept] == [False] * 5
    count = sum(int(run.partitions.rows.sum()) for run in kept)
    slices = [(0, int(run.partitions.rows.sum())) for run in kept]
    read = []
    for runs in (kept, mixed):
        cursor = MergeCursor(runs, slices, batch_rows=4, staging=buffer(rng.choice([2, 9, 200])))
        out = buffer(count)
        done, metadata = 0, []
        while done < count:
            step = min(rng.choice([1, 7, 40]), count - done)
            metadata += cursor.read(out[done : done + step]).to_pylist()
            done += step
        read.append((metadata, out.tobytes()))
    assert read[0] == read[1]


def test_duplicates_are_the_same() -> None:
    """Windows that come twice are found in runs of a store as in those in memory."""
    rng = random.Random(4)
    here = [run_of(repeated_rows(rng, 30, shard, 15)) for shard in range(3)]
    folder = parse_path(f"fake://{FOLDER}")
    there = [StoredRun(write_run(run, folder / f"run-{n}", 2)) for n, run in enumerate(here)]
    found = []
    kinds: list[Sequence[Run]] = [here, there]
    for runs in kinds:
        comparison = Comparison(runs=runs, dims=DIMS, batch_rows=2)
        units = [comparison.compare(unit, lambda _: None) for unit in comparison.units()]
        found.append([(u.identical, u.different, u.run.tolist(), u.row.tolist()) for u in units])
    assert found[0] == found[1]
    assert any(rows for _, _, rows, _ in found[0])


@pytest.mark.parametrize("ending", [".metadata.arrow", ".embeddings", ".index.arrow"])
def test_what_can_not_be_read_is_named(ending: str) -> None:
    """A failed request says of which file; the others end, and no thread stays."""
    files = [write(random_rows(random.Random(n), 5, n), n) for n in range(4)]
    threads = set(threading.enumerate())
    refuse("read", f"run-2{ending}")
    runs = [StoredRun(each) for each in files]
    cursor = MergeCursor(runs, [(0, 5)] * 4, batch_rows=5, staging=buffer(40))
    with pytest.raises(OSError, match=rf"fake://{FOLDER}/run-2{ending}: access to .* is denied"):
        cursor.read(buffer(20))
    assert set(threading.enumerate()) == threads


@pytest.mark.parametrize("ending", [".metadata.arrow", ".embeddings", ".index.arrow"])
def test_what_was_cut_short_is_named(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that has fewer bytes than were written is damaged, however often it is asked for."""
    monkeypatch.setattr(retries, "_MOST_TRIES", 1)
    run = StoredRun(write(random_rows(random.Random(5), 30, 0)))
    name = f"{FOLDER}/run-0{ending}"
    FakeStore.objects[name] = FakeStore.objects[name][:100]
    with pytest.raises(DatasetError, match=rf"fake://{name} has been cut short"):
        _ = run.partitions, read_run(run, 0, 30)


@pytest.mark.parametrize("ending", [".metadata.arrow", ".index.arrow"])
def test_what_was_changed_is_named(ending: str) -> None:
    """Other bytes than were written are not taken for metadata or an index."""
    run = StoredRun(write(random_rows(random.Random(6), 30, 0)))
    name = f"{FOLDER}/run-0{ending}"
    FakeStore.objects[name] = b"\xff" * len(FakeStore.objects[name])
    with pytest.raises(DatasetError, match=rf"fake://{name} has been cut short or changed"):
        _ = run.partitions, read_run(run, 0, 30)


def test_map_at_once_keeps_order_and_stops() -> None:
    """Results come in the order of the items; after a failure what has not begun is left out."""
    assert map_at_once(lambda n: n * n, range(40), is_remote=True) == [n * n for n in range(40)]
    here = threading.get_ident()
    assert map_at_once(lambda _: threading.get_ident(), range(3), is_remote=False) == [here] * 3
    begun = []
    failed = threading.Event()

    def fail(number: int) -> None:
        begun.append(number)
        if number == 0:
            failed.set()
            raise ValueError(number)
        failed.wait(5)

    with pytest.raises(ValueError, match="0"):
        map_at_once(fail, range(5000), is_remote=True)
    assert len(begun) < 5000
