"""Shows that memory stays within the budget, however large the input.

``python -m benchmarks.memory --help`` says how.
"""

import shutil
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.inputs import OUT_FOLDER, SHARDS_FOLDER, Size, make_shards, plan_of_size
from benchmarks.processes import measure, program

_LEAST_TIMES_BUDGET = 5
_LIBRARIES = "import duckdb, polars, pyarrow.dataset, tensorflow"


@click.command
@click.option("--memory", type=Size(), default="500MB", show_default=True, help="The budget.")
@click.option(
    "--size",
    "sizes",
    type=Size(),
    multiple=True,
    default=["1GB", "3GB"],
    show_default=True,
    help="Inputs, about; the largest at least five times the budget.",
)
@click.option(
    "--shards",
    type=click.Path(path_type=Path, resolve_path=True),
    default=SHARDS_FOLDER,
    show_default=True,
    help="Where shards are made and kept.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, resolve_path=True),
    default=OUT_FOLDER,
    show_default=True,
    help="Where output goes; deleted after each run.",
)
def main(*, memory: int, sizes: tuple[int, ...], shards: Path, out: Path) -> None:
    """Convert inputs far larger than --memory and print the peak beside the budget."""
    if max(sizes) < _LEAST_TIMES_BUDGET * memory:
        raise click.UsageError(
            f"the largest --size, {max(sizes)} bytes, is less than {_LEAST_TIMES_BUDGET} times "
            f"--memory, {memory} bytes, and would show nothing; give a larger one"
        )
    table = Table(title=f"budget {memory / 1e6:,.0f} MB")
    for column in ("input MB", "peak MB", "peak - budget MB", "runs on disk", "wall s"):
        table.add_column(column, justify="right")
    libraries = measure([sys.executable, "-c", _LIBRARIES])
    table.add_row("libraries alone", libraries.error or f"{libraries.peak_rss_bytes / 1e6:,.0f}")
    failed = False
    for size in sizes:
        plan = plan_of_size(size)
        source = make_shards(shards, plan)
        target = out / "memory"
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            run = measure(program("--memory", str(memory), source, target))
        finally:
            shutil.rmtree(target, ignore_errors=True)
        failed |= run.error is not None
        table.add_row(
            f"{plan.size_bytes / 1e6:,.0f}",
            f"{run.peak_rss_bytes / 1e6:,.0f}",
            f"{(run.peak_rss_bytes - memory) / 1e6:,.0f}",
            run.error or str(run.result.get("runs_on_disk", "not told")),
            f"{run.wall_s:.1f}",
        )
    Console().print(table)
    sys.exit(failed)


if __name__ == "__main__":
    main()
