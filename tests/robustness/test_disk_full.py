"""Full disks."""

import subprocess
import sys

import pytest

from tests.robustness.disk_full import CANT_MOUNT

pytestmark = pytest.mark.slow


def test_full_disk_stops_and_goes_on() -> None:
    """Full in either pass or in the commit: a clear error; with room the same bytes."""
    command = [sys.executable, "-m", "tests.robustness.disk_full", "--records=60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    if done.returncode == CANT_MOUNT:
        pytest.skip(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "every dataset is byte-identical" in done.stdout
