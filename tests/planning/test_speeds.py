"""Seconds of a conversion from the speeds of its passes and of the disk."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.planning.partitions import KeyForecast
from a20_parquet.planning.passes import Volume
from a20_parquet.planning.speeds import DiskSpeed, PassSpeed, Speeds
from a20_parquet.storage.read_speed import ReadSpeed
from a20_parquet.windows.partition import PartitionBy

GB = 10**9
VOLUME = Volume(
    shard_bytes=[10 * GB],
    records=160_000,
    windows=2_000_000,
    most_windows=[2_000_000],
    embedding_bytes=5_000,
    metadata_bytes=200,
)
KEY = KeyForecast(
    partition_by=PartitionBy.SITE_DATE,
    partitions=1_000,
    error=0.0,
    files=1_000,
    median_file_bytes=10**7,
    mean_file_bytes=10**7,
)
SPEEDS = Speeds(
    passes={True: PassSpeed(sort=2e9, merge=1e9), False: PassSpeed(sort=1e9, merge=2e9)}
)
DISK = DiskSpeed(
    read=ReadSpeed(sequential=5e8, random=1e8, in_memory=0.0), write=2.5e8, free_bytes=0
)


def seconds(speeds: Speeds, **values: Any) -> tuple[float, float]:
    """Of these files, copied by one worker without scratch if nothing else is said."""
    options = {"scratch_bytes": 0, "located": False, "workers": 1, "own_disk": True}
    return speeds.seconds(VOLUME, KEY, **{**options, **values})


def test_work_is_divided_between_workers() -> None:
    """Both passes, but not the start; one worker at a time writes small files."""
    assert seconds(SPEEDS) == (15, 15)
    assert seconds(SPEEDS, located=True) == (15, 15)
    assert seconds(SPEEDS, workers=3) == (15, 5)
    slow_start = replace(SPEEDS, start_s=4.0)
    assert seconds(slow_start, workers=3) == (19, 9)
    files = replace(SPEEDS, file_s=0.01)
    assert seconds(files) == (25, 25)
    assert seconds(files, workers=5) == (25, 2 + 10)
    assert seconds(files, workers=5, own_disk=False) == (25, 5)


def test_the_disk_may_take_longer() -> None:
    """It is read twice and written, as far as memory does not hold what was read or written."""
    slow = replace(SPEEDS, disk=DISK)
    assert seconds(slow, workers=100)[1] == pytest.approx(20 + 40)
    located = seconds(slow, workers=100, located=True)[1]
    assert located == pytest.approx(20 + 100 + 40)
    scratch = seconds(slow, workers=100, scratch_bytes=10 * GB)[1]
    assert scratch == pytest.approx(20 + 40 + 20 + 40)
    assert seconds(slow, workers=100, own_disk=False)[1] == pytest.approx(0.15)
    # Half of what is read again is in memory, and what fills 15 % of it can wait to be written.
    half = replace(SPEEDS, disk=replace(DISK, free_bytes=10 * GB))
    assert seconds(half, workers=100, located=True)[1] == pytest.approx(20 + 50 + 34)
    # Both passes together write so much ahead.
    both = seconds(half, workers=100, scratch_bytes=10 * GB)[1]
    assert both == pytest.approx(20 + 34 + 10 + 40)
    read = replace(DISK.read, in_memory=1.0)
    all_free = replace(SPEEDS, disk=replace(DISK, read=read, free_bytes=100 * GB))
    assert seconds(all_free, located=True) == (15, 15)


def test_a_given_rate_is_all_there_is() -> None:
    """However embeddings are moved."""
    given = Speeds.of_rate(1e8)
    assert given.is_given
    assert seconds(given, workers=4) == seconds(given, workers=4, located=True) == (100, 25)


@given(
    st.booleans(),
    st.integers(1, 1_000),
    st.integers(0, 100 * GB),
    st.integers(-GB, 100 * GB),
    st.floats(0, 1),
)
def test_more_workers_are_never_slower(
    located: bool,  # noqa: FBT001 - Hypothesis draws it
    workers: int,
    scratch_bytes: int,
    free_bytes: int,
    in_memory: float,
) -> None:
    """Nor more memory; and no number is negative or without end."""
    disk = replace(DISK, free_bytes=free_bytes, read=replace(DISK.read, in_memory=in_memory))
    speeds = replace(SPEEDS, file_s=0.001, disk=disk)
    options = {"located": located, "scratch_bytes": scratch_bytes}
    _, one = seconds(speeds, workers=workers, **options)
    _, more = seconds(speeds, workers=workers + 1, **options)
    assert 0 < more <= one < math.inf
    roomy = replace(speeds, disk=replace(disk, free_bytes=free_bytes + GB))
    assert seconds(roomy, workers=workers, **options)[1] <= one
