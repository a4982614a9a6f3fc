"""The shards to measure with: made once, kept, and found again by the name of their layout."""

import multiprocessing
import re
import tempfile
from pathlib import Path
from typing import Any

import click
from pydantic import ByteSize, TypeAdapter, ValidationError

from a20_parquet.demo.shards import DemoPlan, write_demo_shards

SHARDS_FOLDER = Path(tempfile.gettempdir()) / "a20-parquet-benchmarks" / "shards"
OUT_FOLDER = Path(tempfile.gettempdir()) / "a20-parquet-benchmarks" / "out"

shards_option = click.option(
    "--shards",
    type=click.Path(path_type=Path, resolve_path=True),
    default=SHARDS_FOLDER,
    show_default=True,
    help="Where shards are made and kept; a folder that holds shards itself is measured as it is.",
)
out_option = click.option(
    "--out",
    type=click.Path(path_type=Path, resolve_path=True),
    default=OUT_FOLDER,
    show_default=True,
    help="Where output goes; deleted after each run.",
)
repeat_option = click.option(
    "--repeat", type=click.IntRange(1), default=3, show_default=True, help="Rounds."
)
save_option = click.option(
    "--save",
    "save_to",
    type=click.File("a"),
    help="Append every run to this file, one JSON line.",
)

_READ_BYTES = 1 << 20
_LAYOUT = re.compile(r"(\d+)x(?:(\d+)x)?(\d+[a-zA-Z]*)")
_SHARD_BYTES = 200_000_000
_FEWEST_SHARDS = 4
_PARTITION_BYTES = 430_000


class Size(click.ParamType[int]):
    """A number of bytes: ``3GB``, ``64MiB`` or ``1000``."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """Turns what was typed into bytes."""
        try:
            return int(TypeAdapter(ByteSize).validate_python(value))
        except ValidationError:
            self.fail(f"{value!r} is no size; write it as 3GB or 64MiB", param, ctx)


class Layout(click.ParamType[DemoPlan]):
    """How shards fall into (site, date) partitions.

    ``7000x430KB`` is that many partitions of that size, of about as many sites as days;
    ``24x300x430KB`` says sites and days itself.
    """

    name = "layout"

    def convert(self, value: Any, param: Any, ctx: Any) -> DemoPlan:
        """Turns what was typed into a plan of shards."""
        match = _LAYOUT.fullmatch(value)
        if not match:
            self.fail(f"{value!r} is no layout; write 7000x430KB or 24x300x430KB", param, ctx)
        first, second, each = match.groups()
        partition_bytes = Size().convert(each, param, ctx)
        if second:
            return plan(int(first), int(second), partition_bytes)
        return plan_of_layout(int(first), partition_bytes)


def plan(recorders: int, days: int, partition_bytes: int) -> DemoPlan:
    """The plan of ``recorders`` by ``days`` partitions of ``partition_bytes`` each."""
    size_bytes = recorders * days * partition_bytes
    shards = max(_FEWEST_SHARDS, round(size_bytes / _SHARD_BYTES))
    return DemoPlan(size_bytes=size_bytes, shards=shards, recorders=recorders, days=days)


def plan_of_layout(partitions: int, partition_bytes: int) -> DemoPlan:
    """The plan of so many partitions, of about as many sites as days."""
    recorders = max(1, round(partitions**0.5))
    return plan(recorders, max(1, round(partitions / recorders)), partition_bytes)


def plan_of_size(size_bytes: int) -> DemoPlan:
    """The plan of about ``size_bytes`` in partitions of 430 KB, which the A2O's sample has."""
    return plan_of_layout(max(1, size_bytes // _PARTITION_BYTES), _PARTITION_BYTES)


def find_shards(folder: Path) -> list[Path]:
    """The shards of a folder, in the order of their names."""
    return sorted(folder.glob("embeddings-*"))


def read_all(folder: Path) -> int:
    """Reads the shards of a folder into the page cache, and tells how many bytes they have."""
    buffer = bytearray(_READ_BYTES)
    total = 0
    for shard in find_shards(folder):
        with open(shard, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                total += count
    return total


def make_shards(folder: Path, plan: DemoPlan) -> Path:
    """Writes the plan's shards below ``folder``, unless they are there already.

    Returns:
        The folder that holds them.
    """
    size_mb = round(plan.size_bytes / 1e6)
    shards = folder / f"{plan.recorders}-sites-{plan.days}-days-{size_mb}-MB"
    # Perch's config is written last: where it lies, the shards are whole.
    if not (shards / "config.json").exists():
        click.echo(f"writing {size_mb:,} MB of shards to {shards}", err=True)
        # In a process of its own: TensorFlow's memory here would be counted as the peak of every
        # process that is started and measured later.
        with multiprocessing.get_context("spawn").Pool(1) as process:
            process.apply(write_demo_shards, (shards, plan))
    return shards
