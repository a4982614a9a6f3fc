"""Damaged shards, the short version."""

import pytest

from tests.robustness.damage import run

pytestmark = pytest.mark.slow


def test_damaged_shards_are_accounted_for() -> None:
    """Of 200 damaged shards every byte and every window is where it must be."""
    tally = run(200, seed=1)
    assert tally.mutations == 200
    assert tally.converted > 1000
    assert min(tally.quarantined, tally.damaged) > 50
    assert set(tally.ranges) == {"bad_length", "bad_payload", "bad_stream", "truncated"}
    assert tally.intact_in_damage == 0
