"""Measures how other readers read the embedding column, by how its pages are laid out.

``python -m benchmarks.layouts OUT`` writes one file for each layout, of normally distributed
embeddings, and reads the column with each reader, in turn with a file as ``convert`` writes it. The
table has the ratios of wall time and, in brackets, of CPU time: below 1 the layout is faster.
Readers work in processes that stay, so that neither their start nor their imports count.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self

import click
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from a20_parquet.parquet import Compression, GroupEncoder, ParquetLayout, ParquetWriter, lists
from benchmarks.inputs import Size

_DIMS = 1280
_KB, _MB = 1 << 10, 1 << 20
_LEAF = "embedding.list.element"
# Each reads path by path from its standard input, and answers a line when a file is read.
_READERS = {
    "pyarrow": "import pyarrow.parquet as pq\n"
    "def read(path): return pq.read_table(path, columns=['embedding']).num_rows",
    "polars": "import polars as pl\n"
    "def read(path): return len(pl.scan_parquet(path).select('embedding').collect())",
    "DuckDB": "import duckdb\n"
    "def read(path): return duckdb.execute("
    "'select embedding from read_parquet($path)', {'path': path}).to_arrow_table().num_rows",
    "DataFusion": "import datafusion; context = datafusion.SessionContext()\n"
    "def read(path):\n"
    "    found = context.read_parquet(path).select('embedding').collect()\n"
    "    return sum(batch.num_rows for batch in found)",
    "Spark": "from pyspark.sql import SparkSession\n"
    "spark = SparkSession.builder.master('local[2]').config('spark.ui.enabled', 'false')"
    ".config('spark.driver.memory', '3g').getOrCreate()\n"
    "spark.sparkContext.setLogLevel('OFF')\n"
    "def read(path):\n"
    "    frame = spark.read.parquet(path).select('embedding')\n"
    "    frame.write.format('noop').mode('overwrite').save(); return frame.count()",
}
_LOOP = "\nimport sys\nfor line in sys.stdin: print(read(line.strip()), flush=True)\n"

FIRST = "as-convert-writes.parquet"
"""What each layout is compared with."""

Write = Callable[[BinaryIO, Any], None]
"""Writes embeddings, shape ``(rows, 1280)``, float32."""


def _ours(
    file: BinaryIO, rows: Any, *, page: int = _MB, group: int = 2048, zstd: bool = False
) -> None:
    """Write with this program's encoder."""
    field = pa.field("embedding", _list_type(is_required=True), nullable=False)
    page_before, lists._PAGE_BYTES = lists._PAGE_BYTES, page  # noqa: SLF001 - what is measured
    try:
        compression = Compression.ZSTD if zstd else Compression.NONE
        encoder = GroupEncoder(ParquetLayout(pa.schema([field]), compression))
    finally:
        lists._PAGE_BYTES = page_before  # noqa: SLF001 - likewise
    with ParquetWriter(file, encoder) as writer:
        for start in range(0, len(rows), group):
            array = _array(rows[start : start + group], field.type)
            writer.put(encoder.encode(pa.record_batch([array], schema=pa.schema([field]))))


def _pyarrow(
    file: BinaryIO, rows: Any, *, is_required: bool = True, split: bool = False, **options: Any
) -> None:
    """Write with pyarrow, what differs from this program's layout as ``options``."""
    field = pa.field("embedding", _list_type(is_required=is_required), nullable=not is_required)
    table = pa.table([_array(rows, field.type)], schema=pa.schema([field]))
    if split:
        options["column_encoding"] = {_LEAF: "BYTE_STREAM_SPLIT"}
    defaults = {"compression": "none", "row_group_size": 2048, "data_page_size": _MB}
    pq.write_table(
        table, file, use_dictionary=False, write_statistics=False, **(defaults | options)
    )


def _list_type(*, is_required: bool) -> Any:
    return pa.list_(pa.field("element", pa.float32(), nullable=not is_required), _DIMS)


def _array(rows: Any, kind: Any) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), type=kind)


LAYOUTS: dict[str, Write] = {
    "the same again": _ours,
    "pages of 64 kB": partial(_ours, page=64 * _KB),
    "pages of 256 kB": partial(_ours, page=256 * _KB),
    "pages of 8 MB": partial(_ours, page=8 * _MB),
    "row groups of 512": partial(_ours, group=512),
    "row groups of 256": partial(_ours, group=256),
    "row groups of 1,024": partial(_ours, group=1024),
    "row groups of 8,192": partial(_ours, group=8192),
    "row groups of 65,536": partial(_ours, group=65_536),
    "zstd, split bytes": partial(_ours, zstd=True),
    "pyarrow: the same": _pyarrow,
    "pyarrow: pages V2": partial(_pyarrow, data_page_version="2.0"),
    "pyarrow: optional lists": partial(_pyarrow, is_required=False),
    "pyarrow: split bytes": partial(_pyarrow, split=True),
    "pyarrow: zstd": partial(_pyarrow, compression="zstd"),
    "pyarrow: defaults": partial(
        _pyarrow,
        is_required=False,
        compression="snappy",
        row_group_size=_MB,
        data_page_size=_MB,
    ),
}
"""Each differs from what ``convert`` writes in what it says: row groups of 2,048 rows, pages V1 of
1 MB, required lists, uncompressed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one file."""

    wall_s: float
    cpu_s: float


