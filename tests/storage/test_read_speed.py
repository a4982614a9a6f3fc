"""Measuring how fast files are read: on simulated disks, and that it reads at all."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.storage.read_speed import measure_reads, read_uncached
from tests.helpers.disks import Disk

MB = 1_000_000
PATHS, SIZES = ["a", "b", "c"], [3_000 * MB, 0, 10_000 * MB]


@pytest.mark.parametrize("in_memory", [0.0, 0.5])
@pytest.mark.parametrize("record_bytes", [61_000, 307_000])
@pytest.mark.parametrize(
    ("seek_s", "bytes_a_second"), [(0.01, 30 * MB), (0.008, 150 * MB), (0.0001, 2_000 * MB)]
)
def test_speeds_are_those_of_the_disk(
    seek_s: float, bytes_a_second: float, record_bytes: int, in_memory: float
) -> None:
    """Of long ranges and of records, whatever is in memory beside; and it does not take long."""
    disk = Disk(seek_s=seek_s, bytes_a_second=bytes_a_second, in_memory=in_memory)
    found = disk.measure(PATHS, SIZES, record_bytes)
    expected = record_bytes / (seek_s + record_bytes / bytes_a_second)
    assert found.random == pytest.approx(expected, rel=0.01)
    assert found.sequential == pytest.approx(bytes_a_second, rel=0.2)
    assert (found.in_memory > 0) == (in_memory > 0)
    # Reads that have begun when time is over end: one range, and a record in each thread.
    assert disk.seconds < 1 + 8.4 * MB / bytes_a_second + 17 * (record_bytes / expected)


def test_reads_of_memory_take_no_time_from_the_disk() -> None:
    """Neither those between reads of the disk, nor a read of which little was not in memory."""
    disk = Disk(seek_s=0.001, bytes_a_second=60 * MB)

    def read(path: str, offset: int, size: int) -> int:
        disk.places.append((path, offset, size))
        if len(disk.places) % 4:
            disk.seconds += 0.01
            return size // 10
        return disk.read(path, offset, size)

    found = measure_reads(PATHS, SIZES, 60_000, read=read, clock=disk.clock)
    # Threads may begin such reads while others wait.
    assert 10 * MB < found.random <= 30 * MB
    assert 0.5 < found.in_memory < 0.8


def test_what_is_in_memory_ends_at_once() -> None:
    """Though its reads take no time, they are few; and its speed is that of all reads."""
    disk = Disk(seek_s=1, bytes_a_second=1, in_memory=1)
    found = disk.measure(PATHS, SIZES, 61_000)
    assert found.in_memory == 1
    assert found.random >= 1e9
    assert len(disk.places) < 1000


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=5), st.integers(1, 10**6))
def test_reads_are_within_the_files(sizes: list[int], record_bytes: int) -> None:
    """However short the files, and not in an empty one."""
    if not any(sizes):
        return
    disk = Disk(seek_s=0.001, bytes_a_second=100 * MB)
    paths = [str(number) for number in range(len(sizes))]
    disk.measure(paths, sizes, record_bytes)
    for path, offset, size in disk.places:
        assert offset >= 0
        assert size > 0
        assert offset + size <= sizes[int(path)]


def test_other_places_each_time() -> None:
    """Those of an earlier measurement are in memory."""
    first, second = (Disk(seek_s=0.01, bytes_a_second=30 * MB) for _ in range(2))
    first.measure(PATHS, SIZES, 61_000)
    second.measure(PATHS, SIZES, 61_000)
    assert not {place[:2] for place in first.places} & {place[:2] for place in second.places}


def test_files_are_read(tmp_path: Path) -> None:
    """All bytes are known, and few of those just written were not in memory."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300_000))
    for offset, size in ((0, 300_000), (1_000, 61_000), (299_999, 1)):
        assert 0 <= read_uncached(str(path), offset, size) <= size
    found = measure_reads([str(path)], [300_000], 61_000)
    assert min(found.sequential, found.random) > 0
    assert 0 <= found.in_memory <= 1


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="cannot tell what is in memory")
def test_systems_that_cannot_tell_what_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All bytes count as read from the disk."""
    path = tmp_path / "file"
    path.write_bytes(bytes(100_000))
    monkeypatch.delattr(os, "RWF_NOWAIT")
    assert read_uncached(str(path), 10_000, 61_000) == 61_000


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The error names it."""
    with pytest.raises(FileNotFoundError, match="gone"):
        measure_reads([str(tmp_path / "gone")], [1_000], 100)
