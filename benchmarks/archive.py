"""Plans conversions of simulated archives, and runs their merge without embeddings.

``python -m benchmarks.archive --help`` says how.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from a20_parquet.cli.print_plan import print_plan
from a20_parquet.conversion.memory import MemoryPlan
from a20_parquet.conversion.options import ConvertOptions, EmbeddingsIn
from a20_parquet.decoding.decoder import DecoderName
from a20_parquet.errors import UsageError
from a20_parquet.planning.advice import advise
from a20_parquet.planning.forecast import forecast, memory_plan
from a20_parquet.planning.plan import ConversionPlan
from a20_parquet.planning.speeds import Speeds
from a20_parquet.runs.merge_plan import UNIT_BYTES, MergePlan, plan_merge, unit_rows
from a20_parquet.windows.order import Partitions
from a20_parquet.windows.partition import PartitionBy
from benchmarks.inputs import Size
from benchmarks.simulated import DrawnRun, Simulated, Walked, draw_runs, walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What planning a merge gave, and what its ranges would ask for."""

    by: PartitionBy
    memory: int
    runs: int
    partitions: int
    ranges: int
    slices: int
    slice_bytes: tuple[int, int, int]
    """Smallest, median and largest of those that are not empty."""
    block_bytes: int
    metadata_reads: int
    embedding_reads: int
    read_bytes: int
    """Embeddings of the median read."""
    plan_s: float
    plan_bytes: int
    """Of the plan itself."""
    index_bytes: int
    """Of the partitions of all runs, if they were held together."""
    peak_bytes: int
    """Of the process so far."""


