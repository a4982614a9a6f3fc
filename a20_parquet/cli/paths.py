"""Paths written for people."""

from pathlib import Path


def shown(path: Path | str) -> str:
    """Write a path as a user in the current folder would type it; a URL as it is."""
    if isinstance(path, str):
        return path
    here = Path.cwd()
    return str(path.relative_to(here)) if path != here and path.is_relative_to(here) else str(path)
