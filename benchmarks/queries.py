"""Queries on a dataset beside other ways to run them.

``python -m benchmarks.queries DATASET`` runs each contender in a process of its own, interleaved
and repeated, and prints medians. Imports are not counted.
"""

import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import polars as pl

from benchmarks.processes import measure

_TOP = 10
_BLOCK_ROWS = 4096


def scan_column(dataset: Path) -> int:
    """All embeddings through ``a20_parquet.scan``."""
    import a20_parquet

    return len(a20_parquet.scan(dataset).select("embedding").collect())


def scan_column_polars(dataset: Path) -> int:
    """All embeddings through plain ``pl.scan_parquet``."""
    return len(pl.scan_parquet(dataset / "data").select("embedding").collect())


def scan_column_pyarrow(dataset: Path) -> int:
    """All embeddings through a ``pyarrow.dataset``."""
    import pyarrow.dataset as ds

    data = ds.dataset(dataset / "data", partitioning="hive")
    return int(data.to_table(columns=["embedding"]).num_rows)


def scan_dawn(dataset: Path) -> int:
    """The embeddings of one hour of the day through ``a20_parquet.scan``."""
    import a20_parquet

    return _dawn(a20_parquet.scan(dataset))


def scan_dawn_polars(dataset: Path) -> int:
    """The same through plain ``pl.scan_parquet``."""
    return _dawn(pl.scan_parquet(dataset / "data"))


def _dawn(windows: pl.LazyFrame) -> int:
    at_five = pl.col("window_start_local").dt.hour() == 5  # noqa: PLR2004 - o'clock
    return len(windows.filter(at_five).select("filename", "embedding").collect())


def similar(dataset: Path) -> list[Any]:
    """``a20_parquet.similar``."""
    import a20_parquet

    found = a20_parquet.similar(dataset, _query(dataset), top=_TOP)
    return found["similarity"].to_list()


def similar_duckdb(dataset: Path) -> list[Any]:
    """Plain DuckDB over the Parquet files."""
    import duckdb

    return _nearest_in_duckdb(
        duckdb.connect(), f"read_parquet('{dataset}/data/**/*.parquet')", dataset
    )


def similar_connect(dataset: Path) -> list[Any]:
    """DuckDB through ``a20_parquet.connect``."""
    import a20_parquet

    return _nearest_in_duckdb(a20_parquet.connect(dataset), "windows", dataset)


def similar_numpy(dataset: Path) -> list[Any]:
    """NumPy over a memory-mapped ``.npy`` of all embeddings, block by block."""
    embeddings = np.load(_npy(dataset), mmap_mode="r")
    query = _query(dataset)
    query = query / np.linalg.norm(query)
    best = np.empty(0, np.float32)
    for first in range(0, len(embeddings), _BLOCK_ROWS):
        block = embeddings[first : first + _BLOCK_ROWS]
        cosines = block @ query / np.linalg.norm(block, axis=1)
        best = np.sort(np.concatenate([best, cosines]))[-_TOP:]
    return list(best[::-1].tolist())


def _nearest_in_duckdb(connection: Any, relation: str, dataset: Path) -> list[Any]:
    query = _query(dataset)
    found = connection.execute(
        f"select filename, recording_offset_in_file, array_cosine_similarity("  # noqa: S608
        f"embedding::FLOAT[{len(query)}], ?::FLOAT[{len(query)}]) as similarity "
        f"from {relation} order by similarity desc limit {_TOP}",
        [query.tolist()],
    ).fetchall()
    return [row[2] for row in found]


def _query(dataset: Path) -> np.ndarray[Any, Any]:
    return np.load(dataset.with_name(dataset.name + ".query.npy"))  # type: ignore[no-any-return]


def _npy(dataset: Path) -> Path:
    return dataset.with_name(dataset.name + ".npy")


GROUPS: dict[str, dict[str, Callable[[Path], Any]]] = {
    "the embedding column into memory": {
        "scan": scan_column,
        "pl.scan_parquet": scan_column_polars,
        "pyarrow.dataset": scan_column_pyarrow,
    },
    "embeddings of one hour of the day": {
        "scan": scan_dawn,
        "pl.scan_parquet": scan_dawn_polars,
    },
    "the ten nearest windows": {
        "similar": similar,
        "DuckDB": similar_duckdb,
        "DuckDB through connect": similar_connect,
        "NumPy, memory-mapped .npy": similar_numpy,
    },
}


def _write_inputs(dataset: Path) -> None:
    """Write the query vector and the ``.npy``, once."""
    import a20_parquet

    if _npy(dataset).exists():
        return
    click.echo(f"writing {_npy(dataset)}", err=True)
    windows = a20_parquet.scan(dataset).select("embedding").collect()["embedding"]
    np.save(dataset.with_name(dataset.name + ".query.npy"), windows.head(1).to_numpy()[0])
    np.save(_npy(dataset), windows.to_numpy())


@click.command()
@click.argument("dataset", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--repeat", default=3, show_default=True, help="Rounds.")
@click.option("--run", "name", hidden=True, help="One contender, GROUP/NAME, in this process.")
def main(dataset: Path, repeat: int, name: str | None) -> None:
    """Time queries on DATASET beside other ways to run them."""
    if name is not None:
        group, _, contender = name.partition("/")
        work = GROUPS[group][contender]
        for module in ("a20_parquet.scan", "a20_parquet.similar", "duckdb", "pyarrow.dataset"):
            __import__(module)
        begun_s = time.perf_counter()
        answer = work(dataset)
        click.echo(json.dumps({"seconds": time.perf_counter() - begun_s, "answer": answer}))
        return
    # In a process of its own: its memory here would be counted as every contender's peak.
    with multiprocessing.get_context("spawn").Pool(1) as process:
        process.apply(_write_inputs, (dataset,))
    megabytes = sum(file.stat().st_size for file in (dataset / "data").rglob("*.parquet")) / 1e6
    for group, contenders in GROUPS.items():
        seconds: dict[str, list[float]] = {each: [] for each in contenders}
        peaks = dict.fromkeys(contenders, 0)
        for _ in range(repeat):
            for each in contenders:
                command = [sys.executable, "-m", "benchmarks.queries", str(dataset)]
                measured = measure([*command, "--run", f"{group}/{each}"])
                if measured.error:
                    raise click.ClickException(f"{each}: {measured.error}")
                seconds[each].append(measured.result["seconds"])
                peaks[each] = max(peaks[each], measured.peak_rss_bytes)
        _print_group(group, seconds, peaks, megabytes)


def _print_group(
    group: str, seconds: dict[str, list[float]], peaks: dict[str, int], megabytes: float
) -> None:
    medians = {each: statistics.median(times) for each, times in seconds.items()}
    ours = next(iter(medians.values()))
    click.echo(f"\n| {group} | s | MB/s | ours is faster by | peak MB |\n|---|---|---|---|---|")
    for each, median_s in medians.items():
        click.echo(
            f"| {each} | {median_s:.2f} | {megabytes / median_s:.0f} | {median_s / ours:.2f} x | "
            f"{peaks[each] / 1e6:.0f} |"
        )


if __name__ == "__main__":
    main()