class Reader:
    """A process that reads files; a context manager."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self._process = subprocess.Popen(  # noqa: S603 - this module's own code
            [python, "-c", _READERS[name] + _LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def read(self, path: Path, rows: int) -> Reading:
        """Read a file's embeddings.

        Raises:
            click.ClickException: the reader failed, or found another number of rows.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise click.ClickException(f"{self.name} has no pipes")
        cpu_s, started = self._cpu_s(), time.perf_counter()
        stdin.write(f"{path}\n")
        stdin.flush()
        answer = stdout.readline().strip()
        if answer != str(rows):
            raise click.ClickException(f"{self.name}: found {answer or 'an error'}, not {rows}")
        return Reading(time.perf_counter() - started, self._cpu_s() - cpu_s)

    def _cpu_s(self) -> float:
        """CPU time so far, with that of a Java process below."""
        root = psutil.Process(self._process.pid)
        times = [each.cpu_times() for each in (root, *root.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))


def measure(
    out: Path, layout: str, readers: list[Reader], floats: Any, repeat: int
) -> Iterator[tuple[str, Reading, Reading]]:
    """Yield each reader, its median reading of this program's layout, and its ratios to that.

    Args:
        out: a folder with ``FIRST`` in it.
        layout: a name in ``LAYOUTS``.
        readers: running.
        floats: the embeddings, shape ``(rows, 1280)``.
        repeat: rounds that count, each reading both files; one before them does not.
    """
    first, other = out / FIRST, out / "other.parquet"
    with open(other, "wb") as file:
        LAYOUTS[layout](file, floats)
    for reader in readers:
        rounds = [
            (reader.read(first, len(floats)), reader.read(other, len(floats)))
            for _ in range(repeat + 1)
        ][1:]
        base = Reading(
            statistics.median(ours.wall_s for ours, _ in rounds),
            statistics.median(ours.cpu_s for ours, _ in rounds),
        )
        ratios = Reading(
            statistics.median(found.wall_s / ours.wall_s for ours, found in rounds),
            statistics.median(found.cpu_s / ours.cpu_s for ours, found in rounds),
        )
        yield reader.name, base, ratios


@click.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--size", type=Size(), default="335544320", show_default=True, help="Of the floats.")
@click.option("--repeat", type=click.IntRange(1), default=3, show_default=True)
@click.option("--only", multiple=True, help="Patterns of layouts; by default all.")
@click.option("--reader", "names", multiple=True, type=click.Choice(list(_READERS)))
@click.option("--python", default=sys.executable, help="Interpreter of the readers.")
@click.option("--spark-python", default=None, help="Interpreter that has pyspark, for Spark.")
def main(  # noqa: PLR0913, PLR0917 - options of the command
    out: Path,
    size: int,
    repeat: int,
    only: tuple[str, ...],
    names: tuple[str, ...],
    python: str,
    spark_python: str | None,
) -> None:
    """Write each layout to the folder OUT, and read its embeddings with each reader."""
    chosen = [name for name in names or _READERS if name != "Spark" or spark_python]
    floats = np.random.default_rng(0).standard_normal((size // (4 * _DIMS), _DIMS), np.float32)
    with open(out / FIRST, "wb") as file:
        _ours(file, floats)
    readers = [
        Reader(name, (spark_python or python) if name == "Spark" else python) for name in chosen
    ]
    click.echo(f"| layout | size | {' | '.join(chosen)} |\n|---|---|{'---|' * len(chosen)}")
    for layout in LAYOUTS:
        if only and not any(fnmatch(layout, pattern) for pattern in only):
            continue
        measured = list(measure(out, layout, readers, floats, repeat))
        share = (out / "other.parquet").stat().st_size / floats.nbytes
        cells = [f"{each.wall_s:.2f} ({each.cpu_s:.2f})" for _, _, each in measured]
        click.echo(f"| {layout} | {share:.3f} | {' | '.join(cells)} |")
        seconds = [f"{name} {each.wall_s:.2f} ({each.cpu_s:.2f})" for name, each, _ in measured]
        click.echo(f"  beside it: {', '.join(seconds)}", err=True)
    for reader in readers:
        reader.__exit__()
    for name in (FIRST, "other.parquet"):
        (out / name).unlink()


if __name__ == "__main__":
    main()
