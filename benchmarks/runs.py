"""Measured runs, and figures computed from them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TextIO

from rich.table import Table

from benchmarks.processes import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process that did its work once."""

    source: str
    """Which shards."""
    repetition: int
    """From 0."""
    name: str
    """What was run."""
    input_bytes: int
    output_bytes: int
    files: int
    """That it left."""
    load: float
    """Processes that ran or waited in the minute before it, on average."""
    measured: Measured


def save(run: Run, file: TextIO | None) -> None:
    """Appends a run to a file as one JSON line, where there is a file."""
    if file:
        file.write(json.dumps(asdict(run)) + "\n")
        file.flush()


def good(runs: Sequence[Run], name: str) -> list[Run]:
    """The runs of this name that did not fail."""
    return [run for run in runs if run.name == name and run.measured.error is None]


def median_wall_s(runs: Sequence[Run], name: str) -> float | None:
    """Median wall time in seconds; none where none succeeded."""
    walls_s = [run.measured.wall_s for run in good(runs, name)]
    return median(walls_s) if walls_s else None


def times_as_fast(runs: Sequence[Run], name: str, other: str) -> float | None:
    """How many times the other's speed by wall time, each repetition compared with itself.

    Returns:
        The median of the repetitions in which both succeeded; none without any.
    """
    others_s = {run.repetition: run.measured.wall_s for run in good(runs, other)}
    ratios = [
        others_s[run.repetition] / run.measured.wall_s
        for run in good(runs, name)
        if run.repetition in others_s
    ]
    return median(ratios) if ratios else None


def peak_bytes(runs: Sequence[Run], name: str) -> int | None:
    """The largest resident memory of all runs of this name; none where none succeeded."""
    return max((run.measured.peak_rss_bytes for run in good(runs, name)), default=None)


def scratch_bytes(run: Run) -> int | None:
    """Bytes written beyond the output, such as sorted runs; None if the system counts none."""
    written = run.measured.written_bytes
    return None if written is None else max(0, written - run.output_bytes)


def output_ratio(runs: Sequence[Run], name: str, other: str) -> float | None:
    """How large a contender's output is beside another's, each the median of its runs."""
    mine, others = good(runs, name), good(runs, other)
    if not mine or not others:
        return None
    return median(run.output_bytes for run in mine) / median(run.output_bytes for run in others)


def table_of_runs(
    runs: Sequence[Run],
    title: str,
    columns: Sequence[str],
    cells: Callable[[list[Run]], Sequence[str]],
) -> Table:
    """One line a name, in the order of appearance; of one that always failed, its last words.

    Args:
        runs: all of them.
        title: of the table; how many repetitions there were is added.
        columns: what the first one holds, which is names, and what the others hold.
        cells: of the good runs of a name, which are one or more.
    """
    repetitions = 1 + max(run.repetition for run in runs)
    table = Table(title=f"{title}, median of {repetitions}")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    for name in dict.fromkeys(run.name for run in runs):
        failed = [run.measured.error or "" for run in runs if run.name == name]
        mine = good(runs, name)
        table.add_row(name, *(cells(mine) if mine else failed[:1]))
    return table
