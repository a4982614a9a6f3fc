"""Options of ``similar`` and ``score``."""

from pathlib import Path
from typing import Any

import click

from a20_parquet.cli import types
from a20_parquet.cli.options import (
    choice_option,
    count_option,
    date_options_for,
    site_option_for,
)

csv_option = click.option("--csv", "as_csv", is_flag=True, help="Print the result as CSV.")
to_option = click.option(
    "--to",
    type=types.WINDOW,
    required=True,
    metavar="FILENAME@OFFSET|FILE.csv|FILE.npy",
    help="The window to compare with, as its recording's filename and its offset in seconds; a CSV "
    "file of such names; or a file with one embedding, or one a row.",
)
top_option = count_option("--top", "Number of windows to show for each query.", 10)
classifier_option = click.option(
    "--classifier",
    required=True,
    metavar="FILE",
    help="Weights, bias, classes and thresholds: JSON, that of QUT's embeddings-classifier or "
    "Perch, or .npz; see docs/scoring.md.",
)
scores_option = click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="Folder for the scores; give it again to resume.",
)
threshold_option = click.option(
    "--threshold",
    type=float,
    metavar="SCORE",
    help="Least score of windows that are written, for all classes.  [default: the file's]",
)
top_scores_option = count_option(
    "--top", "Write only the best N windows of each class, whatever the thresholds."
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace other scores in the folder."
)
link_name_argument = click.argument("name", required=False)
template_argument = click.argument("template", required=False)
metric_option = choice_option(
    "--metric", ["cosine", "dot", "euclidean"], "How embeddings are compared."
)
exclude_option = choice_option(
    "--exclude",
    ["none", "self", "recording"],
    "Leave out the window in --to itself, or all windows of its recording.",
)
hours_option = click.option(
    "--hours",
    metavar="FROM-UNTIL",
    help="Search only windows that start in these hours of the local day, such as 4-7, 22-4 or "
    "04:30-06:15; the end is not included.",
)
where_option = click.option(
    "--where",
    metavar="SQL",
    help='Search only windows that pass this condition, such as "month(date) in (10, 11) and '
    "subsite_name ilike 'dry%'\".",
)
link_option = click.option(
    "--link",
    metavar="TEMPLATE|NAME",
    help="Also give links, by a template that a20-parquet link has kept or such as 'https://example.org/{file_seq_id}"
    "?start={recording_offset_in_file}&end={recording_offset_in_file+5}'.",
)
channel_option = count_option(
    "--channel", "Channel of the windows in --to; the search covers all channels.", 0, least=0
)
site_option = site_option_for("Search", "sites")
from_option, until_option = date_options_for("Search")


def selection_options(command: Any) -> Any:
    """Add the options that say which windows are searched, and link them to their audio."""
    for option in (
        link_option,
        where_option,
        hours_option,
        until_option,
        from_option,
        site_option,
    ):
        command = option(command)
    return command
