"""A dataset's place: who may claim it, and what is left there whenever a conversion dies."""

# ruff: noqa: S311 - random rows, the same each time

import contextlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from a20_parquet.dataset.layout import DatasetLayout, write_durably
from a20_parquet.dataset.manifest import (
    Plan,
    committed_files,
    finalise,
)
from a20_parquet.errors import DatasetError, UsageError
from tests.dataset.runs import random_rows
from tests.dataset.units import OPTIONS, PLAN, write_all


def test_write_durably(tmp_path: Path) -> None:
    """A small file is replaced whole, and nothing else is left."""
    path = tmp_path / "file"
    for text in ("first", "\N{KOALA}"):
        write_durably(path, text)
        assert path.read_text("utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


# What may lie at a dataset's place, by name.
def put_nothing(_: Path) -> None:
    """Not even the folder."""


def put_empty(root: Path) -> None:
    """An empty folder."""
    root.mkdir()


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


def put_unfinished(root: Path) -> None:
    """A conversion that died in the merge."""
    layout = DatasetLayout(root)
    layout.claim(PLAN, overwrite=False)
    write_all(layout, [random_rows(random.Random(0), 9, 0)])
    (layout.conversion / "a20-parquet-runs-x").mkdir()
    (layout.conversion / "a20-parquet-runs-x" / "run.embeddings").write_bytes(b"1")


def put_complete(root: Path) -> None:
    """A finished dataset."""
    layout = DatasetLayout(root)
    layout.claim(PLAN, overwrite=False)
    units, _, _ = write_all(layout, [random_rows(random.Random(0), 9, 0)])
    finalise(layout, OPTIONS, [], committed_files(layout, len(units)))
    layout.release()


def listing(root: Path) -> list[tuple[str, bytes]]:
    """All there is at a place."""
    if not root.exists():
        return []
    paths = [root, *sorted(root.rglob("*"))]
    return [(str(p), p.read_bytes() if p.is_file() else b"") for p in paths]


def is_fresh(layout: DatasetLayout) -> bool:
    """Whether the place holds a conversion that has just begun."""
    names = {path.relative_to(layout.root).as_posix() for path in layout.root.rglob("*")}
    return names == {"data", "conversion", "conversion/units", "conversion/plan.json"}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("put", [put_nothing, put_empty])
def test_claim_what_is_free(
    put: Callable[[Path], None], tmp_path: Path, *, overwrite: bool
) -> None:
    """Nothing and an empty folder can be claimed."""
    layout = DatasetLayout.at(tmp_path / "a" / "dataset")
    layout.root.parent.mkdir()
    put(layout.root)
    layout.check(overwrite=overwrite)
    layout.claim(PLAN, overwrite=overwrite)
    assert is_fresh(layout)
    assert Plan.model_validate_json(layout.plan.read_text()) == PLAN


@pytest.mark.parametrize(
    ("put", "told"), [(put_unfinished, "an unfinished conversion"), (put_complete, "a dataset")]
)
def test_claim_what_is_ours(put: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    """A dataset, finished or not, is refused without overwriting and replaced with it."""
    layout = DatasetLayout.at(tmp_path / "dataset")
    put(layout.root)
    before = listing(layout.root)
    for refuse in (layout.check, lambda *, overwrite: layout.claim(PLAN, overwrite=overwrite)):
        with pytest.raises(UsageError, match=f"holds {told}.*--overwrite"):
            refuse(overwrite=False)
        assert listing(layout.root) == before
    layout.claim(PLAN, overwrite=True)
    assert is_fresh(layout)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "put",
    [
        put_file,
        put_foreign,
        put_foreign_manifest,
        put_manifest_of_no_object,
        put_manifest_of_no_json,
        put_foreign_plan,
    ],
)
def test_claim_what_is_not_ours(
    put: Callable[[Path], None], tmp_path: Path, *, overwrite: bool
) -> None:
    """Anything else is refused, with overwriting too, and stays as it is."""
    layout = DatasetLayout.at(tmp_path / "dataset")
    put(layout.root)
    before = listing(layout.root)
    with pytest.raises(UsageError, match="Name a") as told:
        layout.claim(PLAN, overwrite=overwrite)
    assert "give --overwrite" not in str(told.value)
    assert listing(layout.root) == before


def test_release_and_abandon(tmp_path: Path) -> None:
    """Releasing leaves the dataset, abandoning leaves an empty folder, and both can be claimed."""
    layout = DatasetLayout.at(tmp_path / "dataset")
    put_complete(layout.root)
    names = {path.name for path in layout.root.iterdir()}
    assert names == {"data", "files.parquet", "manifest.json"}
    layout.claim(PLAN, overwrite=True)
    layout.abandon()
    assert list(layout.root.iterdir()) == []
    layout.claim(PLAN, overwrite=False)
    assert is_fresh(layout)


class Killed(BaseException):
    """Stands for the end of the process."""


class Death:
    """Lets a number of changes to the file system happen, and none after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, changes: int) -> None:
        self.left = changes
        self.died = False
        for name in ("unlink", "rmdir", "mkdir", "replace", "remove"):
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name)))

    def _wrap(self, change: Callable[..., Any]) -> Callable[..., Any]:
        def limited(*args: Any, **options: Any) -> Any:
            if self.left == 0:
                self.died = True
                raise Killed
            self.left -= 1
            return change(*args, **options)

        return limited


def claim(layout: DatasetLayout) -> None:
    """Begin afresh."""
    layout.claim(PLAN, overwrite=True)


def is_whole(layout: DatasetLayout) -> bool:
    """Whether every file that a complete dataset names is there."""
    paths = pq.read_table(layout.files)["path"].to_pylist() if layout.files.exists() else [""]
    return all((layout.root / path).is_file() for path in paths)


KILLED = [
    (put_complete, claim),
    (put_unfinished, claim),
    (put_complete, DatasetLayout.release),
    (put_nothing, claim),
    (put_unfinished, DatasetLayout.abandon),
]


@pytest.mark.parametrize(("put", "act"), KILLED)
def test_killed_at_any_change(
    put: Callable[[Path], None], act: Callable[[DatasetLayout], None], tmp_path: Path
) -> None:
    """Whenever a process dies, nothing broken passes for complete, and the place can be claimed."""
    for changes in range(1000):
        layout = DatasetLayout.at(tmp_path / str(changes))
        put(layout.root)
        if act is DatasetLayout.release:
            layout.units.mkdir(parents=True)
            layout.plan.write_text(PLAN.model_dump_json())
        with pytest.MonkeyPatch.context() as patch:
            death = Death(patch, changes)
            with contextlib.suppress(Killed):
                act(layout)
        if layout.manifest.exists():
            assert is_whole(layout)
        layout.claim(PLAN, overwrite=True)
        assert is_fresh(layout)
        if not death.died:
            assert changes > 0
            return
    pytest.fail("it never came to an end")


def test_claim_of_a_place_that_can_not_be_written(tmp_path: Path) -> None:
    """A folder below a file can't be made, which is an error that names the place."""
    (tmp_path / "file").write_text("mine")
    layout = DatasetLayout.at(tmp_path / "file" / "dataset")
    with pytest.raises(DatasetError, match="can't be written"):
        layout.claim(PLAN, overwrite=False)


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dataset's place is a local folder, made absolute; other URLs are refused."""
    monkeypatch.chdir(tmp_path)
    assert DatasetLayout.at("a").root == tmp_path / "a"
    assert DatasetLayout.at(tmp_path / "a").root == tmp_path / "a"
    assert DatasetLayout.at(f"file://{tmp_path}/a").root == tmp_path / "a"
    with pytest.raises(UsageError, match="local folder"):
        DatasetLayout.at("s3://bucket/a")
