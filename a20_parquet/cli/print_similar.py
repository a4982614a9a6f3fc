"""Results of searches and of scoring: lines, CSV or JSON."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from a20_parquet.cli.console import note, short_path, show, show_csv, show_json
from a20_parquet.formatting import format_count

if TYPE_CHECKING:
    import polars as pl

    from a20_parquet.query.score import Scores

_TIME = "%Y-%m-%d %H:%M:%S"


def print_similar(found: "pl.DataFrame", *, as_csv: bool, as_json: bool) -> None:
    """Print the windows that were found, each as ``--to`` takes it."""
    if as_csv:
        show_csv(found.write_csv())
        return
    rows = found.to_dicts()
    if as_json:
        show_json(rows, datetime.isoformat)
        return
    width = max((len(row["site"]) for row in rows), default=0)
    for query, of_query in groupby(rows, lambda row: row.get("query")):
        if query is not None:
            show(f"query {query}")
        for row in of_query:
            show("  ".join(_parts(row, width)))


def _parts(row: dict[str, Any], site_width: int) -> Iterator[str]:
    value = row.get("similarity", row.get("distance"))
    yield f"{value:7.4f}"
    yield f"{row['site']:{site_width}}"
    yield f"{_time(row['window_start'], row['window_start_local']):50}"
    channel = f" channel {row['channel']}" if row["channel"] else ""
    yield f"{row['filename']}@{row['recording_offset_in_file']:.15g}{channel}"
    if row.get("link"):
        yield row["link"]


def _time(start: datetime | None, local: datetime | None) -> str:
    if start is None:
        return "no date"
    # The local time is UTC where it is unknown.
    is_known = local is not None and local != start.replace(tzinfo=None)
    return f"{start:{_TIME}} UTC" + (f"  {local:{_TIME}} local" if is_known else "")


def print_scores(scores: "Scores", *, as_json: bool) -> None:
    """Print what was written, and where."""
    if as_json:
        show_json(asdict(scores))
        return
    if scores.was_complete:
        note("nothing left to do: these scores are complete")
    show(
        f"{format_count(scores.rows, 'score')} of {len(scores.classes):,} "
        f"{'class' if len(scores.classes) == 1 else 'classes'} in "
        f"{format_count(scores.files, 'file')}",
        short_path(scores.folder),
    )


def print_links(links: dict[str, str], *, as_json: bool) -> None:
    """Print templates of links, a line each."""
    if as_json:
        show_json(links)
        return
    for name, template in links.items():
        show(f"{name}  {template}")
    if not links:
        note("no links are kept in this dataset")
