"""Measures ``a20-parquet convert`` beside other ways to do its work.

``python -m benchmarks.run --help`` says how.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TextIO

import click
from rich.console import Console
from rich.table import Table

from a20_parquet.demo.shards import DemoPlan
from benchmarks.contenders import CONTENDERS
from benchmarks.inputs import (
    OUT_FOLDER,
    SHARDS_FOLDER,
    Layout,
    Size,
    make_shards,
    plan_of_size,
)
from benchmarks.processes import Measured, measure, program

PROGRAM = {"a20_site": "site", "a20_site_month": "site,month", "a20_site_date": "site,date"}
NAMES = [*CONTENDERS, *PROGRAM]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contender's conversion of one input."""

    source: str
    repetition: int
    name: str
    input_bytes: int
    output_bytes: int
    files: int
    measured: Measured


def _names(_context: Any, _parameter: Any, value: str | None) -> list[str]:
    names = value.split(",") if value else NAMES
    unknown = set(names) - set(NAMES)
    if unknown:
        raise click.BadParameter(f"{sorted(unknown)}: choose from {', '.join(NAMES)}")
    return names


@click.command
@click.option("--size", type=Size(), default="3GB", show_default=True, help="Input, about.")
@click.option(
    "--layout",
    "layouts",
    type=Layout(),
    multiple=True,
    help="Instead of --size: PARTITIONSxSIZE (7000x430KB) or SITESxDAYSxSIZE (24x300x430KB).",
)
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True)
@click.option(
    "--shards",
    type=click.Path(path_type=Path, resolve_path=True),
    default=SHARDS_FOLDER,
    show_default=True,
    help="Where shards are made and kept; a folder that holds shards itself is measured as it is.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, resolve_path=True),
    default=OUT_FOLDER,
    show_default=True,
    help="Where output goes; deleted after each run.",
)
@click.option("--only", callback=_names, help=f"Some, by comma: {', '.join(NAMES)}.")
@click.option("--save", type=click.File("a"), help="Append every run to this file, one JSON line.")
def main(  # noqa: PLR0913 - one parameter an option
    *,
    size: int,
    layouts: tuple[DemoPlan, ...],
    repeat: int,
    shards: Path,
    out: Path,
    only: list[str],
    save: TextIO | None,
) -> None:
    """Convert the same shards with every contender in turn, again and again, and compare."""
    if any(shards.glob("embeddings-*")):
        sources = [shards]
    else:
        sources = [make_shards(shards, plan) for plan in layouts or [plan_of_size(size)]]
    failed = False
    for source in sources:
        runs = []
        for run in _interleaved(source, out, only, repeat):
            runs.append(run)
            failed |= run.measured.error is not None
            if save:
                save.write(json.dumps(asdict(run)) + "\n")
                save.flush()
        # Wide enough for every column, also where the output goes to a file.
        Console(width=max(140, Console().width)).print(summary(runs))
    sys.exit(failed)


def _interleaved(source: Path, out: Path, names: list[str], repeat: int) -> Iterable[Run]:
    """Every contender once, then every contender again: what slows the machine slows them all."""
    for repetition in range(repeat):
        for name in names:
            run = _run(source, out / name, name, repetition)
            told = run.measured.error or f"{run.measured.wall_s:.1f} s"
            click.echo(f"{repetition + 1}/{repeat} {name}: {told}", err=True)
            yield run


def _run(source: Path, out: Path, name: str, repetition: int) -> Run:
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    # The kernel throttles a writer for what others left unwritten.
    os.sync()
    if name in PROGRAM:
        command = program("--partition-by", PROGRAM[name], source, out)
    else:
        command = [sys.executable, "-m", "benchmarks.contenders", name, str(source), str(out)]
    try:
        measured = measure(command)
        written = [each.stat().st_size for each in out.rglob("*") if each.is_file()]
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return Run(
        source=source.name,
        repetition=repetition,
        name=name,
        input_bytes=sum(shard.stat().st_size for shard in source.glob("embeddings-*")),
        output_bytes=sum(written),
        files=len(written),
        measured=measured,
    )


def summary(runs: Sequence[Run]) -> Table:
    """One line a contender, of medians over the repetitions."""
    first = runs[0]
    repetitions = 1 + max(run.repetition for run in runs)
    table = Table(
        title=f"{first.source}: {first.input_bytes / 1e6:,.0f} MB, median of {repetitions}"
    )
    table.add_column("contender")
    for column in (
        "wall s",
        "without import s",
        "CPU s",
        "MB/s",
        "peak MB",
        "output MB",
        "files",
        "of notebook",
        "of cp",
    ):
        table.add_column(column, justify="right")
    for name in dict.fromkeys(run.name for run in runs):
        table.add_row(name, *_cells(name, runs))
    return table


def _cells(name: str, runs: Sequence[Run]) -> list[str]:
    mine = [run for run in runs if run.name == name]
    good = [run for run in mine if run.measured.error is None]
    if not good:
        return [mine[0].measured.error or ""]
    walls_s = [run.measured.wall_s for run in good]
    imports_s = [run.measured.result.get("tensorflow_import_seconds") for run in good]
    without_s = [
        wall_s - import_s
        for wall_s, import_s in zip(walls_s, imports_s, strict=True)
        if import_s is not None
    ]
    return [
        f"{median(walls_s):.2f}",
        f"{median(without_s):.2f}" if without_s else "",
        f"{median(run.measured.cpu_s for run in good):.2f}",
        f"{good[0].input_bytes / median(walls_s) / 1e6:,.0f}",
        f"{median(run.measured.peak_rss_bytes for run in good) / 1e6:,.0f}",
        f"{median(run.output_bytes for run in good) / 1e6:,.0f}",
        f"{round(median(run.files for run in good)):,}",
        _times_as_fast(good, "notebook", runs),
        _times_as_fast(good, "cp", runs),
    ]


def _times_as_fast(mine: Sequence[Run], other: str, runs: Sequence[Run]) -> str:
    """How many times the other's speed, each repetition compared with itself."""
    others_s = {
        run.repetition: run.measured.wall_s
        for run in runs
        if run.name == other and run.measured.error is None
    }
    ratios = [
        others_s[run.repetition] / run.measured.wall_s for run in mine if run.repetition in others_s
    ]
    return f"{median(ratios):.2f} x" if ratios else ""


if __name__ == "__main__":
    main()
