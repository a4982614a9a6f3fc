"""The command line: each command calls the function of the same name and prints its result."""

import sys
from pathlib import Path
from typing import Any

import click

from a20_parquet._version import __version__
from a20_parquet.cli import export_options, options, search_options
from a20_parquet.cli.command import EXIT_FAILED, Group, clean_exits
from a20_parquet.cli.console import check_one_format, console_progress, prepare_streams
from a20_parquet.startup import collect_seldom, hide_pandas

_EXIT_QUARANTINE = 3


@click.group(
    cls=Group,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
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
@options.model_option
@options.overwrite_option
@options.reading_options
@export_options.exclude_option
@export_options.taken_where_option
@options.drop_duplicates_option
@options.on_error_option
@options.max_errors_option
@options.npy_json_option
@options.embeddings_option
@options.decoder_option
@options.dask_option
@options.json_option
def convert(sources: tuple[str, ...], dataset: str, *, as_json: bool, **given: Any) -> None:
    """Convert shards to a dataset.

    SOURCE is a folder (searched recursively), a file, a glob or any fsspec URL. DATASET is a new
    folder, or a dataset to append new shards to; every Parquet reader opens DATASET/data. If a
    conversion is stopped, run the same command again to resume it. Records that cannot be converted
    go to DATASET/quarantine, byte for byte; the exit code is then 3.
    """
    from a20_parquet.cli.print_conversion import print_conversion
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

    Prints features, counts, checksums and the first record. If a shard cannot be read, the others
    are shown, and the exit code is 1.
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

    Each shard becomes FOLDER/embeddings/SHARD.npy, float32 with one row per window, and
    FOLDER/metadata/SHARD.json, a list with one object per window.
    """
    from a20_parquet.cli.print_conversion import print_notebook_files
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
@export_options.exclude_option
@export_options.taken_where_option
@options.embeddings_option
@options.sample_option
@options.rate_option
@options.json_option
def plan(sources: tuple[str, ...], *, as_json: bool, **given: Any) -> None:
    """Forecast a conversion: files, memory, time, cost.

    Estimates windows, runs, partitions, files, bytes, requests and time from a listing and the
    first records of some shards, and recommends keys, memory and workers. Converts up to 64 MB of
    these in the temporary folder to measure time, unless --rate is given, and deletes the result.
    """
    from a20_parquet.cli.print_plan import print_plan
    from a20_parquet.planning.plan import plan

    chosen = {name: value for name, value in given.items() if value is not None}
    print_plan(plan(sources, **chosen), as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@options.json_option
def info(dataset: str, *, as_json: bool) -> None:
    """Show what is in a dataset.

    Prints rows, sites, dates, files, sizes and what is in quarantine, without opening a data file.
    DATASET is a folder or an fsspec URL.
    """
    from a20_parquet.cli.print_dataset import print_info
    from a20_parquet.query.info import info

    print_info(info(dataset), as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@options.source_option
@export_options.excluded_option
@options.decoder_option
@options.workers_option
@options.json_option
def verify(dataset: str, *, source: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Check a dataset, file by file and row by row.

    Checks each file's size, checksum, rows, columns, order and Hive keys. With --source it also
    checks that the dataset has every window of the shards, bit for bit, and no other. Prints each
    problem; the exit code is then 1. DATASET is a folder or an fsspec URL.
    """
    from a20_parquet.cli.print_dataset import print_verification
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
    """Correct in place what an earlier version wrote wrong.

    Earlier data files mark UTC times as milliseconds: some readers refuse them, others read times a
    thousand times too large. Each file is read and checked before its footer changes, then
    files.parquet and the manifest. If the command is stopped, run it again to resume. It names
    damaged files; the exit code is then 1. DATASET is a folder or an fsspec URL.
    """
    from a20_parquet.cli.print_dataset import print_repair
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
    """Write an HTML page about a dataset.

    It shows coverage by site and day, hours, file sizes and quarantine, and works offline. DATASET
    is a folder or an fsspec URL.
    """
    from a20_parquet.cli.print_dataset import print_report
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
    """Write a DuckDB database with the relation windows.

    A view comes with the function windows_of('site_0201', '2020-10-01'), which opens the files of
    one site, or of one site and date, at once. DuckDB 1.1 and newer open FILE. The column embedding
    is a FLOAT array, as array_cosine_similarity needs it. A view contains absolute paths: after the
    dataset has moved, DuckDB says "No files found"; after an append, new windows are missing. Then
    write FILE again with --force. --memory and --workers apply to --as table.
    """
    from a20_parquet.cli.print_dataset import print_database
    from a20_parquet.query.duckdb_file import duckdb

    with console_progress() as progress:
        made = duckdb(dataset, file, progress=progress, **given)
    print_database(made, as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@search_options.to_option
@search_options.top_option
@search_options.metric_option
@search_options.exclude_option
@search_options.channel_option
@search_options.site_option
@search_options.from_option
@search_options.until_option
@search_options.hours_option
@search_options.where_option
@search_options.link_option
@search_options.csv_option
@options.json_option
def similar(dataset: str, *, as_csv: bool, as_json: bool, **given: Any) -> None:
    """Find the windows that sound most like other ones.

    The search is exact: it compares every window's embedding and shows the most similar first, for
    all queries in one pass. DATASET is a folder or an fsspec URL.
    """
    from a20_parquet.cli.print_similar import print_similar
    from a20_parquet.query.similar import similar

    check_one_format(as_csv=as_csv, as_json=as_json)
    with console_progress() as progress:
        found = similar(dataset, progress=progress, **given)
    print_similar(found, as_csv=as_csv, as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@search_options.classifier_option
@search_options.scores_option
@search_options.threshold_option
@search_options.top_scores_option
@search_options.site_option
@search_options.from_option
@search_options.until_option
@search_options.hours_option
@search_options.where_option
@search_options.link_option
@search_options.overwrite_option
@options.workers_option
@options.json_option
def score(dataset: str, *, as_json: bool, **given: Any) -> None:
    """Score every window with linear classifiers.

    Writes Parquet files to FOLDER/data: one row for each window and class whose score reaches the
    threshold, with the dataset's keys. If it is stopped, run the same command again to resume.
    DATASET is a folder or an fsspec URL.
    """
    from a20_parquet.cli.print_similar import print_scores
    from a20_parquet.query.score import score

    with console_progress() as progress:
        scores = score(dataset, progress=progress, **given)
    print_scores(scores, as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@search_options.link_name_argument
@search_options.template_argument
@options.json_option
def link(dataset: str, name: str | None, template: str | None, *, as_json: bool) -> None:
    """Keep a template of links to audio in a dataset.

    TEMPLATE has columns in braces, such as 'https://example.org/{file_seq_id}'; --link of other
    commands then takes NAME. Prints the templates of the dataset; without NAME it only does that.
    """
    from a20_parquet.cli.print_similar import print_links
    from a20_parquet.query.kept_links import link

    print_links(link(dataset, name, template), as_json=as_json)


@cli.command()
@options.existing_dataset_argument
@export_options.out_argument
@export_options.as_option
@export_options.only_where_option
@export_options.windows_option
@export_options.exclude_option
@export_options.per_option
@export_options.seed_option
@export_options.overwrite_option
@options.workers_option
@options.json_option
def export(dataset: str, out: str, *, as_json: bool, **given: Any) -> None:
    """Write a part of a dataset.

    Takes the windows that --where, --windows and --exclude allow, and of those the sample of --per.
    OUT is a new dataset, whose manifest names the whole one; or a file. If the export of a dataset
    is stopped, run the same command again to resume it. DATASET is a folder or an fsspec URL.
    """
    from a20_parquet.cli.print_dataset import print_export
    from a20_parquet.exporting.export import export

    with console_progress() as progress:
        made = export(dataset, out, progress=progress, **given)
    print_export(made, as_json=as_json)


@cli.command()
@options.folder_argument
@options.size_option
@options.json_option
def demo(folder: Path, size: str, *, as_json: bool) -> None:
    """Write realistic shards, convert them, query the result.

    The shards and the dataset go to FOLDER, by default a20-demo in the current folder.
    """
    from a20_parquet.checks import check_size
    from a20_parquet.cli.print_conversion import print_tour
    from a20_parquet.demo.tour import demo

    with console_progress() as progress:
        tour = demo(folder, check_size(size), progress)
    print_tour(tour, as_json=as_json)


def main() -> None:
    """Run the command line; each error of this package becomes one line and an exit code."""
    hide_pandas()
    collect_seldom()
    prepare_streams()
    with clean_exits():
        cli.main(standalone_mode=False)