def simulate(simulated: Simulated, options: ConvertOptions, walked: int) -> Figures:
    """Plan a merge with one worker's share of memory, and walk some of its ranges.

    Raises:
        UsageError: the memory does not suffice.
    """
    archive = simulated.archive(options)
    memory = memory_plan(archive, options, cluster=True)
    runs = draw_runs(simulated, archive, memory)
    row_bytes = archive.table.row_bytes
    begun = time.perf_counter()
    plan = plan_merge(
        runs,
        rows_per_file=archive.table.rows_per_file,
        rows_per_unit=unit_rows(UNIT_BYTES // row_bytes, len(runs)),
    )
    plan_s = time.perf_counter() - begun
    slices = np.diff(plan.bounds, axis=0)
    slices = slices[slices > 0] * row_bytes
    found = list(_walk_some(runs, plan, memory, walked, options.row_group_rows))
    scale = plan.rows.sum() / max(sum(each.rows for each in found), 1)
    smallest, median, largest = np.quantile(slices, [0, 0.5, 1]).astype(int).tolist()
    read_rows = np.median([each.median_read_rows for each in found])
    return Figures(
        by=options.partition_by,
        memory=options.memory,
        runs=len(runs),
        partitions=len(plan.partitions),
        ranges=len(plan),
        slices=len(slices),
        slice_bytes=(smallest, median, largest),
        block_bytes=memory.block_rows_of(len(runs)) * row_bytes,
        metadata_reads=round(scale * sum(each.metadata_reads for each in found)),
        embedding_reads=round(scale * sum(each.embedding_reads for each in found)),
        read_bytes=round(float(read_rows) * row_bytes),
        plan_s=plan_s,
        plan_bytes=plan.bounds.nbytes,
        index_bytes=_bytes_of(runs[0].partitions) * len(runs),
        peak_bytes=_peak_bytes(),
    )


def _walk_some(
    runs: Sequence[DrawnRun], plan: MergePlan, memory: MemoryPlan, count: int, row_group_rows: int
) -> Iterator[Walked]:
    for place in range(min(count, len(plan))):
        unit = plan[place * len(plan) // count]
        yield walk(runs, unit, memory, row_group_rows)


def _bytes_of(run: Partitions) -> int:
    return int(run.site.nbytes + run.period.nbytes + run.rows.nbytes)


def _peak_bytes() -> int:
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


@click.command
@click.option("--shards", default=37_400, show_default=True, help="Of the archive.")
@click.option("--shard-size", type=Size(), default="195MB", show_default=True, help="Of each.")
@click.option("--sites", default=340, show_default=True, help="Recorders.")
@click.option("--days", default=1100, show_default=True, help="That each recorded.")
@click.option(
    "--memory",
    "memories",
    type=Size(),
    multiple=True,
    default=["500MB", "4GB", "16GB"],
    show_default=True,
    help="Of a worker.",
)
@click.option(
    "--partition-by",
    "keys",
    type=click.Choice([by.value for by in PartitionBy]),
    multiple=True,
    default=["site,date"],
    show_default=True,
    help="Hive keys.",
)
@click.option("--walk", "walked", default=1, show_default=True, help="Ranges to walk of each.")
@click.option("--plan", "plans", is_flag=True, help="Print what a20-parquet plan would, no more.")
@click.option("--workers", default=50, show_default=True, help="For --plan.")
@click.option("--cluster/--here", default=True, help="For --plan: whether they are a cluster's.")
@click.option("--rate", default=100.0, show_default=True, help="For --plan: MB/s of a worker.")
@click.option(
    "--embeddings",
    type=click.Choice([EmbeddingsIn.LOCATED.value, EmbeddingsIn.COPIED.value]),
    default=EmbeddingsIn.LOCATED.value,
    show_default=True,
    help="For --plan --here: where they are.",
)
def main(  # noqa: PLR0913 - one parameter an option
    *,
    shards: int,
    shard_size: int,
    sites: int,
    days: int,
    memories: tuple[int, ...],
    keys: tuple[str, ...],
    walked: int,
    plans: bool,
    workers: int,
    cluster: bool,
    rate: float,
    embeddings: str,
) -> None:
    """Plan the merge of a whole archive for several budgets and keys, and walk some of it."""
    simulated = Simulated(shards=shards, shard_bytes=shard_size, sites=sites, days=days)
    figures: list[Figures] = []
    for key, memory in product(keys, memories):
        options = ConvertOptions.parse(
            {
                "partition_by": key,
                "memory": memory,
                "workers": workers,
                "decoder": DecoderName.WIRE,
                "embeddings": embeddings,
            }
        )
        try:
            if plans:
                archive = simulated.archive(options, cluster=cluster)
                found = forecast(archive, options, Speeds.of_rate(rate * 1e6), cluster=cluster)
                advice = tuple(advise(archive, options, found))
                print_plan(ConversionPlan(found, advice), as_json=False)
            else:
                figures.append(simulate(simulated, options, walked))
        except UsageError as error:
            click.echo(f"{key}, {memory / 1e9:g} GB: {error}", err=True)
    if figures:
        title = f"{shards:,} shards of {shard_size / 1e6:,.0f} MB, {sites} sites, {days:,} days"
        Console(width=max(110, Console().width)).print(summary(title, figures))


def summary(title: str, figures: Sequence[Figures]) -> Table:
    """One column a choice of keys and budget."""
    table = Table(title=title)
    table.add_column("")
    for each in figures:
        table.add_column(f"{each.by}, {each.memory / 1e9:g} GB", justify="right")
    for name, cells in {
        "runs": [f"{each.runs:,}" for each in figures],
        "partitions": [f"{each.partitions:,}" for each in figures],
        "ranges": [f"{each.ranges:,}" for each in figures],
        "slices": [f"{each.slices:,}" for each in figures],
        "slice kB, least": [f"{each.slice_bytes[0] / 1e3:,.0f}" for each in figures],
        "slice kB, median": [f"{each.slice_bytes[1] / 1e3:,.0f}" for each in figures],
        "slice kB, most": [f"{each.slice_bytes[2] / 1e3:,.0f}" for each in figures],
        "room for kB of a run": [f"{each.block_bytes / 1e3:,.0f}" for each in figures],
        "reads of metadata": [f"{each.metadata_reads:,}" for each in figures],
        "reads of embeddings": [f"{each.embedding_reads:,}" for each in figures],
        "kB each": [f"{each.read_bytes / 1e3:,.0f}" for each in figures],
        "planned in s": [f"{each.plan_s:.0f}" for each in figures],
        "plan MB": [f"{each.plan_bytes / 1e6:,.0f}" for each in figures],
        "all indexes MB": [f"{each.index_bytes / 1e6:,.0f}" for each in figures],
        "peak MB so far": [f"{each.peak_bytes / 1e6:,.0f}" for each in figures],
    }.items():
        table.add_row(name, *cells)
    return table


if __name__ == "__main__":
    main()
