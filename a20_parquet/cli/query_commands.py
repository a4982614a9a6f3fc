"""The commands that query a dataset: each calls the function of its name and prints the result."""

from pathlib import Path
from typing import Any

import click

from a20_parquet.cli import export_options, options, search_options
from a20_parquet.cli.command import Command
from a20_parquet.cli.console import check_one_format, console_progress


@click.command(cls=Command)
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


@click.command(cls=Command)
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


@click.command(cls=Command)
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


@click.command(cls=Command)
@options.existing_dataset_argument
@search_options.to_option
@search_options.top_option
@search_options.metric_option
@search_options.exclude_option
@search_options.channel_option
@search_options.selection_options
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


@click.command(cls=Command)
@options.existing_dataset_argument
@search_options.classifier_option
@search_options.scores_option
@search_options.threshold_option
@search_options.top_scores_option
@search_options.selection_options
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


@click.command(cls=Command)
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


@click.command(cls=Command)
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


QUERY_COMMANDS = (duckdb, export, info, link, report, score, similar)
