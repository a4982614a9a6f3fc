"""What a power cut does to files that were written but had not reached the disk."""

import os
from pathlib import Path

import numpy as np

from tests.robustness.scenes import AnyPath


def cut_power(place: AnyPath, kept: frozenset[str], draw: np.random.Generator) -> int:
    """Spoil some files that a killed conversion has written and not yet flushed to disk.

    Args:
        place: where it wrote to.
        kept: files of the dataset that were there before, relative to it.
        draw: decides which, and how.

    Returns:
        How many.
    """
    victims = [path for path in _written(place) if _relative(place, path) not in kept]
    if not victims:
        return 0
    chosen = draw.choice(len(victims), min(len(victims), int(draw.integers(1, 6))), replace=False)
    for index in chosen.tolist():
        _spoil(victims[index], draw)
    return len(chosen)


def _written(place: AnyPath) -> list[Path]:
    """All files that no ``fsync`` covers; markers and plans are flushed one by one."""
    conversion = place.dataset / "conversion"
    folders = [
        place.dataset / "data",
        conversion / "runs",
        conversion / "quarantine",
        *place.scratch,
    ]
    return sorted(
        path
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".a20-parquet-scratch.json"
    )


def _relative(place: AnyPath, path: Path) -> str:
    inside = path.is_relative_to(place.dataset)
    return path.relative_to(place.dataset).as_posix() if inside else ""


def _spoil(path: Path, draw: np.random.Generator) -> None:
    size = path.stat().st_size
    at = int(draw.integers(size + 1))
    kind = draw.integers(3)
    if kind == 0:
        path.unlink()
    elif kind == 1:
        os.truncate(path, at)
    else:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes(size - at))
