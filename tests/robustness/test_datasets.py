"""Spoilt datasets, the short version."""

from pathlib import Path

from tests.robustness.datasets import run


def test_spoilt_datasets(tmp_path: Path) -> None:
    """Some dozen go through every command; ``python -m tests.robustness.datasets`` tries more."""
    tally = run(tmp_path, 35, seed=14)
    assert tally.failures == []
    assert tally.datasets == 35
