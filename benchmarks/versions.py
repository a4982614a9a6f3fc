"""What is measured: the project's program, other versions of it, and other ways to do its work."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.names import PROGRAM
from benchmarks.processes import PROJECT, measure


@dataclass(frozen=True, slots=True)
class Version:
    """One copy of the program, and how to start it."""

    label: str
    """Path as the user wrote it; empty for the project's own."""
    python: tuple[str, ...]
    """The interpreter and its options."""
    folder: Path
    """Where to start it; Python imports from there first."""


THIS = Version("", (sys.executable,), PROJECT)


@dataclass(frozen=True, slots=True)
class Contender:
    """A command to measure."""

    name: str
    command: tuple[str, ...]
    """Without its last arguments, shards and output."""
    folder: Path
    """Where to start it."""


def to_measure(
    names: Sequence[str], versions: Sequence[Version] = (THIS,), options: Sequence[str] = ()
) -> Iterator[Contender]:
    """Make the commands of contenders, those of the program once for each version.

    Args:
        names: of ``NAMES``.
        versions: of the program.
        options: further ones of ``a20-parquet convert``.
    """
    for name in names:
        if name == "cp":
            yield Contender(name, ("cp", "-r"), PROJECT)
        elif name in PROGRAM:
            command, *arguments = PROGRAM[name]
            if command == "convert":
                arguments += options
            for version in versions:
                yield Contender(
                    f"{name}@{version.label}" if version.label else name,
                    (*version.python, "-m", "a20_parquet", command, *arguments, "--json"),
                    version.folder,
                )
        else:
            yield Contender(name, (sys.executable, "-m", "benchmarks.contenders", name), PROJECT)


class VersionPath(click.ParamType[Version]):
    """The source folder of another version, or the Python of an environment that has it."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Version:
        """Finds the program there, and imports it once to see that it is whole."""
        # Not resolved: an environment's Python is a link.
        path = Path(value).absolute()
        if path.is_file():
            # -E: PYTHONPATH may name the project.
            version = Version(value, (str(path), "-E"), path.parent)
        elif (path / "a20_parquet" / "__main__.py").is_file():
            version = Version(value, (sys.executable,), path)
        else:
            self.fail(f"{value!r} is no Python, and no folder with a20_parquet/ in it", param, ctx)
        started = measure([*version.python, "-c", "import a20_parquet"], version.folder)
        if started.error:
            self.fail(f"{value!r} does not start: {started.error}", param, ctx)
        return version
