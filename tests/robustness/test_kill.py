"""Killed conversions, the short version."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_killed_conversions_end_byte_identical() -> None:
    """Two conversions, killed at random moments several times each, end as undisturbed ones."""
    # In a process of its own: it forks, and TensorFlow must not have run in what is forked.
    command = [sys.executable, "-m", "tests.robustness.kill", "--runs=2", "--records=32"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert "every dataset is byte-identical" in done.stdout
