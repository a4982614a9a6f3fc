"""Compares queries on a dataset with other ways to run them.

``python -m benchmarks.queries DATASET`` runs each contender in a process of its own, interleaved
and repeated, and prints medians. Imports are not counted.
"""

import json
import math
import multiprocessing
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.processes import Measured, measure
from benchmarks.query_ways import WAYS, prepare

_TOLERANCE = 1e-5


@click.command()
@click.argument("dataset", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True, help="Rounds.")
@click.option("--only", default="", help="Only groups whose name contains this text.")
@click.option("--run", "name", hidden=True, help="One contender, GROUP/NAME, in this process.")
def main(dataset: Path, repeat: int, only: str, name: str | None) -> None:
    """Time queries on DATASET beside other ways to run them."""
    if name is not None:
        click.echo(json.dumps(timed(name, dataset)))
        return
    # In a process of its own: its memory here would be counted as every contender's peak.
    with multiprocessing.get_context("spawn").Pool(1) as process:
        process.apply(prepare, (dataset,))
    size = sum(file.stat().st_size for file in (dataset / "data").rglob("*.parquet"))
    for group, ways in WAYS.items():
        if only not in group:
            continue
        runs: dict[str, list[Measured]] = {way: [] for way in ways}
        for _ in range(repeat):
            for way, measured in runs.items():
                command = [sys.executable, "-m", "benchmarks.queries", str(dataset)]
                measured.append(measure([*command, "--run", f"{group}/{way}"]))
                if error := measured[-1].error:
                    raise click.ClickException(f"{group}, {way}: {error}")
        click.echo(table(group, runs, size))


def timed(name: str, dataset: Path) -> dict[str, Any]:
    """Runs one query, imports not counted; its times in seconds and its answer."""
    group, _, way = name.partition("/")
    work = WAYS[group][way]
    for module in (
        "a20_parquet.query.connect",
        "a20_parquet.query.read_numpy",
        "a20_parquet.query.scan",
        "a20_parquet.query.similar",
        "a20_parquet.query.take",
        "duckdb",
        "pyarrow.dataset",
    ):
        __import__(module)
    cpu_s, begun_s = time.process_time(), time.perf_counter()
    answer = work(dataset)
    return {
        "seconds": time.perf_counter() - begun_s,
        "cpu_seconds": time.process_time() - cpu_s,
        "answer": answer,
    }


def same(answers: Sequence[Any]) -> bool:
    """Whether all answers are the same, but for what rounding does to a cosine."""
    first = answers[0]
    if not isinstance(first, list):
        return all(answer == first for answer in answers)
    return all(
        len(answer) == len(first)
        and all(map(lambda a, b: math.isclose(a, b, abs_tol=_TOLERANCE), answer, first))
        for answer in answers
    )


def table(group: str, runs: Mapping[str, Sequence[Measured]], size: int) -> str:
    """One line a way, of medians; ratios are to the first way.

    Raises:
        click.ClickException: They gave different answers.
    """
    answers = {way: measured[0].result["answer"] for way, measured in runs.items()}
    if not same(list(answers.values())):
        raise click.ClickException(f"{group}: answers differ: {answers}")
    columns = f"\n| {group} | s | CPU s | process s | MB/s | first is faster by | peak MB |"
    lines = [columns, "|---" * 7 + "|"]
    ours_s = None
    for way, measured in runs.items():
        wall_s = statistics.median(each.result["seconds"] for each in measured)
        cpu_s = statistics.median(each.result["cpu_seconds"] for each in measured)
        process_s = statistics.median(each.wall_s for each in measured)
        ours_s = ours_s or wall_s
        peak = max(each.peak_rss_bytes for each in measured)
        lines.append(
            f"| {way} | {wall_s:.3f} | {cpu_s:.3f} | {process_s:.2f} | {size / wall_s / 1e6:.0f} | "
            f"{wall_s / ours_s:.2f} x | {peak / 1e6:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
