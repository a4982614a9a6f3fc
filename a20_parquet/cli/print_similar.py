"""Results of searches: a line a window, CSV or JSON."""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from a20_parquet.cli.console import show, show_csv, show_json

if TYPE_CHECKING:
    import polars as pl

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
    start, local = row["window_start"], row["window_start_local"]
    time = "no date" if start is None else f"{start:{_TIME}} UTC  {local:{_TIME}} local"
    yield f"{time:50}"
    channel = f" channel {row['channel']}" if row["channel"] else ""
    yield f"{row['filename']}@{row['recording_offset_in_file']:.15g}{channel}"
    if row.get("link"):
        yield row["link"]
