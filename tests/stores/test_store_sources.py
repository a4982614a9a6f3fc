"""Shards in a store, through every command that reads shards: the same as with local ones."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import a20_parquet
from a20_parquet.conversion import job
from a20_parquet.conversion.memory import plan_memory
from a20_parquet.errors import SourceError, UsageError
from a20_parquet.storage import retries
from a20_parquet.storage.read_ahead import READ_AHEAD
from tests.helpers.conversions import digests
from tests.helpers.fake_store import BUCKET, FakeStore, Request, fake_store, put, reads, refuse
from tests.helpers.shards import make_record, random_tensor, write_shard

NAMES = [f"embeddings-0000{number}-of-00004" for number in range(4)]


@pytest.fixture
def store() -> Iterator[type[FakeStore]]:
    """An empty store."""
    with fake_store() as lent:
        yield lent


@pytest.fixture
def url(store: type[FakeStore], shuffled: Path) -> str:
    """Four shards in a store, one of which has a damaged record and one garbage at its end."""
    source = put(shuffled)
    spoilt = bytearray(store.objects[f"{BUCKET}/in/{NAMES[1]}"])
    spoilt[1000] ^= 1
    store.objects[f"{BUCKET}/in/{NAMES[1]}"] = bytes(spoilt)
    store.objects[f"{BUCKET}/in/{NAMES[2]}"] += bytes(range(200))
    return source


@pytest.fixture
def local(url: str, store: type[FakeStore], tmp_path: Path) -> Path:
    """The same shards in a folder."""
    del url
    for name, content in store.objects.items():
        path = tmp_path / "local" / name.removeprefix(f"{BUCKET}/in/")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "local"


def without_urls(dataset: Path) -> dict[str, Any]:
    """A dataset's manifest without what says where its shards lie."""
    manifest: dict[str, Any] = json.loads((dataset / "manifest.json").read_text())
    del manifest["checksum"]
    for shard in manifest["shards"]:
        del shard["url"]
    return manifest


def assert_same_datasets(found: Path, expected: Path) -> None:
    """Two datasets are the same but for the URLs of their shards."""
    assert digests(found, but="manifest.json") == digests(expected, but="manifest.json")
    assert without_urls(found) == without_urls(expected)


def size_of(name: str) -> int:
    return len(FakeStore.objects[f"{BUCKET}/in/{name}"])


def test_a_conversion_is_the_same(url: str, local: Path, tmp_path: Path) -> None:
    """It asks twice for each small shard: how it begins, and all of it."""
    a20_parquet.convert(local, tmp_path / "expected", decoder="wire")
    conversion = a20_parquet.convert(url, tmp_path / "found", decoder="wire")
    assert conversion.quarantine == {"bad_payload": 1, "bad_length": 1}
    assert_same_datasets(tmp_path / "found", tmp_path / "expected")
    for name in NAMES:
        whole = (0, size_of(name) + 1)
        assert reads(f"{BUCKET}/in/{name}") == [whole, whole]


