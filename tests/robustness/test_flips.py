"""A short run of ``tests.robustness.flips``."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_damaged_data_files() -> None:
    """Every way to read them gives the right rows or an error that names the file."""
    command = [sys.executable, "-m", "tests.robustness.flips", "--flips", "60"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
