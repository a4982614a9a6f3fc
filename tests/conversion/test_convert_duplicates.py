"""Windows that come twice: counted, named, and dropped only where that is wanted."""

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import a20_parquet
from tests.helpers.conversions import digests, use_tiny_memory
from tests.helpers.shards import FILENAME, make_record, random_tensor, write_shard

NAME = FILENAME


def record(number: int, seed: int | None = None, windows: int = 2) -> bytes:
    """A record at minute ``number``; another seed makes other embeddings."""
    tensor = random_tensor((windows, 1, 8), number if seed is None else seed)
    return make_record(tensor, NAME, 60.0 * number)


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Three shards, as a restarted job leaves them.

    Within the first one record comes twice; the second repeats two of the first and has another
    one for a third; the last repeats a record of the second, twice, and has a longer one.
    """
    contents = [
        [record(0), record(1), record(2), record(1)],
        [record(0), record(2, seed=99), record(3), record(1)],
        [record(3), record(4), record(3), record(4, windows=3)],
    ]
    return [
        write_shard(tmp_path / "in" / f"a-{number:05d}-of-00003", records)
        for number, records in enumerate(contents)
    ]


def rows(dataset: Path) -> Counter[tuple[Any, ...]]:
    """Windows of a dataset with their embeddings, counted."""
    frame = pl.read_parquet(dataset / "data")
    values = map(tuple, frame["embedding"].to_list())
    return Counter(zip(frame["recording_offset_in_file"].to_list(), values, strict=True))


def all_rows() -> list[tuple[int, int, int]]:
    """Minute, seed and window count of each record of the three shards."""
    return [
        (0, 0, 2), (1, 1, 2), (2, 2, 2), (1, 1, 2),
        (0, 0, 2), (2, 99, 2), (3, 3, 2), (1, 1, 2),
        (3, 3, 2), (4, 4, 2), (3, 3, 2), (4, 4, 3),
    ]  # fmt: skip


def windows_of(minute: int, seed: int, count: int) -> list[tuple[Any, ...]]:
    """Offset and embedding of a record's windows."""
    tensor = random_tensor((count, 1, 8), seed)
    return [(60.0 * minute + 5.0 * n, tuple(tensor[n, 0].tolist())) for n in range(count)]


def expected() -> tuple[Counter[tuple[Any, ...]], int, int]:
    """All windows, and how many are identical with an earlier one or differ from all of them."""
    seen: dict[float, set[tuple[float, ...]]] = {}
    every = Counter[tuple[Any, ...]]()
    identical = different = 0
    for each in all_rows():
        for offset_s, values in windows_of(*each):
            every[offset_s, values] += 1
            earlier = seen.setdefault(offset_s, set())
            identical += values in earlier
            different += bool(earlier) and values not in earlier
            earlier.add(values)
    return every, identical, different


@pytest.mark.parametrize("memory", ["large", "tiny"])
@pytest.mark.parametrize("drop", [False, True])
def test_within_and_across_shards(
    shards: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    memory: str,
    *,
    drop: bool,
) -> None:
    """Both kinds are counted and named; only identical ones can be dropped."""
    if memory == "tiny":
        use_tiny_memory(monkeypatch)
    every, identical, different = expected()
    assert min(identical, different) > 0
    out = tmp_path / "out"
    conversion = a20_parquet.convert(shards[0].parent, out, drop_duplicates=drop)
    found = conversion.duplicates
    assert (found.identical, found.different) == (identical, different)
    assert f"{NAME}@120" in found.names
    assert f"{NAME}@60" in found.names
    wanted = Counter(every.keys()) if drop else every
    assert rows(out) == wanted
    assert conversion.totals.windows == conversion.new_windows == wanted.total()
    assert conversion.dropped_duplicates is drop


@pytest.mark.parametrize("drop", [False, True])
def test_memory_does_not_change_a_byte(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, drop: bool
) -> None:
    """Tiny buffers give the same files, with an append too."""
    for name in ("large", "tiny"):
        for count in (2, 3):
            a20_parquet.convert(shards[:count], tmp_path / name, drop_duplicates=drop)
        use_tiny_memory(monkeypatch)
    assert digests(tmp_path / "tiny") == digests(tmp_path / "large")


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("first", [1, 2])
def test_across_an_append(shards: list[Path], tmp_path: Path, first: int, *, drop: bool) -> None:
    """What the dataset holds counts as the earlier one, and nothing held is counted again."""
    every, identical, different = expected()
    out = tmp_path / "out"
    before = a20_parquet.convert(shards[:first], out, drop_duplicates=drop)
    after = a20_parquet.convert(shards, out, drop_duplicates=drop)
    counts = [each.duplicates for each in (before, after)]
    assert sum(each.identical for each in counts) == identical
    assert sum(each.different for each in counts) == different
    assert rows(out) == (Counter(every.keys()) if drop else every)
    assert after.totals.windows == rows(out).total()


def test_nothing_comes_twice(shuffled: Path, tmp_path: Path) -> None:
    """Where all windows differ in name, nothing is told, and dropping changes no data file."""
    plain = a20_parquet.convert(shuffled, tmp_path / "plain")
    a20_parquet.convert(shuffled, tmp_path / "drop", drop_duplicates=True)
    assert (plain.duplicates.identical, plain.duplicates.different) == (0, 0)
    assert plain.duplicates.names == ()
    assert digests(tmp_path / "plain" / "data") == digests(tmp_path / "drop" / "data")
