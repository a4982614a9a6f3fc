"""Compares ``a20-parquet`` with other ways to do its work.

``python -m benchmarks.run --help`` says how.
"""

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from itertools import product
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
from benchmarks.names import NAMES, USUAL, Choice
from benchmarks.processes import measure
from benchmarks.runs import Run, save, scratch_bytes, table_of_runs, times_as_fast
from benchmarks.versions import THIS, Contender, Version, VersionPath, to_measure

_COLUMNS = (
    "contender",
    "wall s",
    "without import s",
    "CPU s",
    "MB/s",
    "peak MB",
    "scratch MB",
    "output MB",
    "files",
    "of notebook",
    "of cp",
)
_FASTER = "this faster by"
_DROP = Path("/proc/sys/vm/drop_caches")


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
@click.option(
    "--beside",
    type=VersionPath(),
    multiple=True,
    help="Another version of the program that also runs, interleaved: its source folder, or the "
    "Python of its environment.",
)
@click.option(
    "--arguments",
    default="",
    help="Further options of the program's conversions: '--memory 500MB'.",
)
@click.option(
    "--drop-caches",
    is_flag=True,
    help="Before each run, make the kernel forget all files that it has in memory; root only.",
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
    beside: tuple[Version, ...],
    arguments: str,
    drop_caches: bool,
    save_to: TextIO | None,
    lists: bool,
) -> None:
    """Convert the same shards with every contender in turn, again and again, and compare."""
    if lists:
        click.echo("\n".join(NAMES))
        return
    if drop_caches:
        forget_files()
    names = ["cp", *only] if beside and "cp" not in only else only
    contenders = list(to_measure(names, (THIS, *beside), shlex.split(arguments)))
    if find_shards(shards):
        sources = [shards]
    else:
        sources = [make_shards(shards, plan) for plan in layouts or [plan_of_size(size)]]
    failed = False
    for source in sources:
        runs = []
        for run in interleaved(source, out, contenders, repeat, is_cold=drop_caches):
            save(run, save_to)
            runs.append(run)
            failed |= run.measured.error is not None
        # Wide enough for every column, also where the output goes to a file.
        Console(width=max(180 if beside else 140, Console().width)).print(summary(runs))
    sys.exit(failed)


def interleaved(
    source: Path,
    out: Path,
    contenders: Sequence[Contender],
    repeat: int,
    *,
    is_cold: bool = False,
) -> Iterator[Run]:
    """Every contender once, then every contender again: what slows the machine slows them all."""
    for repetition, contender in product(range(repeat), contenders):
        run = run_once(contender, source, out / "output", repetition, is_cold=is_cold)
        told = run.measured.error or f"{run.measured.wall_s:.1f} s"
        click.echo(f"{repetition + 1}/{repeat} {contender.name}: {told}", err=True)
        yield run


def forget_files() -> None:
    """Make the kernel forget all files that it has in memory.

    Raises:
        click.ClickException: this process may not do it.
    """
    os.sync()
    try:
        _DROP.write_text("3")
    except OSError as error:
        raise click.ClickException(
            f"--drop-caches needs root, and a Linux that allows it: {_DROP}: {error.strerror}"
        ) from error


def run_once(
    contender: Contender, source: Path, out: Path, repetition: int, *, is_cold: bool = False
) -> Run:
    """Measures a command that writes ``out``, with its input in the page cache unless cold."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    # The kernel throttles a writer for what others left unwritten.
    os.sync()
    input_bytes = read_all(source)
    if is_cold:
        forget_files()
    load, _, _ = os.getloadavg()
    try:
        measured = measure([*contender.command, str(source), str(out)], contender.folder)
        written = [each.stat().st_size for each in out.rglob("*") if each.is_file()]
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return Run(
        source=source.name,
        repetition=repetition,
        name=contender.name,
        input_bytes=input_bytes,
        output_bytes=sum(written),
        files=len(written),
        load=load,
        measured=measured,
    )


def summary(runs: Sequence[Run]) -> Table:
    """One line a contender, of medians over the repetitions."""
    first = runs[0]
    loads = sorted(run.load for run in runs)
    load = f"load {loads[0]:.1f} to {loads[-1]:.1f}"
    title = f"{first.source}: {first.input_bytes / 1e6:,.0f} MB, {load}"
    columns = (*_COLUMNS, _FASTER) if any("@" in run.name for run in runs) else _COLUMNS
    return table_of_runs(runs, title, columns, lambda mine: _cells(mine, runs)[: len(columns) - 1])


def _cells(mine: Sequence[Run], runs: Sequence[Run]) -> list[str]:
    name = mine[0].name
    this, beside, _ = name.partition("@")
    scratch = [each for each in map(scratch_bytes, mine) if each is not None]
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
        f"{median(scratch) / 1e6:,.0f}" if scratch else "",
        f"{median(run.output_bytes for run in mine) / 1e6:,.0f}",
        f"{round(median(run.files for run in mine)):,}",
        _told(times_as_fast(runs, name, "notebook")),
        _told(times_as_fast(runs, name, "cp")),
        _told(times_as_fast(runs, this, name)) if beside else "",
    ]


def _told(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f} x"


if __name__ == "__main__":
    main()
