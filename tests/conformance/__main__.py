"""``python -m tests.conformance`` reads datasets with every reader, and prints what they do."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.conformance.limits import judge
from tests.conformance.readers import READERS

_LIMIT_S = 900
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one reader."""

    name: str
    seconds: float
    version: str = ""
    found: dict[str, list[str]] = field(default_factory=dict)
    """What is wrong with each dataset."""
    skipped: str | None = None
    """Why it was not tried."""
    died: str | None = None
    """What its process said when it ended."""


def run_reader(folder: Path, python: str, name: str) -> Answer:
    """Check one reader in a process of its own."""
    started = time.monotonic()
    command = [python, "-m", "tests.conformance.check", name, str(folder)]
    # fastparquet sorts keys by their hashes.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_LIMIT_S, env=environment
        )
    except subprocess.TimeoutExpired:
        died = f"not done after {_LIMIT_S} s"
        return Answer(name, time.monotonic() - started, died=died)
    except subprocess.CalledProcessError as error:
        died = f"ends with exit code {error.returncode}: {error.stderr[-2000:]}"
        return Answer(name, time.monotonic() - started, died=died)
    return Answer(name, time.monotonic() - started, **json.loads(done.stdout))


def check_readers(
    folder: Path, names: Sequence[str], required: Collection[str], python: str = sys.executable
) -> list[str]:
    """Check readers, print a line for each and what there is to say, and return the faults."""
    known: list[str] = []
    skipped: list[str] = []
    remarks: list[str] = []
    faults: list[str] = []
    click.echo(f"{'reader':18}{'version':12}{'datasets':>9}{'as written':>12}{'s':>7}")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for answer in pool.map(partial(run_reader, folder, python), names):
            name, version, found = answer.name, answer.version, answer.found
            if answer.died:
                faults.append(f"{name}: {answer.died}")
            elif answer.skipped:
                skipped.append(f"{name}: {answer.skipped}")
                if base_name(name) in required:
                    faults.append(f"{name} is required: {answer.skipped}")
            else:
                whole = sum(not lines for lines in found.values())
                click.echo(f"{name:18}{version:12}{len(found):9}{whole:12}{answer.seconds:7.1f}")
                verdict = judge(name, version, found)
                known += [
                    f"{name}: {line[:120]} ({len(sets)} datasets, such as {sets[0]})"
                    for line, sets in verdict.known.items()
                ]
                remarks += verdict.remarks
                faults += verdict.faults
    for title, lines in (
        ("known limits", known),
        ("skipped", skipped),
        ("remarks: change tests/conformance/limits.py and docs/readers.md", remarks),
        ("FAULTS", faults),
    ):
        if lines:
            click.echo("\n  ".join([f"\n{title}", *lines]))
    return faults


def base_name(reader: str) -> str:
    """A reader's name without what stands behind a slash, in lower case."""
    return reader.partition("/")[0].casefold()


def _names(_: click.Context, __: click.Parameter, text: str) -> set[str]:
    """The readers' base names."""
    names = {name.strip().casefold() for name in text.split(",") if name.strip()}
    known = {base_name(name) for name in READERS}
    if unknown := names - known:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: use {', '.join(sorted(known))}")
    return names


@click.command()
@click.option("--only", default="", callback=_names, help="Readers to try, such as Spark,DuckDB.")
@click.option("--require", default="", callback=_names, help="Readers that must be installed.")
@click.option("--python", default=sys.executable, help="Interpreter that has the readers.")
@click.option("--folder", type=Path, help="Where datasets are, or are to be made and kept.")
def main(only: set[str], require: set[str], python: str, folder: Path | None) -> None:
    """Read datasets of each compression and key with every reader that is installed."""
    names = [name for name in READERS if not only or base_name(name) in only]
    with TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        if not (place / "datasets.json").exists():
            from tests.conformance.datasets import make_datasets

            place.mkdir(parents=True, exist_ok=True)
            make_datasets(place)
        faults = check_readers(place, names, require, python)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
