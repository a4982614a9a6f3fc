"""The ways to read from a slow store."""

import pytest

from benchmarks.streaming import Link, SlowStore, looking_ways, reading_ways, repeated, rounds
from tests.benchmarks.made import Made

pytestmark = pytest.mark.slow


def test_all_ways_read_the_same(made: Made) -> None:
    """Every way gives the checksum of the whole object, and looks at every shard."""
    shard = min(made.folder.glob("embeddings-*")).read_bytes()
    content = repeated(shard, 2 * len(shard) + 1)
    assert content == shard * 3
    store = SlowStore(content, Link(latency_s=0, rate=1 << 40))
    blocks = [100_000, 1 << 23]
    assert len(rounds(reading_ways(store, blocks), 1)) == 10
    assert len(rounds(looking_ways(store, 5), 1)) == 2
