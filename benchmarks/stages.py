"""Measures each stage of a conversion alone, beside the machine's limits.

``python -m benchmarks.stages --help`` says how.
"""

import gc
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table

from a20_parquet.execution.threads import ThreadPool
from benchmarks.inputs import (
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
from benchmarks.limits import LIMITS
from benchmarks.names import Choice
from benchmarks.pipeline import PIPELINE
from benchmarks.processes import measure
from benchmarks.runs import Run, good, save, table_of_runs
from benchmarks.work import Setting

STAGES = {**LIMITS, **PIPELINE}
_COLUMNS = (
    "stage, threads",
    "wall s",
    "CPU s",
    "MB/s",
    "MB/s a core",
    "peak MB",
    "files",
    "ms a file",
)


@click.command
@click.option("--size", type=Size(), default="1GB", show_default=True, help="Input, about.")
@click.option(
    "--memory",
    type=Size(),
    default="500MB",
    show_default=True,
    help="The budget that makes the size of buffers and of sorted runs.",
)
@click.option("--threads", type=click.IntRange(1), multiple=True, default=[1, 2], show_default=True)
@repeat_option
@shards_option
@out_option
@click.option(
    "--only",
    type=Choice(list(STAGES)),
    default=list(STAGES),
    help=f"Some, by comma; * stands for any part of a name: {', '.join(STAGES)}.",
)
@save_option
@click.option("--here", is_flag=True, hidden=True)
def main(  # noqa: PLR0913 - one parameter an option
    *,
    size: int,
    memory: int,
    threads: tuple[int, ...],
    repeat: int,
    shards: Path,
    out: Path,
    only: list[str],
    save_to: TextIO | None,
    here: bool,
) -> None:
    """Run every stage alone in turn, again and again, and print what it takes."""
    source = shards if find_shards(shards) else make_shards(shards, plan_of_size(size))
    scratch = out if here else out / "stage"
    settings = [
        Setting(shards=source, scratch=scratch, threads=count, memory=memory) for count in threads
    ]
    if here:
        click.echo(json.dumps(timed(only[0], settings[0])))
        return
    runs = []
    for run in interleaved(settings, only, repeat):
        save(run, save_to)
        runs.append(run)
    Console(width=max(110, Console().width)).print(summary(runs))
    sys.exit(any(run.measured.error for run in runs))


def timed(stage: str, setting: Setting) -> dict[str, float]:
    """Prepares a stage, does its work, and tells what the work took."""
    work = STAGES[stage](setting)
    # What threads leave behind must not be collected while others are measured.
    gc.collect()
    cpu_s, begun_s = time.process_time(), time.perf_counter()
    for _ in ThreadPool(setting.threads).map(lambda piece: piece(), work.pieces):
        pass
    return {
        "seconds": time.perf_counter() - begun_s,
        "cpu_seconds": time.process_time() - cpu_s,
        "bytes": work.size,
        "files": sum(1 for _ in setting.scratch.rglob("*.parquet")),
    }


def interleaved(settings: Sequence[Setting], stages: Sequence[str], repeat: int) -> Iterator[Run]:
    """Every stage in every setting, each in a process of its own, then all again."""
    for repetition, setting, stage in product(range(repeat), settings, stages):
        run = _run(stage, setting, repetition)
        told = run.measured.error or f"{rate(run) / 1e6:,.0f} MB/s"
        click.echo(f"{repetition + 1}/{repeat} {run.name}: {told}", err=True)
        yield run


def stage_name(stage: str, threads: int) -> str:
    """What the runs of a stage are called."""
    return f"{stage}, {threads}"


def rate(run: Run, *, per: str = "seconds") -> float:
    """Bytes a second of wall time, or of CPU time ``per="cpu_seconds"``."""
    return run.input_bytes / float(run.measured.result[per])


def median_rate(runs: Sequence[Run], name: str) -> float | None:
    """Bytes a second of CPU time; none where no run of this name succeeded."""
    rates = [rate(run, per="cpu_seconds") for run in good(runs, name)]
    return median(rates) if rates else None


def _run(stage: str, setting: Setting, repetition: int) -> Run:
    shutil.rmtree(setting.scratch, ignore_errors=True)
    setting.scratch.mkdir(parents=True)
    os.sync()
    read_all(setting.shards)
    load, _, _ = os.getloadavg()
    command = [
        *(sys.executable, "-m", "benchmarks.stages", "--here", f"--only={stage}"),
        *(f"--shards={setting.shards}", f"--out={setting.scratch}"),
        *(f"--threads={setting.threads}", f"--memory={setting.memory}"),
    ]
    try:
        measured = measure(command)
    finally:
        shutil.rmtree(setting.scratch, ignore_errors=True)
    return Run(
        source=setting.shards.name,
        repetition=repetition,
        name=stage_name(stage, setting.threads),
        input_bytes=int(measured.result.get("bytes", 0)),
        output_bytes=0,
        files=int(measured.result.get("files", 0)),
        load=load,
        measured=measured,
    )


def summary(runs: Sequence[Run]) -> Table:
    """One line a stage and number of threads, of medians over the repetitions."""
    return table_of_runs(runs, f"{runs[0].source}: stages alone", _COLUMNS, _cells)


def _cells(mine: Sequence[Run]) -> list[str]:
    wall_s = median(run.measured.result["seconds"] for run in mine)
    files = mine[0].files
    return [
        f"{wall_s:.3f}",
        f"{median(run.measured.result['cpu_seconds'] for run in mine):.3f}",
        f"{median(rate(run) for run in mine) / 1e6:,.0f}",
        f"{(median_rate(mine, mine[0].name) or 0) / 1e6:,.0f}",
        f"{median(run.measured.peak_rss_bytes for run in mine) / 1e6:,.0f}",
        f"{files:,}" if files else "",
        f"{wall_s / files * 1e3:.2f}" if files else "",
    ]


if __name__ == "__main__":
    main()
