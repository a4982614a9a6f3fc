"""Other ways to do the program's work, each a function of shards and an output folder.

``python -m benchmarks.contenders NAME SHARD_FOLDER OUT`` runs one of them in its own process and
prints one JSON line about it.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.names import KEYS

# Smaller row groups cost pyarrow more CPU; a partition's last group is as small as it must be.
_LEAST_ROWS_A_GROUP = 1024
_SPARE_FILES = 100


def notebook(shards: list[Path], out: Path) -> None:
    """The original notebook's loop."""
    from benchmarks.notebook import convert

    convert(shards, out)


def write_dataset(shards: list[Path], out: Path, *, keys: tuple[str, ...]) -> None:
    """Everything in memory, then ``pyarrow.dataset.write_dataset`` with every file open at once."""
    import resource  # not on Windows

    import pyarrow as pa
    import pyarrow.dataset as ds

    from benchmarks.decoding import read_batches

    # Batches were tried as they come: less memory, but a quarter more CPU time.
    table = pa.Table.from_batches(list(read_batches(shards, keys)))
    metadata = [name for name in table.column_names if name != "embedding"]
    parquet = ds.ParquetFileFormat()
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Sorting by partition first was tried: slower by site, and twice as slow by site and date.
    ds.write_dataset(
        table,
        out,
        format=parquet,
        file_options=parquet.make_write_options(
            compression="none", use_dictionary=metadata, write_statistics=metadata
        ),
        partitioning=ds.partitioning(table.select(list(keys)).schema, flavor="hive"),
        max_partitions=table.num_rows,
        max_open_files=max(_SPARE_FILES, open_files - _SPARE_FILES),
        min_rows_per_group=_LEAST_ROWS_A_GROUP,
        use_threads=True,
    )


def polars(shards: list[Path], out: Path, *, keys: tuple[str, ...], compression: Any) -> None:
    """A source of polars' own, streamed into its ``sink_parquet(PartitionBy)``."""
    from itertools import chain

    import polars as pl
    from polars.io.plugins import register_io_source

    from benchmarks.decoding import read_batches

    batches = read_batches(shards, keys)
    first: Any = pl.from_arrow(next(batches))

    def frames(with_columns: list[str] | None, *_: object) -> Iterator[Any]:
        for frame in chain([first], map(pl.from_arrow, batches)):
            yield frame if with_columns is None else frame.select(with_columns)

    # As above, sorting only costs time; so do statistics of the embeddings.
    register_io_source(frames, schema=first.schema).sink_parquet(
        pl.PartitionBy(out, key=list(keys), include_key=False),
        compression=compression,
        statistics=False,
        mkdir=True,
    )


CONTENDERS: dict[str, Callable[[list[Path], Path], None]] = {
    "notebook": notebook,
    **{f"write_dataset_{name}": partial(write_dataset, keys=keys) for name, keys in KEYS.items()},
    **{
        f"polars_{name}": partial(polars, keys=keys, compression="uncompressed")
        for name, keys in KEYS.items()
    },
    "polars_site_zstd": partial(polars, keys=KEYS["site"], compression="zstd"),
}


@click.command
@click.argument("name", type=click.Choice(list(CONTENDERS)))
@click.argument("shard_folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
def main(name: str, shard_folder: Path, out: Path) -> None:
    """Run the contender NAME over SHARD_FOLDER into OUT and print its figures as JSON."""
    shards = sorted(shard_folder.glob("embeddings-*"))
    if not shards:
        raise click.UsageError(f"{shard_folder} holds no embeddings-* shard")
    begun_s = time.perf_counter()
    importlib.import_module("tensorflow")
    imported_s = time.perf_counter()
    CONTENDERS[name](shards, out)
    done_s = time.perf_counter()
    written = [each.stat().st_size for each in out.rglob("*") if each.is_file()]
    figures = {
        "name": name,
        "seconds": done_s - begun_s,
        "tensorflow_import_seconds": imported_s - begun_s,
        "input_bytes": sum(shard.stat().st_size for shard in shards),
        "output_bytes": sum(written),
        "files": len(written),
        "peak_rss_bytes": _peak_rss_bytes(),
    }
    click.echo(json.dumps(figures))


def _peak_rss_bytes() -> int:
    """The largest resident memory of this process or one it has started."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


if __name__ == "__main__":
    main()
