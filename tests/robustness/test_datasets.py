"""Spoilt datasets, the short version."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_spoilt_datasets(tmp_path: Path) -> None:
    """Some dozen go through every command; ``python -m tests.robustness.datasets`` tries more."""
    # Its children are forks: this process may have threads by now.
    command = [sys.executable, "-m", "tests.robustness.datasets", "--datasets", "20"]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 datasets" in done.stdout
