"""A sample of how far records are apart, and whether the hop fits."""

from collections.abc import Sequence
from itertools import pairwise
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.windows.records import RecordMetadata
from a20_parquet.windows.spacing import SpacingSample, SpacingSampler, judge_hop, merge_samples

Record = tuple[str, float, int]


def make_batch(records: Sequence[Record]) -> RecordMetadata:
    """A batch of ``(filename, timestamp_s, windows)``."""
    return RecordMetadata(
        shard="shard",
        position=0,
        numbers=np.arange(len(records)),
        offsets=[0] * len(records),
        filenames=[name.encode() for name, _, _ in records],
        timestamps_s=np.array([timestamp_s for _, timestamp_s, _ in records], np.float64),
        shapes=[(windows, 1, 4) for _, _, windows in records],
    )


def drawn(batches: Sequence[Sequence[Record]]) -> SpacingSample:
    """The sample of a unit that had these batches."""
    sampler = SpacingSampler()
    for batch in batches:
        sampler.add(make_batch(batch))
    return sampler.sample()


def one(*records: tuple[float, int]) -> SpacingSample:
    """The sample of one recording's records."""
    return drawn([[("a.wav", *record) for record in records]])


def many(names: int, records: int) -> list[Record]:
    """Records of many recordings, far more than a sample has, shuffled."""
    found = [
        (f"recording_{number:04d}.flac", 60.0 * record, 12)
        for number in range(names)
        for record in range(records)
    ]
    order = np.random.default_rng(3).permutation(len(found))
    return [found[i] for i in order]


RECORDS = many(500, 3)
LONG = min((name for name, _, _ in RECORDS), key=lambda name: crc32(name.encode()))
RECORDS += [(LONG, float(second), 1) for second in range(500)]


@pytest.mark.slow
@given(st.lists(st.integers(0, len(RECORDS)), max_size=12), st.integers(1, 200))
def test_sample_does_not_depend_on_units(cuts: list[int], batch: int) -> None:
    """However records are divided into units, batches and merges, the sample is the same."""
    bounds = [0, *sorted(cuts), len(RECORDS)]
    units = [RECORDS[a:b] for a, b in pairwise(bounds)]
    samples = [drawn([unit[i : i + batch] for i in range(0, len(unit), batch)]) for unit in units]
    expected = drawn([RECORDS])
    assert merge_samples(samples) == expected
    middle = len(samples) // 2
    halves = [merge_samples(samples[middle:]), merge_samples(samples[:middle])]
    assert merge_samples(halves) == expected


def test_sample_is_bounded() -> None:
    """It holds few recordings and records, these whole and in order."""
    sample = drawn([RECORDS])
    assert len(sample) == 64
    assert len(dict(sample)[LONG]) == 32
    assert all(list(records) == sorted(records) for _, records in sample)
    whole = [records for name, records in sample if name != LONG]
    assert whole == [((0.0, 12), (60.0, 12), (120.0, 12))] * len(whole)


@pytest.mark.parametrize(
    ("records", "hop_s"),
    [
        ([], 5.0),
        ([(0, 12)], 5.0),
        ([(0, 12), (60, 12), (120, 11)], 5.0),
        ([(0, 24), (60, 24)], 2.5),
        # Without padding the last windows are left out.
        ([(0, 11), (60, 11), (120, 11), (180, 11)], 5.0),
        ([(0, 56), (60, 56), (120, 56), (180, 56)], 1.0),
        # With padding the last one reaches beyond the record, and does not start behind it.
        ([(0, 4), (10, 4), (20, 4)], 3.0),
        # Records are missing between these.
        ([(0, 12), (600, 12), (660, 12), (3600, 12), (3660, 12)], 5.0),
        ([(0, 12), (600, 12), (1200, 12), (1800, 12)], 5.0),
        # The same record twice, or with fewer windows, or written again with another rounding.
        ([(0, 12), (0, 12), (60, 12)], 5.0),
        ([(0, 12), (0, 20), (60, 12)], 5.0),
        ([(0, 12), (60, 12), (60.004, 12), (120, 12)], 5.0),
        ([(0, 6), (60, 6)], 5.0),
        ([(-0.0, 12), (60, 0), (30, 0)], 5.0),
    ],
)
def test_fitting_hop(records: list[tuple[float, int]], hop_s: float) -> None:
    """Nothing is said."""
    assert judge_hop(one(*records), hop_s) is None


@pytest.mark.parametrize(
    ("records", "hop_s", "expected"),
    [
        ([(0, 20), (60, 20), (120, 20)], 5.0, ("2 of 2", "reach into", "3 s", "-seconds 3)")),
        ([(0, 24), (60, 24), (600, 24)], 5.0, ("1 of 2", "reach into", "2.5 s")),
        ([(0, 20), (60, 24), (120, 24)], 5.0, ("2 of 2", "reach into", "no single hop")),
        ([(0, 13), (60, 12), (120, 12)], 5.0, ("1 of 2", "reach into", "4.615 s")),
        ([(0, 10), (60, 10), (120, 10), (180, 10)], 5.0, ("3 of 3", "fall short of", "6 s")),
        ([(0, 12), (60, 12), (120, 12), (240, 12)], 2.5, ("2 of 3", "fall short of", "5 s")),
    ],
)
def test_wrong_hop(
    records: list[tuple[float, int]], hop_s: float, expected: tuple[str, ...]
) -> None:
    """It is said what was found, and what would fit."""
    remark = judge_hop(one(*records), hop_s)
    assert remark is not None
    assert remark.startswith(f"the hop of {hop_s:g} s looks wrong")
    for part in expected:
        assert part in remark


def test_a_single_pair() -> None:
    """One record that another follows is no "1 of 1"."""
    remark = judge_hop(one((0.0, 20), (60.0, 20)), 5.0)
    assert remark is not None
    assert "the windows of the only sampled record that another follows reach into" in remark


def test_recordings_are_apart() -> None:
    """Records of different recordings are no neighbours."""
    assert judge_hop(drawn([[("a.wav", 0.0, 12), ("b.wav", 1.0, 12)]]), 5.0) is None
