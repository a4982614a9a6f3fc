"""Digests of what windows hold."""

from collections import Counter
from collections.abc import Sequence
from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from a20_parquet.windows.fingerprint import (
    BUCKETS,
    Fingerprint,
    HashDifference,
    WindowBlock,
    content_digests,
    window_hashes,
)

BITS = st.sampled_from([0, 0x80000000, 0x7FC00000, 0x7FC00001, 0x3F800000])
WINDOW = st.tuples(st.tuples(BITS, BITS), st.none() | st.tuples(BITS, BITS), st.none() | BITS)
Window = tuple[tuple[int, int], tuple[int, int] | None, int | None]


def digests_of(windows: Sequence[Window], offset: int) -> list[bytes]:
    """Digests of windows, whose features start ``offset`` rows into their arrays."""
    embeddings = np.array([window[0] for window in windows], np.uint32).view(np.float32)
    features = [
        _lists([window[1] for window in windows], 2, offset),
        _lists([None if w[2] is None else (w[2],) for w in windows], 1, offset),
    ]
    return list(content_digests(embeddings, features))


def _lists(rows: Sequence[tuple[int, ...] | None], size: int, offset: int) -> pa.Array:
    full = [(7,) * size] * offset + [row or (9,) * size for row in rows]
    floats = np.array(full, np.uint32).view(np.float32).reshape(-1)
    mask = pa.array([False] * offset + [row is None for row in rows], pa.bool_())
    lists = pa.FixedSizeListArray.from_arrays(pa.array(floats), size, mask=mask)
    return lists.slice(offset)


@given(st.lists(WINDOW, min_size=1, max_size=12), st.integers(0, 3))
def test_digests_are_equal_when_all_bits_are(windows: list[Window], offset: int) -> None:
    """Equal bits give equal digests, any other bits others, a null other than any value."""
    digests = digests_of(windows, offset)
    assert [digests.index(digest) for digest in digests] == [windows.index(w) for w in windows]
    assert digests == digests_of(windows, 0)


def test_a_digest_is_blake2b_of_the_little_endian_bytes() -> None:
    """Without features it is the plain BLAKE2b of the floats."""
    import hashlib
    import struct

    expected = hashlib.blake2b(struct.pack("<3f", 1, -0.0, 2.5), digest_size=16).digest()
    assert list(content_digests(np.array([[1, -0.0, 2.5]], np.float32))) == [expected]


ROW = st.tuples(
    st.sampled_from(["a", "a\0", "b", "\N{KOALA}"]),
    st.sampled_from([0.0, -0.0, 5.0]),
    st.integers(0, 2),
    WINDOW,
)
Row = tuple[str, float, int, Window]


def block_of(rows: Sequence[Row]) -> WindowBlock:
    """Windows with two features."""
    windows = [row[3] for row in rows]
    metadata = {
        "filename": pa.array([row[0] for row in rows], pa.string()),
        "recording_offset_in_file": pa.array([row[1] for row in rows], pa.float64()),
        "channel": pa.array([row[2] for row in rows], pa.int16()),
        "two": _lists([window[1] for window in windows], 2, 0),
        "one": _lists([None if w[2] is None else (w[2],) for w in windows], 1, 0),
    }
    embeddings = np.array([window[0] for window in windows], np.uint32).view(np.float32)
    return WindowBlock(pa.RecordBatch.from_pydict(metadata), embeddings.reshape(-1, 2))


def identity(row: Row) -> tuple[object, ...]:
    """All of a row's bits."""
    return (row[0], str(row[1]), *row[2:])


def fingerprint_of(rows: Sequence[Row], step: int) -> Fingerprint:
    """The fingerprint of rows, added some at a time."""
    fingerprint = Fingerprint()
    for start in range(0, len(rows), step):
        _, buckets, hashes = window_hashes(block_of(rows[start : start + step]), ("two", "one"))
        fingerprint.add(buckets, hashes)
    return fingerprint


@given(st.lists(ROW, min_size=1, max_size=12), st.sets(st.integers(0, BUCKETS - 1)))
def test_hashes_are_equal_when_all_of_a_window_is(rows: list[Row], others: set[int]) -> None:
    """Equal windows have equal hashes, any other window others; a bucket follows from the name."""
    numbers, buckets, hashes = window_hashes(block_of(rows), ("two", "one"))
    assert numbers.tolist() == list(range(len(rows)))
    told = [content.tobytes() for content in hashes]
    kinds = [identity(row) for row in rows]
    assert [told.index(each) for each in told] == [kinds.index(kind) for kind in kinds]
    among = np.zeros(BUCKETS, np.bool_)
    among[[*others, *buckets[::2]]] = True
    some, of_some, hashes_of_some = window_hashes(block_of(rows), ("two", "one"), among)
    assert some.tolist() == np.flatnonzero(among[buckets]).tolist()
    assert of_some.tolist() == buckets[some].tolist()
    assert hashes_of_some.tolist() == hashes[some].tolist()


@pytest.mark.slow
@given(st.lists(ROW, max_size=8), st.lists(ROW, max_size=8), st.integers(1, 9), st.randoms())
def test_fingerprints_are_equal_when_the_same_windows_come_in_any_order(
    rows: list[Row], others: list[Row], step: int, rng: Random
) -> None:
    """Neither order nor blocks matter; every window does, and how often it comes."""
    fingerprint = fingerprint_of(rows, 3)
    shuffled = rng.sample(rows, len(rows))
    assert len(fingerprint.differing(fingerprint_of(shuffled, step))) == 0
    kinds, other_kinds = Counter(map(identity, rows)), Counter(map(identity, others))
    differing = fingerprint.differing(fingerprint_of(others, step))
    assert bool(len(differing)) == (kinds != other_kinds)


@pytest.mark.slow
@given(st.lists(ROW, max_size=10), st.lists(ROW, max_size=10), st.booleans(), st.integers(1, 9))
def test_the_difference_of_hashes_is_that_of_counters(
    shards: list[Row],
    dataset: list[Row],
    as_sets: bool,  # noqa: FBT001 - hypothesis
    most: int,
) -> None:
    """The hashes found are those that a plain count finds; the first buckets come whole."""
    buckets_of: dict[bytes, int] = {}
    sides, counts = [], []
    for rows in (shards, dataset):
        _, buckets, hashes = window_hashes(block_of(rows), ("two", "one"))
        sides.append((buckets, hashes))
        told = [content.tobytes() for content in hashes]
        buckets_of |= dict(zip(told, buckets.tolist(), strict=True))
        counts.append(Counter(set(told) if as_sets else told))
    found = HashDifference.of(sides[0], sides[1], as_sets=as_sets)
    expected = {h for h in counts[0] | counts[1] if counts[0][h] != counts[1][h]}
    assert found.hashes() == expected
    assert len(found) == len(expected)
    assert set(np.flatnonzero(found.buckets())) == {buckets_of[h] for h in expected}
    first = HashDifference.joined([found]).first(most)
    chosen = sorted(buckets_of[h] for h in expected)[:most]
    assert first.hashes() == {h for h in expected if buckets_of[h] in chosen}
