"""Measures all promised figures, and prints each beside its promise.

``python -m benchmarks.targets --help`` says how.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table

from benchmarks import memory, run, stages
from benchmarks.inputs import (
    make_shards,
    out_option,
    plan_of_layout,
    plan_of_size,
    repeat_option,
    save_option,
    shards_option,
)
from benchmarks.promises import (
    STAGE,
    Measurements,
    Verdict,
    budget_names,
    promises,
    small_names,
    usual_names,
)
from benchmarks.runs import Run, save
from benchmarks.versions import to_measure
from benchmarks.work import Setting

_PARTITIONS = 7_000
_USUAL_BYTES, _SMALL_BYTES = 430_000, 100_000
_BUDGET_BYTES = 500_000_000
_BEYOND_BYTES = (2_000_000_000, 8_000_000_000)
_STAGE_BYTES = 1_000_000_000


@click.command
@click.option(
    "--scale",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Of all inputs and of the budget: less for a trial, whose figures mean little.",
)
@repeat_option
@shards_option
@out_option
@save_option
def main(*, scale: float, repeat: int, shards: Path, out: Path, save_to: TextIO | None) -> None:
    """Measure every promised figure; exit with 1 where one is not kept."""

    def kept(runs: Iterable[Run]) -> list[Run]:
        done = []
        for each in runs:
            save(each, save_to)
            done.append(each)
        return done

    budget = round(_BUDGET_BYTES * scale)
    usual, small = (
        make_shards(shards, plan_of_layout(round(_PARTITIONS * scale), each))
        for each in (_USUAL_BYTES, _SMALL_BYTES)
    )
    measurements = Measurements(
        usual=kept(run.interleaved(usual, out, list(to_measure(usual_names())), repeat)),
        small=kept(run.interleaved(small, out, list(to_measure(small_names())), repeat)),
        budget=kept(
            memory.within_budget(
                [make_shards(shards, plan_of_size(round(size * scale))) for size in _BEYOND_BYTES],
                out,
                budget_names(),
                budget,
                repeat,
            )
        ),
        budget_bytes=budget,
        stages=kept(
            stages.interleaved(
                [
                    Setting(
                        shards=make_shards(shards, plan_of_size(round(_STAGE_BYTES * scale))),
                        scratch=out / "stage",
                        threads=1,
                        memory=budget,
                    )
                ],
                [STAGE],
                repeat,
            )
        ),
    )
    verdicts = [promise.judge(measurements) for promise in promises()]
    console = Console(width=max(140, Console().width))
    for runs in (measurements.usual, measurements.small):
        console.print(run.summary(runs))
    console.print(memory.summary(measurements.budget, budget))
    console.print(stages.summary(measurements.stages))
    console.print(_table(verdicts))
    sys.exit(not all(verdict.is_kept for verdict in verdicts))


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="measured beside promised")
    table.add_column("figure")
    for column in ("measured", "promised", "kept"):
        table.add_column(column, justify="right")
    for verdict in verdicts:
        measured = "failed" if verdict.measured is None else f"{verdict.measured:,.2f}"
        kept = "yes" if verdict.is_kept else "no"
        table.add_row(verdict.figure, measured, verdict.promised, kept)
    return table


if __name__ == "__main__":
    main()
