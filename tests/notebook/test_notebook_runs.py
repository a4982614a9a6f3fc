"""The notebook runs, and what is committed is what it gives."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
COMMITTED = NOTEBOOKS / "embeddings.ipynb"
MACHINE_PATH = re.compile(r"(?<![\w.])(/(tmp|work|home|root|usr|private|Users)\b|[A-Z]:\\)")


def code_cells(notebook: Path) -> dict[str, list[Any]]:
    """The outputs of each code cell, by the cell's id."""
    cells = json.loads(notebook.read_text())["cells"]
    return {cell["id"]: cell["outputs"] for cell in cells if cell["cell_type"] == "code"}


def printed(outputs: list[Any], stream: str = "stdout") -> str:
    """What a cell printed. Tables and plots, which libraries format, are not among it."""
    return "".join("".join(each["text"]) for each in outputs if each.get("name") == stream)


def shown(outputs: list[Any]) -> list[str]:
    """What else a cell shows: ``table`` or ``plot``."""
    bundles = [each["data"] for each in outputs if "data" in each]
    return ["plot" if "image/png" in bundle else "table" for bundle in bundles]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The notebook, executed anew by the command that also renews the committed one."""
    copy = tmp_path_factory.mktemp("notebook") / "executed.ipynb"
    command = [sys.executable, str(NOTEBOOKS / "run.py"), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return copy


def test_gives_what_is_committed(executed: Path) -> None:
    """Each cell prints the same text and shows as many tables and plots."""
    found, expected = code_cells(executed), code_cells(COMMITTED)
    assert {name: printed(each) for name, each in found.items()} == {
        name: printed(each) for name, each in expected.items()
    }
    assert {name: shown(each) for name, each in found.items()} == {
        name: shown(each) for name, each in expected.items()
    }


def test_a_new_run_makes_a_small_difference(executed: Path) -> None:
    """Cells, their ids and counts and all metadata stay; outputs may differ with the libraries."""
    found, expected = json.loads(executed.read_text()), json.loads(COMMITTED.read_text())
    for notebook in (found, expected):
        for cell in notebook["cells"]:
            cell.pop("outputs", None)
    assert found == expected
    assert expected["metadata"]["kernelspec"]["name"] == "python3"
    assert not any(cell["metadata"] for cell in expected["cells"])


def test_committed_outputs_are_presentable() -> None:
    """Three plots or more, short tables, and no errors, warnings, log lines or machine paths."""
    outputs = code_cells(COMMITTED)
    every = [each for cell in outputs.values() for each in cell]
    assert sum(shown(cell).count("plot") for cell in outputs.values()) >= 3
    assert not [each for each in every if each["output_type"] == "error"]
    assert not "".join(printed(cell, "stderr") for cell in outputs.values())
    for each in every:
        table = "".join(each.get("data", {}).get("text/html", ""))
        assert table.count("<tr>") <= 13  # names and types of the columns, and ten lines


def test_committed_file_names_no_machine() -> None:
    """Neither the text of the cells nor what they gave holds an absolute path."""
    cells = json.loads(COMMITTED.read_text())["cells"]
    for cell in cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)  # its letters mean nothing
    assert not MACHINE_PATH.search(json.dumps(cells))


def test_committed_file_is_small() -> None:
    """It loads at once, and the repository stays small."""
    assert COMMITTED.stat().st_size < 300_000
