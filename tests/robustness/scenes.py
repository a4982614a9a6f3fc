"""Conversions that are to be killed: what they start from, what they do, how they must end."""

import hashlib
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import a20_parquet
from a20_parquet.conversion import merge_pass
from a20_parquet.errors import DatasetError
from tests.robustness.children import StepTrap, digest_tree, start
from tests.robustness.messy import DIMS, write_messy_shards

TINY, SMALL, LARGE = "7MB", "12MB", "1GiB"
_COMMON: Mapping[str, Any] = {"row_group_rows": 200, "max_file_size": 400 * 1024, "dims": DIMS}
_UNIT_BYTES = 1 << 19
_STOP_AT = 40
"""A step of the second pass, where some units have been committed."""


@dataclass(frozen=True, slots=True)
class AnyPath:
    """Where conversions write to."""

    folder: Path

    @property
    def dataset(self) -> Path:
        """The dataset."""
        return self.folder / "dataset"

    @property
    def notebook(self) -> Path:
        """The notebook's files."""
        return self.folder / "notebook"

    @property
    def scratch(self) -> tuple[Path, Path]:
        """Scratch folders outside of the dataset."""
        return self.folder / "scratch-a", self.folder / "scratch-b"

    @property
    def written(self) -> list[Path]:
        """All of these."""
        return [self.dataset, self.notebook, *self.scratch]

    def reset(self, base: Path | None) -> None:
        """Begin with an empty place, or with a copy of what lies at ``base``."""
        for path in self.written:
            shutil.rmtree(path, ignore_errors=True)
        if base is not None:
            shutil.copytree(base, self.dataset)
        for path in self.scratch:
            path.mkdir()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One conversion."""

    name: str
    sources: list[Path]
    options: Mapping[str, Any] = field(default_factory=dict)
    base: Path | None = None
    """A copy of what is at the dataset's place before."""
    again: list[Path] = field(default_factory=list)
    """Sources of another conversion that resumes this one once it is committed, because to run it
    again would be one more conversion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """How a scene ends when nobody disturbs it."""

    tree: dict[str, dict[str, str]]
    """All that was written, see ``digest_tree``."""
    manifest: bytes
    base_manifest: bytes | None
    """Of the dataset that was there before."""
    base_files: frozenset[str]
    """All that was there before, relative to the dataset."""
    rows: str
    """What a reader sees, see ``read``."""
    base_rows: str
    seconds: float
    steps: int
    commit_steps: int
    """How many of the steps belong to the commit and what follows."""


def convert(
    place: AnyPath, scene: Scene, running: Mapping[str, Any], trap: Callable[[], StepTrap]
) -> None:
    """Convert, and print how many steps there were."""
    merge_pass._UNIT_BYTES = _UNIT_BYTES  # noqa: SLF001 -- so that few megabytes make many units
    steps = trap()
    a20_parquet.convert(scene.sources, place.dataset, **{**_COMMON, **scene.options, **running})
    sys.stdout.write(f"{steps.steps}\n")


def read(dataset: Path) -> None:
    """Print what a reader sees: a digest of all rows in their order, or ``nothing``."""
    try:
        frame = a20_parquet.scan(dataset).collect()
    except DatasetError:
        # Whether that is right now depends on the manifest, which the caller knows.
        sys.stdout.write("nothing\n")
        return
    digest = hashlib.sha256(frame["embedding"].to_numpy().tobytes())
    digest.update(frame.drop("embedding").write_csv().encode())
    sys.stdout.write(f"{len(frame)} {digest.hexdigest()}\n")


def make_scenes(place: AnyPath, *, shards: int = 5, records: int = 120) -> list[Scene]:
    """Write shards and the datasets to start from."""
    folder = place.folder
    # In a fork: TensorFlow must not run in the process that is forked.
    start(lambda: write_messy_shards(folder / "shards", shards, records), folder / "output").expect(
        0
    )
    first = [folder / "shards" / f"embeddings-{n:05d}-of-{shards:05d}" for n in range(2)]
    sites = folder / "sites.csv"
    sites.write_text("name,site_id,time_zone\nToorale-National-Park-Dry-A,77,Australia/Sydney\n")
    everything = [folder / "shards"]
    few = Scene(name="", sources=list(first))
    half = _base(place, few, "half", at=None)
    whole = _base(place, Scene(name="", sources=everything), "whole", at=None)
    stopped = _base(
        place,
        Scene(name="", sources=list(first), options={"partition_by": "site"}),
        "stopped",
        at=_STOP_AT,
    )
    return [
        Scene(name="new", sources=everything),
        Scene(name="append", sources=everything, base=half),
        Scene(
            name="new, without duplicates",
            sources=everything,
            options={"drop_duplicates": True, "sites": sites},
        ),
        Scene(
            name="append with sites",
            sources=everything,
            base=half,
            options={"drop_duplicates": True, "sites": sites},
        ),
        Scene(
            name="overwrite",
            sources=everything,
            base=half,
            options={"overwrite": True, "partition_by": "site,month"},
        ),
        Scene(
            name="overwrite unfinished",
            sources=everything,
            base=stopped,
            options={"overwrite": True},
        ),
        Scene(
            name="retry",
            sources=[place.dataset / "quarantine"],
            base=whole,
            options={"unknown_site": "nowhere"},
            again=everything,
        ),
        Scene(name="with npy and json", sources=everything, options={"npy_json": place.notebook}),
    ]


def _base(place: AnyPath, scene: Scene, name: str, at: int | None) -> Path:
    """Convert, or begin to convert, and keep what it leaves."""
    place.reset(None)
    child = start(
        lambda: convert(
            place, scene, {"memory": TINY, "workers": 1}, lambda: StepTrap(place.written, at)
        ),
        place.folder / "output",
    )
    child.expect(0 if at is None else -9)
    place.dataset.rename(place.folder / name)
    return place.folder / name


def observe(place: AnyPath, scene: Scene) -> Undisturbed:
    """Run a scene undisturbed."""
    place.reset(scene.base)
    base_files = frozenset(digest_tree(place.dataset)) if scene.base else frozenset()
    base_manifest = _content(place.dataset / "manifest.json")
    base_rows = look(place)
    counts = []
    seconds = 0.0
    for behind in ("", "conversion/files.parquet"):
        place.reset(scene.base)
        began = time.monotonic()
        trap = partial(StepTrap, place.written, None, behind)
        work = partial(convert, place, scene, {"memory": SMALL, "workers": 1}, trap)
        child = start(work, place.folder / "output")
        output = child.expect(0)
        seconds = time.monotonic() - began
        counts.append(int(output.split()[-1]))
    return Undisturbed(
        tree={path.name: digest_tree(path) for path in place.written},
        manifest=_content(place.dataset / "manifest.json") or b"",
        base_manifest=base_manifest,
        base_files=base_files,
        rows=look(place),
        base_rows=base_rows,
        seconds=seconds,
        steps=counts[0],
        commit_steps=counts[1],
    )


def look(place: AnyPath) -> str:
    """What a reader in another process sees."""
    child = start(lambda: read(place.dataset), place.folder / "read")
    return child.expect(0).splitlines()[-1]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None