def test_each_counts_its_own_repeated_requests(
    store: type[FakeStore], shuffled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two conversions at once, in one process, one of them reads what always fails once."""
    monkeypatch.setattr(retries, "_FIRST_WAIT_S", 1e-4)
    sources = {name: put(shuffled, name) for name in ("good", "bad")}
    failed: set[Request] = set()
    both = threading.Barrier(2)

    def fail_once(request: Request) -> None:
        if request.kind == "read" and "/bad/" in request.path and request not in failed:
            failed.add(request)
            raise ConnectionResetError

    store.before.append(fail_once)
    found: dict[str, Any] = {}

    def convert(name: str) -> None:
        both.wait()
        conversion = a20_parquet.convert(sources[name], tmp_path / name, workers=2, decoder="wire")
        found[name] = conversion.retries

    threads = [threading.Thread(target=convert, args=[name]) for name in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"good": 0, "bad": len(failed)}
    assert failed


def test_a_conversion_in_small_blocks_is_the_same(
    url: str, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks far smaller than a record, with runs on disk, change nothing."""
    a20_parquet.convert(local, tmp_path / "expected", decoder="wire")
    small: dict[str, Any] = {"batch_bytes": 100, "gather_rows": 300, "holds_all": False}
    monkeypatch.setattr(job, "plan_memory", lambda **n: replace(plan_memory(**n), **small))
    conversion = a20_parquet.convert(url, tmp_path / "found", decoder="wire")
    assert conversion.runs_on_disk > 4
    assert_same_datasets(tmp_path / "found", tmp_path / "expected")
    blocks = reads(f"{BUCKET}/in/{NAMES[0]}")[1:]
    assert len(blocks) == len(set(blocks)) == -(-size_of(NAMES[0]) // 100)


def test_reading_ahead_is_planned(
    url: str, local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory plan counts the blocks of a store, also where other shards are local."""
    planned = []

    def plan(**numbers: Any) -> Any:
        planned.append(numbers["read_ahead"])
        return plan_memory(**numbers)

    monkeypatch.setattr(job, "plan_memory", plan)
    both: list[list[str | Path]] = [[local], [url], [local / NAMES[0], f"{url}/{NAMES[1]}"]]
    for number, sources in enumerate(both):
        a20_parquet.convert(sources, tmp_path / str(number), decoder="wire")
    assert planned == [0, READ_AHEAD, READ_AHEAD]


def test_shards_count_in_their_order_whoever_answers_first(
    store: type[FakeStore], tmp_path: Path
) -> None:
    """All are looked at before anything is decided: several widths are refused."""
    for number, dims in enumerate([8, 4, 4, 4]):
        shard = tmp_path / "in" / f"x-0000{number}-of-00004"
        write_shard(shard, [make_record(random_tensor((2, 1, dims), number))])
    source = put(tmp_path / "in")
    others = threading.Semaphore(0)

    def dawdle(request: Request) -> None:
        if request.kind == "read" and request.path.endswith("x-00000-of-00004"):
            for _ in range(3):
                assert others.acquire(timeout=10)
        elif request.kind == "read":
            others.release()

    store.before.append(dawdle)
    told = r"4 in 3 records of 3 shards \(\S+/x-00001-of-00004 and others\); 8 in 1 record of 1"
    with pytest.raises(UsageError, match=told):
        a20_parquet.convert(source, tmp_path / "out", decoder="wire")
    assert not (tmp_path / "out").exists()


def test_a_long_first_record_takes_few_requests(store: type[FakeStore], tmp_path: Path) -> None:
    """Where the first small request holds no whole record, the next ones are larger."""
    records = [make_record(random_tensor((12, 5, 1280), number)) for number in range(5)]
    write_shard(tmp_path / "in" / "x.tfrecord", records)
    source = put(tmp_path / "in")
    a20_parquet.convert(source, tmp_path / "out", decoder="wire", memory="64MB")
    kib = 1 << 10
    assert reads()[:3] == [(0, 64 * kib), (64 * kib, 192 * kib), (192 * kib, 448 * kib)]
    assert len(store.requests) < 20


def test_an_append_reads_what_it_must(url: str, local: Path, tmp_path: Path) -> None:
    """Shards of a known size are read to compare them, others only to be converted."""
    out = tmp_path / "out"
    a20_parquet.convert(f"{url}/{NAMES[0]}", out, decoder="wire")
    FakeStore.requests.clear()
    conversion = a20_parquet.convert(url, out, decoder="wire")
    assert (conversion.held_shards, conversion.new_shards) == (1, 3)
    assert reads(f"{BUCKET}/in/{NAMES[0]}") == [(0, size_of(NAMES[0]) + 1)]
    assert len(reads(f"{BUCKET}/in/{NAMES[3]}")) == 2
    assert a20_parquet.convert(local, out, decoder="wire").held_shards == 4


def test_other_commands_give_the_same(url: str, local: Path, tmp_path: Path) -> None:
    """Windows without a dataset, the notebook's files, and what inspect finds."""
    good = [f"{url}/{NAMES[0]}", f"{url}/{NAMES[3]}"]
    same = [local / NAMES[0], local / NAMES[3]]
    found, expected = (a20_parquet.read_windows(s, decoder="wire").read_all() for s in (good, same))
    assert found.equals(expected)
    a20_parquet.npy_json(good, tmp_path / "a", decoder="wire")
    a20_parquet.npy_json(same, tmp_path / "b", decoder="wire")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    FakeStore.requests.clear()
    inspections = a20_parquet.inspect(url)
    assert len(reads()) == 4
    for inspection, other in zip(inspections, a20_parquet.inspect(local), strict=True):
        assert inspection.records == other.records
        assert inspection.damage == other.damage
        assert inspection.features == other.features
        assert inspection.first == other.first


def test_a_dataset_is_verified_with_a_store(url: str, local: Path, tmp_path: Path) -> None:
    """Shards in the store are those that were converted, and one that cannot be read is told."""
    out = tmp_path / "out"
    a20_parquet.convert(local, out, decoder="wire")
    verification = a20_parquet.verify(out, url, decoder="wire")
    assert verification.is_good
    assert verification.source is not None
    assert verification.source.records == 119
    refuse("read", NAMES[3])
    problems = a20_parquet.verify(out, url, decoder="wire").problems
    assert [problem.path for problem in problems] == [NAMES[3]]
    assert "cannot be read: access to" in problems[0].message


@pytest.mark.parametrize("workers", [1, 3])
def test_a_store_that_fails_in_the_middle(
    store: type[FakeStore], url: str, local: Path, tmp_path: Path, workers: int
) -> None:
    """The conversion fails with the store's words, leaves no thread, and goes on later."""
    out = tmp_path / "out"

    def expire(request: Request) -> None:
        if request.kind == "read" and len(reads(f"{BUCKET}/in/{NAMES[3]}")) > 1:
            raise PermissionError("the token has expired")

    store.before.append(expire)
    options: Any = {"decoder": "wire", "workers": workers}
    with pytest.raises(SourceError, match=r"of-00004: cannot be read: the token has expired"):
        a20_parquet.convert(url, out, **options)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("a20-")]
    store.before.clear()
    a20_parquet.convert(url, out, **options)
    a20_parquet.convert(local, tmp_path / "expected", decoder="wire")
    assert_same_datasets(out, tmp_path / "expected")


def test_float16_is_planned_by_each_shards_head(
    store: type[FakeStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many windows a shard may have follows from its own first record and compression."""
    kinds = [("float32", ""), ("float16", ""), ("float32", "GZIP")]
    for number, (dtype, codec) in enumerate(kinds):
        records = [make_record(random_tensor((10, 1, 64), n, dtype)) for n in range(20)]
        write_shard(tmp_path / "in" / f"x-0000{number}-of-00003", records, codec)
    source = put(tmp_path / "in")
    planned = []

    def plan(**numbers: Any) -> Any:
        planned.append(numbers["windows"])
        return plan_memory(**numbers)

    monkeypatch.setattr(job, "plan_memory", plan)
    for place in (source, tmp_path / "in"):
        a20_parquet.convert(place, tmp_path / f"out{len(planned)}", decoder="wire")
    sizes = [len(content) for _, content in sorted(store.objects.items())]
    expected = sum(
        int(np.ceil(size / per_window))
        for size, per_window in zip(sizes, [256, 128, 256 / 1.25], strict=True)
    )
    assert planned == [expected, expected]
