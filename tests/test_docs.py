"""The documents' code runs, on the dataset that the README's first command makes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from a20_parquet.table.name_parts import GROUPS
from a20_parquet.table.rejection import Reason

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PYTHON_BLOCKS = {
    f"{path.stem} {number}": block
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL))
}


@pytest.fixture(scope="module")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which ``a20-parquet demo`` was run, with less data."""
    folder = tmp_path_factory.mktemp("readme")
    command = [sys.executable, "-m", "a20_parquet", "demo", "--size", "10MB"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for expected in ("windows", "a20_parquet.scan", "a20_parquet.connect", "similarity"):
        assert expected in done.stdout
    return folder


@pytest.mark.parametrize("block", PYTHON_BLOCKS.values(), ids=PYTHON_BLOCKS.keys())
def test_python_runs(demo_folder: Path, block: str) -> None:
    """Each Python block runs as it stands and prints something that is not empty."""
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=demo_folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "shape: (0," not in done.stdout
    assert "0 rows" not in done.stdout


def test_readme_has_its_two_commands() -> None:
    """One command installs and runs the demo, one installs and runs the tests."""
    assert "$ pip install . && a20-parquet demo\n" in README
    assert "$ pip install '.[dev]' && pytest\n" in README


def test_readme_lists_every_reason() -> None:
    """What can bring a record into quarantine stands in the README, as the code says it."""
    for reason in Reason:
        assert f"| {reason} | {reason.meaning}" in README.replace("`", "")
    for group in GROUPS:
        assert f"`{group}`" in README
