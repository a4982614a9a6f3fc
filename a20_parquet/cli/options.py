"""Arguments and options of the commands, each defined once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from a20_parquet.cli import types

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

sources_argument = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
dataset_argument = click.argument("dataset")
existing_dataset_argument = click.argument("dataset", type=types.ExistingDataset())
shards_argument = click.argument("shards", nargs=-1, required=True, metavar="SHARD...")
source_option = click.option(
    "--source",
    multiple=True,
    metavar="SOURCE",
    help="Also compare every window with these shards: a folder, a file, a glob or any fsspec URL. "
    "Repeat for more; give all shards that the dataset was made from.",
)
folder_argument = click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default="a20-demo"
)
notebook_folder_argument = click.argument(
    "folder", type=click.Path(file_okay=False), metavar="FOLDER"
)
report_file_option = click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File to write; an existing file is replaced only if it is a report.  "
    "[default: NAME-report.html in the current folder]",
)
size_option = click.option(
    "--size",
    type=types.Size(),
    metavar="SIZE",
    default="100MB",
    show_default=True,
    help="Size of all shards together.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
partition_by_option = click.option(
    "--partition-by",
    type=click.Choice(["site,date", "site,month", "site,year", "site"]),
    default="site,date",
    show_default=True,
    help="Hive keys; each value gets a folder.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of threads.  [default: the cores that the process may use]",
)


def _memory_option(kind: click.ParamType[str], what: str) -> Decorator:
    return click.option(
        "--memory",
        type=kind,
        metavar="SIZE",
        help=f"{what}, such as 500MB, 64MiB or 4GiB.  "
        "[default: a quarter of what the process may use]",
    )


memory_option = _memory_option(types.Budget(), "Size of all buffers together")
table_memory_option = _memory_option(types.Size(), "Size of all buffers while a table is written")
cluster_option = click.option(
    "--cluster",
    is_flag=True,
    help="Plan for a cluster: --workers is its number of processes, --memory is for each.",
)
sample_option = click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    default=4000,
    show_default=True,
    help="Number of records to read; more give better estimates.",
)
rate_option = click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MB/s",
    help="Speed of one worker.  [default: reading is measured on the sample, the rest comes from "
    "benchmarks]",
)
scratch_option = click.option(
    "--scratch",
    metavar="FOLDER",
    help="Folder or URL for sorted runs, which are written if the input exceeds --memory.  "
    "[default: inside DATASET]",
)
compression_option = click.option(
    "--compression",
    type=click.Choice(["none", "lz4", "zstd"]),
    default="none",
    show_default=True,
    help="Compression of the Parquet files; zstd uses byte-stream-split.",
)
max_file_size_option = click.option(
    "--max-file-size",
    type=types.Size(),
    metavar="SIZE",
    default="512MB",
    show_default=True,
    help="Embedding bytes per file; larger partitions are split.",
)
row_group_rows_option = click.option(
    "--row-group-rows",
    type=click.IntRange(min=1),
    metavar="N",
    default=2048,
    show_default=True,
    help="Rows per row group.",
)
window_seconds_option = click.option(
    "--window-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Time from one window's start to the next.  [default: from Perch's config.json beside the "
    "shards, else 5]",
)
sample_rate_option = click.option(
    "--sample-rate",
    type=float,
    metavar="HZ",
    help="Sample rate of the recordings, for records with the older timestamp_offset, which counts "
    "samples.  [default: from Perch's config.json beside the shards]",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace the dataset that exists."
)
dims_option = click.option(
    "--dims",
    type=click.IntRange(min=1),
    metavar="N",
    help="Floats per embedding.  [default: detected from a sample of records]",
)
feature_option = click.option(
    "--feature",
    multiple=True,
    metavar="NAME[:FORM]",
    help="Keep this feature of the records as a column; repeat for more. FORM states what a sample "
    "of records cannot show, such as record, window or string[99]:record.",
)
channels_option = click.option(
    "--channels",
    metavar="NUMBERS",
    help="Convert only these channels, such as 0,2.  [default: all]",
)
sites_option = click.option(
    "--sites",
    metavar="FILE",
    help="Table of recorders: CSV, JSON or Parquet with name and site_id, and if known "
    "time_zone, latitude, longitude and clock (UTC or local).",
)
filename_pattern_option = click.option(
    "--filename-pattern",
    type=types.Pattern(),
    metavar="REGEX",
    help="Pattern for filenames of another form, with named groups: site_id, site_name, "
    "subsite_name, file_seq_id, date, time, offset.",
)
unknown_site_option = click.option(
    "--unknown-site",
    metavar="NAME",
    help="Site for recordings whose filenames lack a site or a date; by default they go to "
    "quarantine.",
)


def _site_option(verb: str, *names: str) -> Decorator:
    return click.option(
        "--site",
        *names,
        multiple=True,
        help=f"{verb} only this site, such as 285, site_0285, or a recorder's name if it has no "
        "id; repeat for more.",
    )


def _date_option(flag: str, name: str, text: str) -> Decorator:
    return click.option(
        flag, name, type=types.Day(), callback=types.check_days, metavar="DATE", help=text
    )


only_site_option = _site_option("Convert")
only_from_option = _date_option(
    "--from", "from_date", "Convert only from this local date on, YYYY-MM-DD."
)
only_until_option = _date_option(
    "--until", "until_date", "Convert only up to this local date, inclusive."
)
drop_duplicates_option = click.option(
    "--drop-duplicates",
    is_flag=True,
    help="Keep one of several windows of the same recording and time with the same bits.",
)
on_error_option = click.option(
    "--on-error",
    type=click.Choice(["quarantine", "fail"]),
    default="quarantine",
    show_default=True,
    help="Records that cannot be converted go to DATASET/quarantine, or stop the conversion.",
)
max_errors_option = click.option(
    "--max-errors",
    type=click.IntRange(min=0),
    metavar="N",
    help="Stop when more than N records and damaged places are in quarantine.",
)
database_argument = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
as_option = click.option(
    "--as",
    "as_",
    type=click.Choice(["view", "table"]),
    default="view",
    show_default=True,
    help="A view reads the dataset's files at their present paths; a table contains a copy.",
)
force_option = click.option("--force", is_flag=True, help="Replace an existing database.")
to_option = click.option(
    "--to",
    type=types.Window(),
    required=True,
    metavar="FILENAME@OFFSET|FILE.npy",
    help="The window to compare with, as its recording's filename and its offset in seconds; or a "
    "file with one embedding.",
)
top_option = click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    default=10,
    show_default=True,
    help="Number of windows to show.",
)
channel_option = click.option(
    "--channel",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="Channel of the window in --to; the search covers all channels.",
)
site_option = _site_option("Search", "sites")
from_option = _date_option(
    "--from", "from_date", "Search only from this local date on, YYYY-MM-DD."
)
until_option = _date_option(
    "--until", "until_date", "Search only up to this local date, inclusive."
)
decoder_option = click.option(
    "--decoder",
    type=click.Choice(["tensorflow", "wire"]),
    default="tensorflow",
    show_default=True,
    help="How records are decoded. wire does without TensorFlow, with the same result.",
)
dask_option = click.option(
    "--dask",
    metavar="ADDRESS|local:N",
    help="Convert on a Dask cluster: its scheduler's address, such as tcp://10.0.0.1:8786, or "
    "local:N for N processes on this machine. --memory is for each worker.",
)
npy_json_option = click.option(
    "--npy-json",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Also write the notebook's files: FOLDER/embeddings/SHARD.npy and "
    "FOLDER/metadata/SHARD.json.",
)


def reading_options(command: Any) -> Any:
    """Add the options that select records and say how filenames are read."""
    for option in (
        only_until_option,
        only_from_option,
        only_site_option,
        unknown_site_option,
        filename_pattern_option,
        sites_option,
        channels_option,
        feature_option,
        dims_option,
    ):
        command = option(command)
    return command
