"""Arguments and options of the commands, each defined once."""

from pathlib import Path
from typing import Any

import click

from a20_parquet.cli import types

sources_argument = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
dataset_argument = click.argument("dataset")
existing_dataset_argument = click.argument("dataset", type=types.ExistingDataset())
shards_argument = click.argument("shards", nargs=-1, required=True, metavar="SHARD...")
source_option = click.option(
    "--source",
    multiple=True,
    metavar="SOURCE",
    help="Shards that the dataset was made of: a folder, a file, a glob or any fsspec URL; may be "
    "given again for more. All of them must be given.",
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
    help="Where the page goes; of what is there only a report is replaced.  "
    "[default: NAME-report.html in the current folder]",
)
size_option = click.option(
    "--size",
    type=types.Size(),
    metavar="SIZE",
    default="100MB",
    show_default=True,
    help="Of all shards together.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
partition_by_option = click.option(
    "--partition-by",
    type=click.Choice(["site,date", "site,month", "site,year", "site"]),
    default="site,date",
    show_default=True,
    help="Hive keys: one folder for each value.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads.  [default: the machine's cores]",
)
memory_option = click.option(
    "--memory",
    type=types.Budget(),
    metavar="SIZE",
    help="All buffers together, such as 500MB, 64MiB or 4GiB.  "
    "[default: a quarter of what the process may use]",
)
table_memory_option = click.option(
    "--memory",
    type=types.Size(),
    metavar="SIZE",
    help="All buffers together while a table is made, such as 500MB, 64MiB or 4GiB.  "
    "[default: a quarter of what the process may use]",
)
cluster_option = click.option(
    "--cluster",
    is_flag=True,
    help="Plan for a cluster: --workers are its processes, each with --memory for itself.",
)
sample_option = click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    default=4000,
    show_default=True,
    help="Records to read; more make estimates surer.",
)
rate_option = click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MB/s",
    help="What one worker converts in a second.  [default: reading as measured here, the rest as "
    "benchmarked]",
)
scratch_option = click.option(
    "--scratch",
    metavar="FOLDER",
    help="Folder or URL for sorted runs, needed where the input exceeds --memory.  "
    "[default: inside DATASET]",
)
compression_option = click.option(
    "--compression",
    type=click.Choice(["none", "lz4", "zstd"]),
    default="none",
    show_default=True,
    help="Of the Parquet files; zstd goes with byte-stream-split.",
)
max_file_size_option = click.option(
    "--max-file-size",
    type=types.Size(),
    metavar="SIZE",
    default="512MB",
    show_default=True,
    help="Embedding bytes of a file; a larger partition is split.",
)
row_group_rows_option = click.option(
    "--row-group-rows",
    type=click.IntRange(min=1),
    metavar="N",
    default=2048,
    show_default=True,
    help="Rows of a row group.",
)
window_seconds_option = click.option(
    "--window-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="From one window's start to the next.  [default: Perch's config.json beside the shards, "
    "else 5]",
)
sample_rate_option = click.option(
    "--sample-rate",
    type=float,
    metavar="HZ",
    help="Of the recordings, where records have the older timestamp_offset, which counts samples.  "
    "[default: Perch's config.json beside the shards]",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Delete the dataset that is already there."
)
dims_option = click.option(
    "--dims",
    type=click.IntRange(min=1),
    metavar="N",
    help="Floats an embedding.  [default: those of all records that are looked at]",
)
feature_option = click.option(
    "--feature",
    multiple=True,
    metavar="NAME[:FORM]",
    help="Carry this feature of the records along as a column; may be given again for more. FORM "
    "says what records alone do not tell, such as record, window or string[99]:record.",
)
channels_option = click.option(
    "--channels", metavar="NUMBERS", help="Channels to take, such as 0,2.  [default: all]"
)
sites_option = click.option(
    "--sites",
    metavar="FILE",
    help="Table of recorders: CSV, JSON or Parquet with name, site_id and, where known, "
    "time_zone, latitude, longitude, clock (UTC or local).",
)
filename_pattern_option = click.option(
    "--filename-pattern",
    type=types.Pattern(),
    metavar="REGEX",
    help="For filenames of another form, with named groups: site_id, site_name, subsite_name, "
    "file_seq_id, date, time, offset.",
)
unknown_site_option = click.option(
    "--unknown-site",
    metavar="NAME",
    help="Site of recordings whose names tell no site or no date, which else go to quarantine.",
)
only_site_option = click.option(
    "--site",
    multiple=True,
    help="Take only this site, such as 285, site_0285, or a recorder's name where it has no id; "
    "may be given again.",
)
only_from_option = click.option(
    "--from",
    "from_date",
    type=types.Day(),
    callback=types.check_days,
    metavar="DATE",
    help="Take only from this local date on, YYYY-MM-DD.",
)
only_until_option = click.option(
    "--until",
    "until_date",
    type=types.Day(),
    callback=types.check_days,
    metavar="DATE",
    help="Take only until this local date, inclusive.",
)
drop_duplicates_option = click.option(
    "--drop-duplicates",
    is_flag=True,
    help="Leave out windows that equal another one of the same recording and time bit for bit.",
)
on_error_option = click.option(
    "--on-error",
    type=click.Choice(["quarantine", "fail"]),
    default="quarantine",
    show_default=True,
    help="What can't be converted goes to DATASET/quarantine, or stops the conversion.",
)
max_errors_option = click.option(
    "--max-errors",
    type=click.IntRange(min=0),
    metavar="N",
    help="Give up when more than N records and damaged places went to quarantine.",
)
database_argument = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
as_option = click.option(
    "--as",
    "as_",
    type=click.Choice(["view", "table"]),
    default="view",
    show_default=True,
    help="A view reads the dataset's files where they lie now; a table holds a copy.",
)
force_option = click.option("--force", is_flag=True, help="Replace a database.")
to_option = click.option(
    "--to",
    type=types.Window(),
    required=True,
    metavar="FILENAME@OFFSET|FILE.npy",
    help="The window whose neighbours are wanted, by its recording's filename and its offset in "
    "seconds, or a file that holds one embedding.",
)
top_option = click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    default=10,
    show_default=True,
    help="How many windows are wanted.",
)
channel_option = click.option(
    "--channel",
    type=click.IntRange(min=0),
    metavar="N",
    default=0,
    show_default=True,
    help="Of the window in --to; the search covers all channels.",
)
site_option = click.option(
    "--site",
    "sites",
    multiple=True,
    help="Search only this site, such as 285, site_0285, or a recorder's name where it has no id; "
    "may be given again for more.",
)
from_option = click.option(
    "--from",
    "from_date",
    type=types.Day(),
    callback=types.check_days,
    metavar="DATE",
    help="Search only from this local date on, YYYY-MM-DD.",
)
until_option = click.option(
    "--until",
    "until_date",
    type=types.Day(),
    callback=types.check_days,
    metavar="DATE",
    help="Search only until this local date, inclusive.",
)
decoder_option = click.option(
    "--decoder",
    type=click.Choice(["tensorflow", "wire"]),
    default="tensorflow",
    show_default=True,
    help="What decodes records. wire reads their bytes itself, and gives the same.",
)
dask_option = click.option(
    "--dask",
    metavar="ADDRESS|local:N",
    help="Have the workers of a Dask cluster do the work: its scheduler's address, such as "
    "tcp://10.0.0.1:8786, or local:N for N processes on this machine. --memory is for each.",
)
npy_json_option = click.option(
    "--npy-json",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Also write the notebook's files: FOLDER/embeddings/SHARD.npy and "
    "FOLDER/metadata/SHARD.json.",
)


def reading_options(command: Any) -> Any:
    """Add the options that say what is taken of shards, and how filenames are read."""
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
