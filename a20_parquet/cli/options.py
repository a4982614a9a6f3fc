"""Arguments and options of the commands, each defined once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from a20_parquet.cli import types
from a20_parquet.cli.sections import Decorator


def count_option(flag: str, text: str, default: int | None = None, *, least: int = 1) -> Decorator:
    """Declare an option with a number."""
    kind = click.IntRange(min=least)
    return click.option(flag, type=kind, metavar="N", default=default, help=text)


def choice_option(flag: str, choices: Sequence[str], text: str, *names: str) -> Decorator:
    """An option with the first choice as its default."""
    return click.option(flag, *names, type=click.Choice(choices), default=choices[0], help=text)


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
    "--size", type=types.SIZE, default="100MB", help="Size of all shards together."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
partition_by_option = choice_option(
    "--partition-by",
    ["site,date", "site,month", "site,year", "site"],
    "Hive keys; each value gets a folder.",
)
workers_option = count_option(
    "--workers", "Number of threads.  [default: the cores that the process may use]"
)


def _memory_option(kind: types.TextType, what: str) -> Decorator:
    return click.option(
        "--memory",
        type=kind,
        help=f"{what}, such as 500MB, 64MiB or 4GiB.  "
        "[default: a quarter of what the process may use]",
    )


memory_option = _memory_option(types.BUDGET, "Size of all buffers together")
table_memory_option = _memory_option(types.SIZE, "Size of all buffers while a table is written")
cluster_option = click.option(
    "--cluster",
    is_flag=True,
    help="Plan for a cluster: --workers is its number of processes, --memory is for each.",
)
sample_option = count_option(
    "--sample", "Number of records to read; more give better estimates.", 4000
)
rate_option = click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MB/s",
    help="Speed of one worker.  [default: measured by converting some of the sample]",
)
scratch_option = click.option(
    "--scratch",
    metavar="FOLDER",
    help="Folder or URL for sorted runs, which are written if the input exceeds --memory.  "
    "[default: inside DATASET]",
)
measured_scratch_option = click.option(
    "--scratch",
    metavar="FOLDER",
    help="Folder or URL for sorted runs: where to measure how fast its disk is.  "
    "[default: the temporary folder]",
)
compression_option = choice_option(
    "--compression",
    ["none", "lz4", "zstd"],
    "Compression of the Parquet files; zstd uses byte-stream-split.",
)
store_option = choice_option(
    "--store",
    ["float32", "float16"],
    "How files store the floats of embeddings. float16 takes half the bytes: exact if shards hold "
    "float16, else rounded.",
)
max_file_size_option = click.option(
    "--max-file-size",
    type=types.SIZE,
    default="512MB",
    help="Embedding bytes per file; larger partitions are split.",
)
row_group_rows_option = count_option("--row-group-rows", "Rows per row group.", 2048)
keys_in_files_option = click.option(
    "--keys-in-files",
    is_flag=True,
    help="Repeat the Hive keys in the files, as columns site_key, date_key and so on, for readers "
    "that take none from folders' names.",
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
model_option = click.option(
    "--model",
    metavar="NAME",
    help="Name and version of the model that made the embeddings, such as 'perch 4', which all "
    "files then carry.  [default: from Perch's config.json beside the shards]",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace the dataset that exists."
)
dims_option = count_option(
    "--dims", "Floats per embedding.  [default: detected from a sample of records]"
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
    type=types.PATTERN,
    help="Pattern for filenames of another form, with named groups: site_id, site_name, "
    "subsite_name, file_seq_id, date, time, offset.",
)
unknown_site_option = click.option(
    "--unknown-site",
    metavar="NAME",
    help="Site for recordings whose filenames lack a site or a date; by default they go to "
    "quarantine.",
)


def site_option_for(verb: str, *names: str) -> Decorator:
    """Declare ``--site`` of a command that does something with sites."""
    return click.option(
        "--site",
        *names,
        multiple=True,
        help=f"{verb} only this site, such as 285, site_0285, or a recorder's name if it has no "
        "id; repeat for more.",
    )


def date_options_for(verb: str) -> Iterator[Decorator]:
    """Declare ``--from`` and ``--until``."""
    for flag, name, text in (
        ("--from", "from_date", "from this local date on, YYYY-MM-DD."),
        ("--until", "until_date", "up to this local date, inclusive."),
    ):
        help_text = f"{verb} only {text}"
        yield click.option(flag, name, type=types.DATE, callback=types.check_days, help=help_text)


only_site_option = site_option_for("Convert")
only_from_option, only_until_option = date_options_for("Convert")
drop_duplicates_option = click.option(
    "--drop-duplicates",
    is_flag=True,
    help="Keep one of several windows of the same recording and time with the same bits.",
)
on_error_option = choice_option(
    "--on-error",
    ["quarantine", "fail"],
    "Records that cannot be converted go to DATASET/quarantine, or stop the conversion.",
)
max_errors_option = count_option(
    "--max-errors", "Stop when more than N records and damaged places are in quarantine.", least=0
)
database_argument = click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
as_option = choice_option(
    "--as",
    ["view", "table"],
    "A view reads the dataset's files at their present paths; a table contains a copy.",
    "as_",
)
force_option = click.option("--force", is_flag=True, help="Replace an existing database.")
decoder_option = choice_option(
    "--decoder",
    ["tensorflow", "wire"],
    "How records are decoded. wire does without TensorFlow, with the same result.",
)
planned_decoder_option = choice_option(
    "--decoder", ["wire", "tensorflow"], "The decoder whose time is forecast."
)
embeddings_option = choice_option(
    "--embeddings",
    ["auto", "located", "copied"],
    "Where embeddings are while windows are sorted: located leaves them in the shards, which are "
    "read twice; copied needs memory or scratch disk for them. auto locates them if all shards "
    "are local and their disk is fast, or they fit into the free memory. The result is the same.",
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
