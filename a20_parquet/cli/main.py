"""The command line: parses, calls the function of the same name, prints what it returns."""

import sys
from pathlib import Path
from typing import Any

import click

from a20_parquet._version import __version__
from a20_parquet.cli import options
from a20_parquet.cli.command import EXIT_FAILED, Group, clean_exits
from a20_parquet.cli.failures import prepare_streams
from a20_parquet.startup import collect_seldom, hide_pandas

_EXIT_QUARANTINE = 3


@click.group(
    cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="a20-parquet")
def cli() -> None:
    """Perch embeddings from TFRecord shards to Hive-partitioned Parquet."""


@cli.command()
@options.sources_argument
@options.dataset_argument
@options.partition_by_option
@options.workers_option
@options.memory_option
@options.scratch_option
@options.compression_option
@options.max_file_size_option
@options.row_group_rows_option
@options.window_seconds_option
@options.sample_rate_option
@options.overwrite_option
@options.reading_options
@options.drop_duplicates_option
@options.on_error_option
@options.max_errors_option
@options.npy_json_option
@options.decoder_option
@options.dask_option
@options.json_option
def convert(sources: tuple[str, ...], dataset: str, *, as_json: bool, **given: Any) -> None:
    """Convert shards to a dataset.

    SOURCE is a folder, a file, a glob or any fsspec URL; folders are searched whole. DATASET is a
    new folder, or a dataset that new shards are appended to: give DATASET/data to any Parquet
    reader. A conversion that was stopped goes on when the same command is run again. What can't be
    converted goes to DATASET/quarantine, byte for byte; then the exit code is 3.
    """
    from a20_parquet.cli.print_conversion import print_conversion
    from a20_parquet.cli.progress import console_progress
    from a20_parquet.conversion.convert import convert

    chosen = {name: value for name, value in given.items() if value is not None}
    with console_progress() as progress:
        conversion = convert(sources, dataset, progress=progress, **chosen)
    print_conversion(conversion, as_json=as_json)
    if conversion.quarantine:
        sys.exit(_EXIT_QUARANTINE)


@cli.command()
@options.shards_argument
@options.json_option
def inspect(shards: tuple[str, ...], *, as_json: bool) -> None:
    """Show what is in shards.

    Their features, counts, checksums and first record. Exits with 1 when nothing can be made of
    one of them, and shows the others.
    """
    from a20_parquet.cli.print_inspection import print_inspections
    from a20_parquet.decoding.inspect_shards import inspect_each

    if not print_inspections(inspect_each(shards), as_json=as_json):
        sys.exit(EXIT_FAILED)


@cli.command()
@options.sources_argument
@options.notebook_folder_argument
@options.sample_rate_option
@options.workers_option
@options.decoder_option
@options.json_option
def npy_json(sources: tuple[str, ...], folder: str, *, as_json: bool, **given: Any) -> None:
    """Write only the notebook's files, byte for byte.

    Each shard gets FOLDER/embeddings/SHARD.npy, float32 with one row a window, and
    FOLDER/metadata/SHARD.json, a list with one object a window.
    """
    from a20_parquet.cli.print_conversion import print_notebook_files
    from a20_parquet.cli.progress import console_progress
    from a20_parquet.notebook.npy_json import npy_json

    with console_progress() as progress:
        files = npy_json(sources, folder, progress=progress, **given)
    print_notebook_files(files, as_json=as_json)


