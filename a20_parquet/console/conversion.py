"""What was made of shards: a dataset, the notebook's files, the demo."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from a20_parquet.amounts import format_bytes, format_count
from a20_parquet.console.paths import shown
from a20_parquet.table.name_parts import EXPECTED

if TYPE_CHECKING:
    from a20_parquet.convert import Conversion
    from a20_parquet.demo.tour import Tour
    from a20_parquet.npy_json import NotebookFiles
    from a20_parquet.source.discover import PassedOver

_MAX_NAMES = 3


def print_conversion(conversion: "Conversion", *, as_json: bool) -> None:
    """Print the closing summary of a conversion."""
    if as_json:
        click.echo(json.dumps(_conversion_json(conversion), indent=1, default=str))
        return
    totals = conversion.totals
    for line in _passed_over_lines(conversion.passed_over):
        click.echo(line, err=True)
    if conversion.hint:
        click.echo(f"hint: {conversion.hint}", err=True)
    rate = conversion.source_bytes / conversion.seconds / 1e6
    dates = f", {format_count(totals.dates, 'date')}" if totals.dates else ""
    click.echo(
        f"{format_count(totals.shards, 'shard')}, {format_count(totals.records, 'record')}, "
        f"{format_count(totals.windows, 'window')}\n"
        f"{format_count(totals.sites, 'site')}{dates}, {format_count(totals.files, 'file')}, "
        f"{format_bytes(totals.bytes)}\n"
        f"{conversion.seconds:.1f} s, {rate:.0f} MB/s, "
        f"{format_count(conversion.runs_on_disk, 'run')} on scratch disk\n"
        f"{shown(conversion.dataset)}"
    )
    if conversion.npy_json:
        click.echo(shown(conversion.npy_json))


def print_tour(tour: "Tour", *, as_json: bool) -> None:
    """Print what the demo did, each query with the code that a user would type."""
    if as_json:
        queries = [asdict(query) for query in tour.queries]
        found = {"conversion": _conversion_json(tour.conversion), "queries": queries}
        click.echo(json.dumps(found, indent=1, default=str))
        return
    print_conversion(tour.conversion, as_json=False)
    for query in tour.queries:
        code = query.code.replace("\n", "\n... ")
        click.echo(f"\n# {query.title}\n>>> {query.setup}\n>>> {code}\n{query.answer.rstrip()}")


def print_notebook_files(files: "NotebookFiles", *, as_json: bool) -> None:
    """Print what was written in the notebook's form."""
    if as_json:
        click.echo(json.dumps(asdict(files), indent=1, default=str))
        return
    for line in _passed_over_lines(files.passed_over):
        click.echo(line, err=True)
    if files.left_out:
        names = ", ".join(files.left_out_names)
        more = ", …" if files.left_out > len(files.left_out_names) else ""
        click.echo(
            f"left out: {format_count(files.left_out, 'record')} of recordings whose names can't "
            f"be read ({names}{more}), expected {EXPECTED}",
            err=True,
        )
    rate = files.source_bytes / files.seconds / 1e6
    click.echo(
        f"{format_count(files.shards, 'shard')}, {format_count(files.records, 'record')}, "
        f"{format_count(files.windows, 'window')}\n{files.seconds:.1f} s, {rate:.0f} MB/s\n"
        f"{shown(files.folder)}"
    )


def _passed_over_lines(passed_over: Sequence["PassedOver"]) -> Iterator[str]:
    """One line a reason, with the first files' names."""
    names: dict[str, list[str]] = {}
    for file in passed_over:
        names.setdefault(file.reason, []).append(file.url.rpartition("/")[2])
    for reason, found in sorted(names.items()):
        more = f" and {len(found) - _MAX_NAMES:,} more" if len(found) > _MAX_NAMES else ""
        yield f"passed over: {', '.join(found[:_MAX_NAMES])}{more}: {reason}"


def _conversion_json(conversion: "Conversion") -> dict[str, Any]:
    return asdict(conversion) | {"totals": conversion.totals.model_dump()}
