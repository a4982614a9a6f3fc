"""Compares the forecasts of ``a20-parquet plan`` with conversions.

``python -m benchmarks.forecast --help`` says how.
"""

import gzip
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, TypeVar
from unittest.mock import patch

import click
import numpy as np
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

import a20_parquet
from a20_parquet.conversion import merge_pass
from a20_parquet.progress import NoProgress
from a20_parquet.runs.merge_plan import MergePlan, plan_merge
from a20_parquet.windows.partition import PartitionBy
from benchmarks.inputs import (
    Size,
    find_shards,
    make_shards,
    out_option,
    plan_of_size,
    repeat_option,
    shards_option,
)

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure."""

    figure: str
    forecast: float
    actual: float

    @property
    def off(self) -> float:
        """By what part of the actual figure the forecast is too high."""
        return self.forecast / self.actual - 1 if self.actual else 0.0


class _Watched(NoProgress):
    """Looks at a conversion while it runs: what it keeps on scratch is gone at its end.

    Attributes:
        scratch_bytes: of all runs.
        merge: how the second pass was divided.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch_bytes = 0
        self.merge: MergePlan | None = None
        self._scratch = scratch

    def start(self, name: str, total_bytes: int) -> None:
        """Look at the scratch folder before the second pass."""
        del total_bytes
        if name == "writing Parquet":
            files = [path for path in self._scratch.rglob("*") if path.is_file()]
            self.scratch_bytes = sum(path.stat().st_size for path in files)

    def plan_merge(self, *arguments: Any, **named: Any) -> MergePlan:
        """Plan, and note the plan."""
        self.merge = plan_merge(*arguments, **named)
        return self.merge


def compare(
    source: Path, out: Path, sample: int, *, repeat: int = 1, **options: Any
) -> list[Compared]:
    """Forecast a conversion, do it, and put the figures side by side.

    Args:
        source: a folder of shards.
        out: where to convert to; deleted first.
        sample: how many records the forecast may read.
        repeat: how often; the seconds are medians.
        options: of the conversion.
    """
    options = {"decoder": "wire", "scratch": out / "scratch", **options}
    forecasts, seconds = [], []
    for _ in range(repeat):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        found = a20_parquet.plan(source, sample=sample, **options).forecast
        watched = _Watched(out / "scratch")
        with patch.object(merge_pass, "plan_merge", watched.plan_merge):
            conversion = a20_parquet.convert(source, out / "dataset", progress=watched, **options)
        forecasts.append(found.seconds)
        seconds.append(conversion.seconds)
    merge, totals = watched.merge, conversion.totals
    if merge is None:
        raise click.UsageError(f"{out} was converted without a merge")
    sizes = pq.read_table(out / "dataset" / "files.parquet").column("bytes").to_pylist()
    slices = np.concatenate([np.diff(unit.slices, axis=1)[:, 0] for unit in merge])
    slices = slices[slices > 0]
    key = found.key
    return [
        Compared("records", found.records, totals.records),
        Compared("windows", found.windows, totals.windows),
        Compared("sites", found.sites.number, totals.sites),
        Compared("runs", found.sort.runs, conversion.runs_on_disk),
        Compared("bytes on scratch", found.scratch_bytes, watched.scratch_bytes),
        Compared("ranges", found.merge.ranges, len(merge)),
        Compared("slices", found.merge.slices, len(slices)),
        Compared("bytes of a slice", found.way.slice_bytes, slices.mean() * found.dims * 4),
        Compared("partitions", key.partitions, len(merge.partitions)),
        Compared("files", key.files, len(sizes)),
        Compared("bytes of the median file", key.median_file_bytes, median(sizes)),
        Compared("bytes of all files", key.bytes, sum(sizes)),
        Compared("seconds", median(forecasts), median(seconds)),
    ]


def make_shape(folder: Path, size: int, shape: str) -> Path:
    """Write shards of a shape, unless they are there already; return their folder."""
    if shape == "large":
        return make_shards(folder / shape, replace(plan_of_size(size), channels=5))
    plain = make_shards(folder, plan_of_size(size))
    if shape == "small":
        return plain
    compressed = folder / shape / plain.name
    compressed.mkdir(parents=True, exist_ok=True)
    for path in plain.iterdir():
        target = compressed / path.name
        if not target.exists():
            content = path.read_bytes()
            is_shard = path.name.startswith("embeddings-")
            target.write_bytes(gzip.compress(content, 1) if is_shard else content)
    return compressed


def _several(
    name: str, values: list[str], default: list[str], words: str
) -> Callable[[Command], Command]:
    """Make an option that may be given again."""
    return click.option(
        name,
        type=click.Choice(values),
        multiple=True,
        default=default,
        show_default=True,
        help=words,
    )


@click.command
@click.option("--size", type=Size(), default="3GB", show_default=True, help="Input, about.")
@click.option("--memory", type=Size(), default="500MB", show_default=True, help="The budget.")
@_several(
    "--partition-by",
    [by.value for by in PartitionBy],
    ["site,date", "site,month"],
    "Hive keys.",
)
@_several(
    "--shape",
    ["small", "large", "gzip"],
    ["small"],
    "Records of 12 windows, of 60, or compressed shards.",
)
@_several("--embeddings", ["located", "copied"], ["copied"], "Where they are.")
@_several("--decoder", ["wire", "tensorflow"], ["wire"], "What decodes.")
@click.option("--sample", default=4000, show_default=True, help="Records that are read.")
@repeat_option
@shards_option
@out_option
def main(  # noqa: PLR0913 - one parameter an option
    *, size: int, memory: int, sample: int, repeat: int, shards: Path, out: Path, **ways: Any
) -> None:
    """Plan a conversion, convert, and print forecast and outcome side by side."""
    for shape in ways["shape"]:
        source = shards if find_shards(shards) else make_shape(shards, size, shape)
        for key, where, decoder in product(
            ways["partition_by"], ways["embeddings"], ways["decoder"]
        ):
            options = {"partition_by": key, "embeddings": where, "decoder": decoder}
            try:
                compared = compare(
                    source, out / "forecast", sample, repeat=repeat, memory=memory, **options
                )
            finally:
                shutil.rmtree(out / "forecast", ignore_errors=True)
            title = f"{shape} {source.name}, {key}, {where}, {decoder}"
            Console(width=max(80, Console().width)).print(summary(title, compared))


def summary(title: str, compared: Sequence[Compared]) -> Table:
    """One line a figure."""
    table = Table(title=title)
    table.add_column("")
    for column in ("forecast", "actual", "off by"):
        table.add_column(column, justify="right")
    for each in compared:
        digits = 1 if each.figure == "seconds" else 0
        told = (f"{number:,.{digits}f}" for number in (each.forecast, each.actual))
        table.add_row(each.figure, *told, f"{each.off:+.1%}")
    return table


if __name__ == "__main__":
    main()
