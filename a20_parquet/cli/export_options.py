"""Options of ``export``, and those that leave out windows of a conversion too."""

import click

from a20_parquet.cli.options import choice_option, count_option

out_argument = click.argument("out", metavar="OUT")
only_where_option = click.option(
    "--where",
    metavar="EXPR",
    help="Take only windows for which this SQL condition is true, such as "
    '"hour(window_start_local) between 4 and 6".',
)
windows_option = click.option(
    "--windows",
    metavar="CSV",
    help="Take only the windows of this list: filename and recording_offset_in_file (and channel), "
    "or start_s and end_s, or timestamp_s of records.",
)
exclude_option = click.option(
    "--exclude",
    metavar="CSV",
    help="Leave out what this list names: filename and timestamp_s of records, or start_s and "
    "end_s, or recording_offset_in_file of windows.",
)
taken_where_option = click.option(
    "--where",
    metavar="EXPR",
    help="Convert only windows for which this SQL condition on metadata and --feature columns is "
    'true, such as "nuisances[1] <= -0.25".',
)
excluded_option = click.option(
    "--exclude",
    multiple=True,
    metavar="CSV",
    help="With --source: the list that the conversion was given as --exclude; repeat for more.",
)
per_option = click.option(
    "--per",
    nargs=2,
    type=(str, click.IntRange(min=1)),
    metavar="COLUMNS N",
    help="Take N windows of each group of equal values, such as site,date 100; all of a group that "
    "has fewer.",
)
seed_option = count_option("--seed", "Another number draws another sample.", 0, least=0)
as_option = choice_option(
    "--as",
    ["dataset", "parquet", "npy", "tfrecord", "hoplite"],
    "A dataset, one Parquet file, a .npy file with its metadata in a .parquet file, shards as "
    "Perch writes them, or a Hoplite database (needs perch-hoplite).",
    "as_",
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace what an export has written to OUT."
)
