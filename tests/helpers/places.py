"""What may lie at a dataset's place, by name, for tests."""

# ruff: noqa: S311 - random rows, the same each time

import json
import random
from collections.abc import Callable
from pathlib import Path

from a20_parquet.conversion.transaction.begin import begin
from a20_parquet.conversion.transaction.checkpoints import commit_unit
from a20_parquet.conversion.transaction.lock import locked
from tests.helpers.datasets import complete
from tests.helpers.layout import LocalLayout
from tests.helpers.runs import random_rows
from tests.helpers.units import OPTIONS, make_plan, write_all

Put = Callable[[Path], None]


def put_nothing(_: Path) -> None:
    """Not even the folder."""


def put_empty(root: Path) -> None:
    """An empty folder."""
    root.mkdir()


def put_lock(root: Path) -> None:
    """What a process leaves that was killed before it wrote its plan."""
    layout = LocalLayout(root)
    layout.conversion.mkdir(parents=True)
    layout.lock.touch()
    (layout.conversion / "plan.json.tmp").write_text("{")


def put_file(root: Path) -> None:
    """A file where the folder should be."""
    root.write_text("mine")


def put_foreign(root: Path) -> None:
    """A folder with somebody's file."""
    root.mkdir()
    (root / "notes.txt").write_text("mine")


def put_foreign_manifest(root: Path) -> None:
    """A folder of another tool that calls its file manifest.json too."""
    (root / "data").mkdir(parents=True)
    (root / "data" / "precious").write_text("mine")
    (root / "manifest.json").write_text(json.dumps({"format": "other"}))


def put_manifest_of_no_object(root: Path) -> None:
    """A folder whose manifest.json is a list."""
    root.mkdir()
    (root / "manifest.json").write_text("[1]")


def put_manifest_of_no_json(root: Path) -> None:
    """A folder whose manifest.json is not even text."""
    root.mkdir()
    (root / "manifest.json").write_bytes(b"\xff\xfe")


def put_foreign_plan(root: Path) -> None:
    """A folder of another tool that has a conversion/plan.json too."""
    (root / "conversion").mkdir(parents=True)
    (root / "conversion" / "plan.json").write_text(json.dumps({"format": "other"}))
    (root / "data").mkdir()
    (root / "data" / "precious").write_text("mine")


def put_foreign_conversion(root: Path) -> None:
    """A folder with nothing but another tool's folder called conversion."""
    (root / "conversion").mkdir(parents=True)
    (root / "conversion" / "precious").write_text("mine")


def put_unfinished(root: Path) -> None:
    """A conversion that died in the merge."""
    layout = LocalLayout(root)
    with locked(layout):
        begin(layout, make_plan(), overwrite=False)
    _, files, _ = write_all(layout, [random_rows(random.Random(0), 9, 0)])
    commit_unit(layout, files[:2])
    (layout.conversion / "runs" / "run.embeddings").write_bytes(b"1")


def put_complete(root: Path) -> None:
    """A finished dataset."""
    layout = LocalLayout(root)
    with locked(layout):
        begin(layout, make_plan(), overwrite=False)
        _, files, _ = write_all(layout, [random_rows(random.Random(0), 9, 0)])
        complete(layout, OPTIONS, [], files)


FREE: list[Put] = [put_nothing, put_empty, put_lock]
"""What a new dataset may take."""
OURS: list[Put] = [put_unfinished, put_complete]
FOREIGN: list[Put] = [
    put_file,
    put_foreign,
    put_foreign_manifest,
    put_manifest_of_no_object,
    put_manifest_of_no_json,
    put_foreign_plan,
    put_foreign_conversion,
]
"""What is somebody's."""


def listing(root: Path) -> list[tuple[str, bytes]]:
    """All there is at a place."""
    if not root.exists():
        return []
    paths = [root, *sorted(root.rglob("*"))]
    return [(str(p), p.read_bytes() if p.is_file() else b"") for p in paths]
