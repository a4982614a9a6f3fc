"""Measures that memory stays within the budget for any input, and what that costs.

``python -m benchmarks.memory --help`` says how.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table

from benchmarks.inputs import (
    Size,
    make_shards,
    out_option,
    plan_of_size,
    repeat_option,
    save_option,
    shards_option,
)
from benchmarks.names import DECODERS, KEYS, Choice, convert_name
from benchmarks.processes import measure
from benchmarks.run import run_once
from benchmarks.runs import Run, good, median_wall_s, peak_bytes, save
from benchmarks.versions import to_measure

_LEAST_TIMES_BUDGET = 4
_LIBRARIES = {
    "tensorflow": "import duckdb, polars, pyarrow.dataset, tensorflow",
    "wire": "import duckdb, polars, pyarrow.dataset",
}


@click.command
@click.option("--memory", type=Size(), default="500MB", show_default=True, help="The budget.")
@click.option(
    "--size",
    "sizes",
    type=Size(),
    multiple=True,
    default=["2GB", "8GB"],
    show_default=True,
    help="Inputs, about; the largest at least four times the budget.",
)
@click.option(
    "--keys",
    type=click.Choice(list(KEYS)),
    default="site_date",
    show_default=True,
    help="The Hive keys.",
)
@click.option(
    "--decoder",
    "decoders",
    type=Choice(DECODERS),
    default=list(DECODERS),
    help="Decode stages, by comma.  [default: all]",
)
@repeat_option
@shards_option
@out_option
@save_option
def main(  # noqa: PLR0913 - one parameter an option
    *,
    memory: int,
    sizes: tuple[int, ...],
    keys: str,
    decoders: list[str],
    repeat: int,
    shards: Path,
    out: Path,
    save_to: TextIO | None,
) -> None:
    """Convert inputs far larger than --memory; print peaks beside the budget, and times."""
    if max(sizes) < _LEAST_TIMES_BUDGET * memory:
        raise click.UsageError(
            f"the largest --size, {max(sizes)} bytes, is less than {_LEAST_TIMES_BUDGET} times "
            f"--memory, {memory} bytes, and would show nothing; give a larger one"
        )
    sources = [make_shards(shards, plan_of_size(size)) for size in sorted(sizes)]
    names = [convert_name(keys, decoder) for decoder in decoders]
    runs = []
    for run in within_budget(sources, out, names, memory, repeat):
        save(run, save_to)
        runs.append(run)
    console = Console(width=max(120, Console().width))
    console.print(summary(runs, memory))
    for decoder in decoders:
        alone = measure([sys.executable, "-c", _LIBRARIES[decoder]])
        peak = alone.error or f"{alone.peak_rss_bytes / 1e6:,.0f} MB"
        console.print(f"libraries alone, with {decoder}: {peak}")
    sys.exit(any(run.measured.error for run in runs))


def within_budget(
    sources: Sequence[Path], out: Path, names: Sequence[str], memory: int, repeat: int
) -> Iterator[Run]:
    """Converts every input in every way within a budget of ``memory`` bytes, again and again."""
    for repetition in range(repeat):
        for contender in to_measure(names, options=["--memory", str(memory)]):
            for source in sources:
                run = run_once(contender, source, out / "output", repetition)
                told = run.measured.error or f"{run.measured.wall_s:.1f} s"
                click.echo(
                    f"{repetition + 1}/{repeat} {contender.name} {source.name}: {told}", err=True
                )
                yield run


def of_source(runs: Sequence[Run], source: str) -> list[Run]:
    """Those that converted one input."""
    return [run for run in runs if run.source == source]


def time_ratio(runs: Sequence[Run], name: str, source: str, base: str) -> float | None:
    """How much longer an input takes than another, each repetition compared with itself."""
    base_s = {r.repetition: r.measured.wall_s for r in of_source(good(runs, name), base)}
    ratios = [
        run.measured.wall_s / base_s[run.repetition]
        for run in of_source(good(runs, name), source)
        if run.repetition in base_s
    ]
    return median(ratios) if ratios else None


def summary(runs: Sequence[Run], memory: int) -> Table:
    """One line a conversion and input, of medians over the repetitions, but for the peak."""
    table = Table(title=f"budget {memory / 1e6:,.0f} MB")
    table.add_column("conversion")
    columns = ("input MB", "peak MB", "peak - budget MB", "runs on disk", "wall s", "CPU s")
    for column in (*columns, "of smallest"):
        table.add_column(column, justify="right")
    sources = list(dict.fromkeys(run.source for run in runs))
    for name in dict.fromkeys(run.name for run in runs):
        for source in sources:
            table.add_row(name, *_cells(runs, name, source, sources[0], memory))
    return table


def _cells(runs: Sequence[Run], name: str, source: str, base: str, memory: int) -> list[str]:
    mine = of_source(good(runs, name), source)
    if not mine:
        failed = [run for run in of_source(runs, source) if run.name == name]
        return [f"{failed[0].input_bytes / 1e6:,.0f}", failed[0].measured.error or ""]
    peak = peak_bytes(mine, name) or 0
    ratio = time_ratio(runs, name, source, base)
    return [
        f"{mine[0].input_bytes / 1e6:,.0f}",
        f"{peak / 1e6:,.0f}",
        f"{(peak - memory) / 1e6:,.0f}",
        str(mine[0].measured.result.get("runs_on_disk", "not told")),
        f"{median_wall_s(mine, name):.1f}",
        f"{median(run.measured.cpu_s for run in mine):.1f}",
        "" if ratio is None else f"{ratio:.2f} x",
    ]


if __name__ == "__main__":
    main()
