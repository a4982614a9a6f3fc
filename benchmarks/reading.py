"""Measures how ``convert``'s layout options change the cost of writing and reading.

``python -m benchmarks.reading SHARD_FOLDER OUT`` converts the shards once for each choice and reads
the embedding column of the result with pyarrow, polars and DuckDB, each in a process of its own.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import click

CHOICES = {
    "defaults": [],
    "row groups of 256": ["--row-group-rows", "256"],
    "row groups of 1024": ["--row-group-rows", "1024"],
    "row groups of 8192": ["--row-group-rows", "8192"],
    "files of 64 MB": ["--max-file-size", "64MB"],
    "lz4": ["--compression", "lz4"],
    "zstd": ["--compression", "zstd"],
}
_READERS = {
    "scan": "import a20_parquet; run = lambda: a20_parquet.scan(DATA.removesuffix('/data'))"
    ".select('embedding').collect()",
    "pyarrow": "import pyarrow.dataset as ds; run = lambda: ds.dataset("
    "DATA, partitioning='hive').to_table(columns=['embedding'])",
    "polars": "import polars as pl; run = lambda: pl.scan_parquet(DATA).select('embedding')"
    ".collect()",
    "DuckDB": 'import duckdb; run = lambda: duckdb.sql("select sum(embedding[1] + embedding[-1]) '
    'from read_parquet(\'" + DATA + "/**/*.parquet\')").fetchall()',
    "polars, one date": "import polars as pl; run = lambda: pl.scan_parquet(DATA).filter("
    "pl.col('window_start') < pl.scan_parquet(DATA).select(pl.col('window_start').min()).collect()"
    ".item() + pl.duration(days=1)).select('embedding').collect()",
}
_REPEATS = 3


def read_seconds(reader: str, data: Path) -> float:
    """The best of several readings, in seconds, imports left out."""
    code = (
        f"import time; DATA = {str(data)!r}; {_READERS[reader]}\n"
        "def timed():\n"
        "    start = time.perf_counter(); run(); return time.perf_counter() - start\n"
        f"print(min(timed() for _ in range({_REPEATS})))"
    )
    done = subprocess.run(  # noqa: S603 - this package's own command
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@click.command()
@click.argument("shards", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--partition-by", default="site", show_default=True)
def main(shards: Path, out: Path, partition_by: str) -> None:
    """Convert SHARDS to OUT once for each choice, and read it back."""
    click.echo("| choice | write MB/s | size | " + " | ".join(_READERS) + " |")
    click.echo("|---|---|---|" + "---|" * len(_READERS))
    for choice, options in CHOICES.items():
        command = [sys.executable, "-m", "a20_parquet", "convert", "--json", *options]
        command += ["--partition-by", partition_by, str(shards), str(out)]
        done = subprocess.run(  # noqa: S603 - likewise
            command, capture_output=True, text=True, check=True
        )
        summary = json.loads(done.stdout)
        written, stored = summary["source_bytes"], summary["totals"]["bytes"]
        rates = [f"{written / read_seconds(name, out / 'data') / 1e6:.0f}" for name in _READERS]
        click.echo(
            f"| {choice} | {written / summary['seconds'] / 1e6:.0f} | {stored / written:.3f} | "
            + " | ".join(rates)
            + " |"
        )
        shutil.rmtree(out)


if __name__ == "__main__":
    main()
