"""Measures read-ahead with a store that answers slowly over slow connections.

``python -m benchmarks.streaming`` reads an object of a simulated store in several ways, and looks
at the beginnings of many shards one after the other and as a conversion does it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import click
import crc32c
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
from rich.console import Console
from rich.table import Table

from a20_parquet.conversion.detect import detect_schema
from a20_parquet.decoding.decoder import make_decoder
from a20_parquet.storage.read_ahead import BLOCK_BYTES, READ_AHEAD, BlockStream, Prefetch
from a20_parquet.tfrecord.shard import Shard
from a20_parquet.windows.filenames.parse import FilenameRules
from benchmarks.inputs import (
    Size,
    find_shards,
    make_shards,
    plan_of_size,
    repeat_option,
    shards_option,
)

_MIB = 1 << 20
_HEAD_BYTES = 1 << 16
_SHARDS_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Link:
    """The way to a store."""

    latency_s: float
    """From a request to its first byte."""
    rate: int
    """Bytes a second of each connection."""


class SlowStore(AbstractFileSystem):  # type: ignore[misc]  # fsspec is untyped
    """A store in memory behind a link; whatever it is called, there is one object."""

    cachable = False

    def __init__(self, content: bytes, link: Link) -> None:
        super().__init__()
        self.size = len(content)
        self._content = content
        self._link = link

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What there is."""
        return {"name": path, "size": self.size, "type": "file"}

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        """Send a range, as fast as one connection can."""
        del path
        sent = self._content[start:end]
        time.sleep(self._link.latency_s + len(sent) / self._link.rate)
        return sent

    def _open(self, path: str, **options: Any) -> Any:
        return _File(self, path, cache_type="readahead", block_size=options["block_size"])


class _File(AbstractBufferedFile):  # type: ignore[misc]  # fsspec is untyped
    def _fetch_range(self, start: int, end: int) -> bytes:
        content: bytes = self.fs.cat_file(self.path, start, end)
        return content


@click.command
@click.option("--size", type=Size(), default="200MB", show_default=True, help="Of the object.")
@click.option("--latency", type=float, default=50, show_default=True, help="In milliseconds.")
@click.option(
    "--rate", type=Size(), default="100MB", show_default=True, help="Of a connection, a second."
)
@click.option(
    "--block",
    "blocks",
    type=Size(),
    multiple=True,
    default=["1MiB", "8MiB"],
    show_default=True,
    help="Bytes of a request.",
)
@click.option("--looks", type=click.IntRange(2), default=200, show_default=True, help="Shards.")
@repeat_option
@shards_option
def main(  # noqa: PLR0913 - one parameter an option
    *,
    size: int,
    latency: float,
    rate: int,
    blocks: tuple[int, ...],
    looks: int,
    repeat: int,
    shards: Path,
) -> None:
    """Read and look in each way in turn, again and again, and print medians."""
    source = shards if find_shards(shards) else make_shards(shards, plan_of_size(_SHARDS_BYTES))
    link = Link(latency / 1e3, rate)
    console = Console(width=max(100, Console().width))
    store = SlowStore(repeated(find_shards(source)[0].read_bytes(), size), link)
    console.print(reading_table(rounds(reading_ways(store, blocks), repeat), store.size))
    console.print(looking_table(rounds(looking_ways(store, looks), repeat), looks))


def repeated(content: bytes, size: int) -> bytes:
    """A shard's records again and again: a shard of at least ``size`` bytes."""
    return content * -(-size // len(content))


def rounds(ways: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """The median seconds of each way; all must give the same."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    given = set()
    for _, (name, way) in product(range(repeat), ways.items()):
        begun_s = time.perf_counter()
        given.add(way())
        seconds[name].append(time.perf_counter() - begun_s)
        click.echo(f"{name}: {seconds[name][-1]:.2f} s", err=True)
    if len(given) > 1:
        raise click.ClickException(f"the ways differ: {given}")
    return {name: median(each) for name, each in seconds.items()}


def reading_ways(store: SlowStore, blocks: Sequence[int]) -> dict[str, Callable[[], object]]:
    """Ways to read the object, each giving its checksum."""

    def stream(ahead: Prefetch) -> BlockStream:
        return BlockStream("slow://object", store.size, partial(store.cat_file, "object"), ahead)

    ways: dict[str, Callable[[], object]] = {}
    for block in blocks:
        told = f"{block / _MIB:g} MiB"
        ways[f"{told}, one after the other"] = partial(_plain_sum, store, block)
        ways[f"{told}, fsspec's own file"] = lambda block=block: _sum(  # type: ignore[misc]
            store.open("object", block_size=block)
        )
        for ahead in (2, READ_AHEAD, 2 * READ_AHEAD):
            ways[f"{told}, {ahead} ahead"] = lambda block=block, ahead=ahead: _sum(  # type: ignore[misc]
                stream(Prefetch(block, ahead))
            )
    return ways


def looking_ways(store: SlowStore, looks: int) -> dict[str, Callable[[], object]]:
    """Ways to look at the beginnings of so many shards, each giving how many it looked at."""
    shards = [
        Shard(f"shard-{place}", f"slow://{place}", place, str(place), store.size, store)
        for place in range(looks)
    ]
    make = partial(make_decoder, "wire")

    def one_after_the_other() -> int:
        return sum(bool(store.cat_file(shard.path, 0, _HEAD_BYTES)) for shard in shards)

    def as_a_conversion() -> int:
        found = detect_schema(shards, make, FilenameRules(), dims=None, features=())
        return len(found.codecs)

    return {"one after the other": one_after_the_other, "as a conversion does": as_a_conversion}


def _plain_sum(store: SlowStore, block: int) -> int:
    checksum = 0
    for start in range(0, store.size, block):
        checksum = crc32c.crc32c(store.cat_file("object", start, start + block), checksum)
    return checksum


def _sum(file: Any) -> int:
    """The checksum of a file, read as shards are: into a buffer that is used again."""
    checksum = 0
    buffer = memoryview(bytearray(BLOCK_BYTES))
    with file:
        while count := file.readinto(buffer):
            checksum = crc32c.crc32c(buffer[:count], checksum)
    return checksum


def reading_table(seconds: Mapping[str, float], size: int) -> Table:
    """One line a way to read."""
    table = Table(title=f"an object of {size / 1e6:,.0f} MB")
    table.add_column("requests")
    for column in ("seconds", "MB/s", "times as fast"):
        table.add_column(column, justify="right")
    for name, took_s in seconds.items():
        plain_s = seconds[f"{name.partition(',')[0]}, one after the other"]
        table.add_row(
            name, f"{took_s:.2f}", f"{size / took_s / 1e6:,.0f}", f"{plain_s / took_s:.1f}"
        )
    return table


def looking_table(seconds: Mapping[str, float], looks: int) -> Table:
    """One line a way to look."""
    table = Table(title=f"the beginnings of {looks:,} shards")
    table.add_column("requests")
    for column in ("seconds", "shards/s", "times as fast"):
        table.add_column(column, justify="right")
    plain_s = next(iter(seconds.values()))
    for name, took_s in seconds.items():
        table.add_row(name, f"{took_s:.2f}", f"{looks / took_s:,.0f}", f"{plain_s / took_s:.1f}")
    return table


if __name__ == "__main__":
    main()
