"""Spoils datasets in every way and does everything with them: nothing may hang, crash or get out.

``python -m tests.robustness.datasets --datasets 2000``

Each dataset is spoilt in one way and goes through every command and public function. Each ends with
a right answer or an error of this package; what ``verify`` says must fit what a reader gets; and
nothing outside of the dataset changes.
"""

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from tests.robustness.children import start
from tests.robustness.dataset_bases import BASES, make_bases
from tests.robustness.dataset_deeds import Scene, copy_tree, try_all
from tests.robustness.dataset_mutations import spoil

_LONGEST_S = 120
_BATCH = 50
_ADDRESS_SPACE = 12 << 30
_LARGEST_FILE = 256 << 20
_ERRORS = ("DatasetError", "UsageError", "SourceError", "RecordError", "NoWindowsError")


@dataclass(slots=True)
class Tally:
    """How it ended."""

    datasets: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """By outcome, over all deeds."""
    wrong_rows: int = 0
    """Datasets of which ``scan`` gave other rows, and ``verify`` found what is wrong."""
    unnoticed: Counter[str] = field(default_factory=Counter)
    """What was changed where ``verify --source`` found nothing wrong."""
    failures: list[str] = field(default_factory=list)


def run(folder: Path, count: int, seed: int, first: int = 0) -> Tally:
    """Spoil so many datasets, each in a child process with several others."""
    tally = Tally()
    output = folder / "output"
    log = folder / "log.jsonl"
    start(lambda: make_bases(folder), output).expect(0)
    number, end = first, first + count
    while number < end:
        log.write_text("")
        stop = min(end, number + _BATCH)
        child = start(partial(_try_some, folder, log, number, stop, seed), output)
        hangs = _watch(child, log)
        number = _read(log, stop, tally, hangs, output)
    return tally


def _watch(child: Any, log: Path) -> bool:
    """Wait for a child; whether it had to be killed because it went on with nothing."""
    size, since = -1, time.monotonic()
    while child.poll() is None:
        if log.stat().st_size != size:
            size, since = log.stat().st_size, time.monotonic()
        if time.monotonic() - since > _LONGEST_S:
            child.kill()
            child.wait()
            return True
        time.sleep(0.02)
    return False


def _read(log: Path, stop: int, tally: Tally, hangs: bool, output: Path) -> int:  # noqa: FBT001
    """Read what a child has noted; the number to go on with."""
    begun: dict[str, Any] = {}
    number = stop
    for line in log.read_text().splitlines():
        noted = json.loads(line)
        if "outcomes" in noted:
            _add(noted, tally)
            begun = {}
        else:
            begun = noted
            number = noted["number"]
    if not begun:
        return stop
    what = "hangs" if hangs else f"ends the process: {output.read_text()[-2000:]}"
    tally.failures.append(
        f"{begun['number']} {begun['base']}: {begun['done']}: {begun['deed']} {what}"
    )
    tally.datasets += 1
    return number + 1


def _add(noted: dict[str, Any], tally: Tally) -> None:
    tally.datasets += 1
    outcomes = noted["outcomes"]
    tally.ends.update(outcomes.values())
    name = f"{noted['number']} {noted['base']}: {noted['done']}"
    for deed, text in noted["failures"].items():
        tally.failures.append(f"{name}: {deed}: {text}")
    if outcomes.get("scan") == "rows":
        found = outcomes["verify"] != "good"
        tally.wrong_rows += found
        if not (found or noted["done"].startswith("forged")):
            tally.failures.append(f"{name}: other rows, and verify finds nothing")
        if outcomes["verify --source"] == "good":
            tally.failures.append(f"{name}: other rows, and verify --source finds nothing")
    # Shards whose sums were changed in the manifest are others: only the source tells.
    unseen = {outcomes.get("verify"), outcomes.get("verify --source")} == {"good"}
    if outcomes.get("convert") == "rows" and unseen:
        tally.failures.append(f"{name}: convert makes other rows")
    if outcomes.get("verify --source") == "good":
        tally.unnoticed[noted["done"]] += 1


def _try_some(folder: Path, log: Path, first: int, stop: int, seed: int) -> None:
    """Spoil and try datasets in this process."""
    import resource  # not on Windows

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
    os.chdir(folder)
    with log.open("a", buffering=1) as notes:
        for number in range(first, stop):
            draw = np.random.default_rng([seed, number])
            base = BASES[number % len(BASES)]
            known = json.loads((folder / "bases" / f"{base.name}.json").read_text())
            for name in ("run", "out"):
                shutil.rmtree(folder / name, ignore_errors=True)
                (folder / name).mkdir()
            scene = Scene(base, folder / "shards", folder / "run", known["now"], known["finished"])
            copy_tree(folder / "bases" / base.name, scene.dataset)
            precious = folder / "run" / "precious"
            precious.mkdir()
            for name in ("thesis.txt", "part-0000.parquet", "run-0.embeddings", "a.tfrecord"):
                (precious / name).write_text("years of work")
            done = spoil(scene.dataset, draw)
            told = {"number": number, "base": base.name, "done": done}

            def begin(deed: str, told: dict[str, Any] = told) -> None:
                notes.write(json.dumps({**told, "deed": deed}) + "\n")

            try_all(scene, begin)
            noted = {**told, "outcomes": scene.outcomes, "failures": scene.failures}
            notes.write(json.dumps(noted) + "\n")


def _lines(tally: Tally) -> Iterator[str]:
    yield f"{tally.datasets:,} datasets, {sum(tally.ends.values()):,} deeds"
    yield ", ".join(f"{count:,} {end}" for end, count in tally.ends.most_common())
    yield f"{tally.wrong_rows:,} times scan gave other rows where verify finds what is wrong"
    yield f"{sum(tally.unnoticed.values()):,} times verify --source found nothing:"
    yield from (f"  {count:4} {done}" for done, count in tally.unnoticed.most_common())
    yield f"{len(tally.failures):,} failures"
    groups: dict[str, list[str]] = {}
    for failure in tally.failures:
        groups.setdefault(_signature(failure), []).append(failure)
    for signature, failures in sorted(groups.items(), key=lambda item: -len(item[1])):
        yield f"== {len(failures)} times {signature}"
        yield failures[0]


def _signature(failure: str) -> str:
    """Where in the package it happened, and what."""
    lines = failure.strip().splitlines()
    if len(lines) == 1:
        return failure.rpartition(": ")[2]
    places = [line.strip() for line in lines if "/a20_parquet/" in line and line.startswith("  ")]
    return f"{places[-1].rpartition('/a20_parquet/')[2] if places else ''} {lines[-1][:200]}"


@click.command()
@click.option("--datasets", default=2000, help="How many to spoil.")
@click.option("--first", default=0, help="Number of the first one.")
@click.option("--seed", default=14, help="Chooses what is spoilt.")
@click.option("--folder", type=click.Path(path_type=Path), help="Where to work, and stay.")
def main(datasets: int, first: int, seed: int, folder: Path | None) -> None:
    """Spoil datasets and do everything with them."""
    with TemporaryDirectory() as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        tally = run(place, datasets, seed, first)
    click.echo("\n".join(_lines(tally)))
    raise SystemExit(bool(tally.failures))


if __name__ == "__main__":
    main()
