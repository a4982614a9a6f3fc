"""The command line: each command calls the function of the same name and prints its result."""

import sys
from pathlib import Path
from typing import Any

import click

from a20_parquet._version import __version__
from a20_parquet.cli import export_options, options
from a20_parquet.cli.command import EXIT_FAILED, Group, clean_exits
from a20_parquet.cli.console import console_progress, prepare_streams
from a20_parquet.cli.query_commands import QUERY_COMMANDS
from a20_parquet.cli.sections import section
from a20_parquet.startup import collect_seldom, hide_pandas, skip_plugins

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


# What convert and plan ask for in the same words.
_selection = section(
    "Selection",
    options.only_site_option,
    options.only_from_option,
    options.only_until_option,
    options.channels_option,
    export_options.exclude_option,
    export_options.taken_where_option,
)
_names = section(
    "Names", options.sites_option, options.filename_pattern_option, options.unknown_site_option
)
_table = section(
    "Output",
    options.partition_by_option,
    options.compression_option,
    options.store_option,
    options.max_file_size_option,
    options.row_group_rows_option,
    options.keys_in_files_option,
)
_records = section(
    "Input",
    options.window_seconds_option,
    options.sample_rate_option,
    options.dims_option,
    options.feature_option,
)


@cli.command()
@options.sources_argument
@options.dataset_argument
@_records
@section("Input", options.model_option, options.decoder_option)
@_table
@section("Output", options.npy_json_option, options.overwrite_option)
@_selection
@section("Selection", options.drop_duplicates_option)
@_names
@section(
    "Resources",
    options.memory_option,
    options.workers_option,
    options.embeddings_option,
    options.scratch_option,
    options.dask_option,
)
@section("Errors", options.on_error_option, options.max_errors_option)
@options.json_option
def convert(sources: tuple[str, ...], dataset: str, *, as_json: bool, **given: Any) -> None:
    """Convert shards to a dataset.

    SOURCE is a folder (searched recursively), a file, a glob or any fsspec URL. DATASET is a new
    folder, or a dataset to append new shards to; every Parquet reader opens DATASET/data. If a
    conversion is stopped, run the same command again to resume it. Records that cannot be converted
    go to DATASET/quarantine, byte for byte; the exit code is then 3.

    \b
    Examples:
      a20-parquet convert shards dataset
      a20-parquet convert gs://bucket/shards dataset --decoder wire --memory 4GB
      a20-parquet convert shards spring --from 2020-09-01 --partition-by site,month
    """  # noqa: D301 - click's mark for lines that stay as they are is the character itself
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
@_records
@_table
@_selection
@_names
@section(
    "Resources",
    options.memory_option,
    options.workers_option,
    options.embeddings_option,
    options.measured_scratch_option,
    options.cluster_option,
)
@section("Estimate", options.sample_option, options.rate_option, options.planned_decoder_option)
@options.json_option
def plan(sources: tuple[str, ...], *, as_json: bool, **given: Any) -> None:
    """Forecast a conversion: files, memory, time, cost.

    Estimates windows, runs, partitions, files, bytes, requests and time from a listing and the
    first records of some shards, and recommends keys, memory and workers. Converts up to 64 MB of
    these in the temporary folder, or in --scratch, to measure time, unless --rate is given, and
    deletes the result.
    """
    from a20_parquet.cli.print_plan import print_plan
    from a20_parquet.planning.plan import plan

    chosen = {name: value for name, value in given.items() if value is not None}
    print_plan(plan(sources, **chosen), as_json=as_json)


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


for _command in QUERY_COMMANDS:
    cli.add_command(_command)


def main() -> None:
    """Run the command line; each error of this package becomes one line and an exit code."""
    hide_pandas()
    skip_plugins()
    collect_seldom()
    prepare_streams()
    with clean_exits():
        cli.main(standalone_mode=False)
