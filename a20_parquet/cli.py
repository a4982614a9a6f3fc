"""The command line: parses, calls the function of the same name, prints what it returns."""

import sys
from pathlib import Path
from typing import Any

import click

from a20_parquet import __version__
from a20_parquet.errors import A20ParquetError, UsageError

_EXIT_FAILED, _EXIT_USAGE, _EXIT_INTERRUPTED = 1, 2, 130

sources_argument = click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
dataset_argument = click.argument("dataset", type=click.Path(path_type=Path))
shards_argument = click.argument("shards", nargs=-1, required=True, metavar="SHARD...")
folder_argument = click.argument(
    "folder", type=click.Path(path_type=Path, file_okay=False), default="a20-demo"
)
size_option = click.option(
    "--size", metavar="SIZE", default="100MB", show_default=True, help="Of all shards together."
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
    "--workers", type=int, help="Threads.  [default: the machine's cores]"
)
memory_option = click.option(
    "--memory",
    metavar="SIZE",
    help="All buffers together, such as 500MB, 64MiB or 4GiB.  "
    "[default: a quarter of what the process may use]",
)
scratch_option = click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for sorted runs, needed where the input exceeds --memory.  "
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
    metavar="SIZE",
    default="512MB",
    show_default=True,
    help="Embedding bytes of a file; a larger partition is split.",
)
row_group_rows_option = click.option(
    "--row-group-rows", type=int, default=2048, show_default=True, help="Rows of a row group."
)
window_seconds_option = click.option(
    "--window-seconds",
    type=float,
    help="From one window's start to the next.  [default: Perch's config.json beside the shards, "
    "else 5]",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Delete the dataset that is already there."
)
dims_option = click.option(
    "--dims", type=int, help="Floats an embedding.  [default: those of the first record]"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="a20-parquet")
def cli() -> None:
    """Perch embeddings from TFRecord shards to Hive-partitioned Parquet."""


@cli.command()
@sources_argument
@dataset_argument
@partition_by_option
@workers_option
@memory_option
@scratch_option
@compression_option
@max_file_size_option
@row_group_rows_option
@window_seconds_option
@overwrite_option
@dims_option
@json_option
def convert(sources: tuple[str, ...], dataset: Path, *, as_json: bool, **options: Any) -> None:
    """Convert shards to a dataset.

    SOURCE is a folder, a file, a glob or any fsspec URL; folders are searched whole. DATASET is a
    new or empty folder: give DATASET/data to any Parquet reader.
    """
    from a20_parquet.console import ConsoleProgress, print_conversion
    from a20_parquet.convert import convert

    given = {name: value for name, value in options.items() if value is not None}
    with ConsoleProgress() as progress:
        conversion = convert(sources, dataset, progress=progress, **given)
    print_conversion(conversion, as_json=as_json)


@cli.command()
@shards_argument
@json_option
def inspect(shards: tuple[str, ...], *, as_json: bool) -> None:
    """Show what is in shards: features, counts, checksums and the first record."""
    from a20_parquet.console import print_inspections
    from a20_parquet.inspect import inspect

    print_inspections(inspect(shards), as_json=as_json)


@cli.command()
@folder_argument
@size_option
@json_option
def demo(folder: Path, size: str, *, as_json: bool) -> None:
    """Write realistic shards, convert them, query the result.

    FOLDER gets the shards and the dataset; by default a20-demo in the current folder.
    """
    from a20_parquet.console import ConsoleProgress, print_tour
    from a20_parquet.demo.tour import demo
    from a20_parquet.options import parse_size

    with ConsoleProgress() as progress:
        tour = demo(folder, parse_size(size), progress)
    print_tour(tour, as_json=as_json)


def main() -> None:
    """Run the command line; every error of this package becomes one clean line and exit code."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        _fail("interrupted", _EXIT_INTERRUPTED)
    except KeyboardInterrupt:
        _fail("interrupted", _EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except UsageError as error:
        _fail(str(error), _EXIT_USAGE)
    except A20ParquetError as error:
        _fail(str(error), _EXIT_FAILED)


def _fail(message: str, code: int) -> None:
    click.echo(f"a20-parquet: {message}", err=True)
    sys.exit(code)
