"""Compares ``a20-parquet`` with other ways to do its work.

``python -m benchmarks.run --help`` says how.
"""

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table

from a20_parquet.demo.shards import DemoPlan
from benchmarks.inputs import (
    Layout,
    Size,
    find_shards,
    make_shards,
    out_option,
    plan_of_size,
    read_all,
    repeat_option,
    save_option,
    shards_option,
)
from benchmarks.names import NAMES, PROGRAM, USUAL, Choice
from benchmarks.processes import measure, program
from benchmarks.runs import Run, save, table_of_runs, times_as_fast

_COLUMNS = (
    "contender",
    "wall s",
    "without import s",
    "CPU s",
    "MB/s",
    "peak MB",
    "output MB",
    "files",
    "of notebook",
    "of cp",
)


@click.command
@click.option("--size", type=Size(), default="3GB", show_default=True, help="Input, about.")
@click.option(
    "--layout",
    "layouts",
    type=Layout(),
    multiple=True,
    help="Instead of --size: PARTITIONSxSIZE (7000x430KB) or SITESxDAYSxSIZE (24x300x430KB).",
)
@repeat_option
@shards_option
@out_option
@click.option(
    "--only",
    type=Choice(NAMES),
    default=list(USUAL),
    help="Some, by comma; * stands for any part of a name.  [default: README.md lists them]",
)
@save_option
@click.option("--list", "lists", is_flag=True, help="Print the names that --only chooses from.")
def main(  # noqa: PLR0913 - one parameter an option
    *,
    size: int,
    layouts: tuple[DemoPlan, ...],
    repeat: int,
    shards: Path,
    out: Path,
    only: list[str],
    save_to: TextIO | None,
    lists: bool,
) -> None:
    """Convert the same shards with every contender in turn, again and again, and compare."""
    if lists:
        click.echo("\n".join(NAMES))
        return
    if find_shards(shards):
        sources = [shards]
    else:
        sources = [make_shards(shards, plan) for plan in layouts or [plan_of_size(size)]]
    failed = False
    for source in sources:
        runs = []
        for run in interleaved(source, out, only, repeat):
            save(run, save_to)
            runs.append(run)
            failed |= run.measured.error is not None
        # Wide enough for every column, also where the output goes to a file.
        Console(width=max(140, Console().width)).print(summary(runs))
    sys.exit(failed)


def interleaved(source: Path, out: Path, names: Sequence[str], repeat: int) -> Iterator[Run]:
    """Every contender once, then every contender again: what slows the machine slows them all."""
    for repetition in range(repeat):
        for name in names:
            if name in PROGRAM:
                command = program(*PROGRAM[name], source, out / name)
            elif name == "cp":
                command = ["cp", "-r", str(source), str(out / name)]
            else:
                contender = [sys.executable, "-m", "benchmarks.contenders", name]
                command = [*contender, str(source), str(out / name)]
            run = run_once(command, source, out / name, name=name, repetition=repetition)
            told = run.measured.error or f"{run.measured.wall_s:.1f} s"
            click.echo(f"{repetition + 1}/{repeat} {name}: {told}", err=True)
            yield run


def run_once(command: list[str], source: Path, out: Path, *, name: str, repetition: int) -> Run:
    """Measures a command that writes ``out``, with its input in the page cache."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    # The kernel throttles a writer for what others left unwritten.
    os.sync()
    input_bytes = read_all(source)
    try:
        measured = measure(command)
        written = [each.stat().st_size for each in out.rglob("*") if each.is_file()]
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return Run(
        source=source.name,
        repetition=repetition,
        name=name,
        input_bytes=input_bytes,
        output_bytes=sum(written),
        files=len(written),
        measured=measured,
    )


def summary(runs: Sequence[Run]) -> Table:
    """One line a contender, of medians over the repetitions."""
    first = runs[0]
    title = f"{first.source}: {first.input_bytes / 1e6:,.0f} MB"
    return table_of_runs(runs, title, _COLUMNS, lambda mine: _cells(mine, runs))


def _cells(mine: Sequence[Run], runs: Sequence[Run]) -> list[str]:
    name = mine[0].name
    wall_s = median(run.measured.wall_s for run in mine)
    without_s = [
        run.measured.wall_s - run.measured.result["tensorflow_import_seconds"]
        for run in mine
        if "tensorflow_import_seconds" in run.measured.result
    ]
    return [
        f"{wall_s:.2f}",
        f"{median(without_s):.2f}" if without_s else "",
        f"{median(run.measured.cpu_s for run in mine):.2f}",
        f"{mine[0].input_bytes / wall_s / 1e6:,.0f}",
        f"{median(run.measured.peak_rss_bytes for run in mine) / 1e6:,.0f}",
        f"{median(run.output_bytes for run in mine) / 1e6:,.0f}",
        f"{round(median(run.files for run in mine)):,}",
        _told(times_as_fast(runs, name, "notebook")),
        _told(times_as_fast(runs, name, "cp")),
    ]


def _told(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} x"


if __name__ == "__main__":
    main()