@cli.command()
@options.sources_argument
@options.partition_by_option
@options.memory_option
@options.workers_option
@options.cluster_option
@options.max_file_size_option
@options.row_group_rows_option
@options.compression_option
@options.window_seconds_option
@options.sample_rate_option
@options.reading_options
@options.sample_option
@options.rate_option
@options.json_option
def plan(sources: tuple[str, ...], *, as_json: bool, **given: Any) -> None:
    """Show what a conversion would take.

    Windows, runs, partitions, files, bytes, requests and time, forecast from a listing and the
    first records of some shards; and which keys, memory and workers to give. Nothing is written.
    """
    from a20_parquet.cli.print_plan import print_plan
    from a20_parquet.planning.plan import plan

    chosen = {name: value for name, value in given.items() if value is not None}
    print_plan(plan(sources, **chosen), as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@options.json_option
def info(dataset: str, *, as_json: bool) -> None:
    """Show what a dataset holds.

    Rows, sites, dates, files, sizes, and what is in quarantine. DATASET is a folder or any fsspec
    URL of one. No data file is opened.
    """
    from a20_parquet.cli.print_dataset import print_info
    from a20_parquet.query.info import info

    print_info(info(dataset), as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@options.source_option
@options.decoder_option
@options.workers_option
@options.json_option
def verify(dataset: str, *, source: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Check a dataset, file by file and row by row.

    Every file's size and checksum, its rows, columns, order and Hive keys; with --source also that
    every window of the shards is there, bit for bit, and no other. Exits with 1 when something is
    wrong, and prints what. DATASET is a folder or any fsspec URL of one.
    """
    from a20_parquet.cli.print_verification import print_verification
    from a20_parquet.cli.progress import console_progress
    from a20_parquet.verification.verify import verify

    with console_progress() as progress:
        verification = verify(dataset, source, progress=progress, **given)
    print_verification(verification, as_json=as_json)
    if not verification.is_good:
        sys.exit(EXIT_FAILED)


@cli.command()
@options.existing_dataset_argument
@options.workers_option
@options.json_option
def repair(dataset: str, *, as_json: bool, **given: Any) -> None:
    """Mend in place what an earlier version wrote wrong.

    Its data files call UTC times milliseconds: some readers refuse them, others read times a
    thousand times too large. Each file is read whole and checked before its footer changes;
    files.parquet and the manifest follow. When it was stopped, the same command goes on. Exits with
    1 when a file is damaged, and prints which. DATASET is a folder or any fsspec URL of one.
    """
    from a20_parquet.cli.print_verification import print_repair
    from a20_parquet.cli.progress import console_progress
    from a20_parquet.conversion.repair import repair

    with console_progress() as progress:
        repaired = repair(dataset, progress=progress, **given)
    print_repair(repaired, as_json=as_json)
    if repaired.problem_count:
        sys.exit(EXIT_FAILED)


@cli.command()
@options.existing_dataset_argument
@options.report_file_option
@options.json_option
def report(dataset: str, *, file: Path | None, as_json: bool) -> None:
    """Write one HTML page that shows a dataset.

    Its coverage by site and day, hours, file sizes and quarantine. The page works offline. DATASET
    is a folder or any fsspec URL of one.
    """
    from a20_parquet.cli.print_dataset import print_report
    from a20_parquet.cli.progress import console_progress
    from a20_parquet.reporting.report import report

    with console_progress() as progress:
        path = report(dataset, file, progress=progress)
    print_report(path, as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@options.database_argument
@options.as_option
@options.force_option
@options.table_memory_option
@options.workers_option
@options.json_option
def duckdb(dataset: str, file: Path, *, as_json: bool, **given: Any) -> None:
    """Make a DuckDB database with the relation windows.

    FILE opens in DuckDB 1.1 and newer; embedding is a FLOAT array there, which
    array_cosine_similarity takes.
    A view names the dataset's files by their absolute paths: where the dataset was moved, DuckDB
    says "No files found"; where it has grown, the new windows are missing. Then make FILE anew with
    --force. --memory and --workers are for --as table.
    """
    from a20_parquet.cli.print_dataset import print_database
    from a20_parquet.cli.progress import console_progress
    from a20_parquet.query.duckdb_file import duckdb

    with console_progress() as progress:
        made = duckdb(dataset, file, progress=progress, **given)
    print_database(made, as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@options.to_option
@options.top_option
@options.channel_option
@options.site_option
@options.from_option
@options.until_option
@options.json_option
def similar(dataset: str, *, as_json: bool, **given: Any) -> None:
    """Find the windows that sound most like another one.

    The search is exact: it compares every window's embedding by cosine similarity, best first.
    DATASET is a folder or any fsspec URL of one.
    """
    from a20_parquet.cli.print_dataset import print_similar
    from a20_parquet.cli.progress import console_progress
    from a20_parquet.query.similar import similar

    with console_progress() as progress:
        found = similar(dataset, progress=progress, **given)
    print_similar(found, as_json=as_json)


@cli.command()
@options.folder_argument
@options.size_option
@options.json_option
def demo(folder: Path, size: str, *, as_json: bool) -> None:
    """Write realistic shards, convert them, query the result.

    FOLDER gets the shards and the dataset; by default a20-demo in the current folder.
    """
    from a20_parquet.checks import check_size
    from a20_parquet.cli.print_conversion import print_tour
    from a20_parquet.cli.progress import console_progress
    from a20_parquet.demo.tour import demo

    with console_progress() as progress:
        tour = demo(folder, check_size(size), progress)
    print_tour(tour, as_json=as_json)


def main() -> None:
    """Run the command line; every error of this package becomes one clean line and exit code."""
    hide_pandas()
    collect_seldom()
    prepare_streams()
    with clean_exits():
        cli.main(standalone_mode=False)
