"""What a person sees: progress on stderr, results on stdout."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from a20_parquet.convert import Conversion
from a20_parquet.demo.tour import Tour
from a20_parquet.inspect import FirstRecord, Inspection
from a20_parquet.source.discover import PassedOver
from a20_parquet.table.filename import EXPECTED

_MAX_SHAPES = 3
_MAX_NAMES = 3


class ConsoleProgress:
    """A bar for each pass with bytes, rate and time left; implements ``progress.Progress``."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:16}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def start(self, name: str, total_bytes: int) -> None:
        """Begin a bar."""
        self._bars.start()
        self._task = self._bars.add_task(name, total=total_bytes)

    def advance(self, count_bytes: int) -> None:
        """Move the current bar."""
        if self._task is not None:
            self._bars.advance(self._task, count_bytes)

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)


def print_conversion(conversion: Conversion, *, as_json: bool) -> None:
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
    dates = f", {_count(totals.dates, 'date')}" if totals.dates else ""
    click.echo(
        f"{_count(totals.shards, 'shard')}, {_count(totals.records, 'record')}, "
        f"{_count(totals.windows, 'window')}\n"
        f"{_count(totals.sites, 'site')}{dates}, {_count(totals.files, 'file')}, "
        f"{format_bytes(totals.bytes)}\n"
        f"{conversion.seconds:.1f} s, {rate:.0f} MB/s, "
        f"{_count(conversion.runs_on_disk, 'run')} on scratch disk\n"
        f"{conversion.dataset}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _passed_over_lines(passed_over: Sequence[PassedOver]) -> Iterator[str]:
    """One line a reason, with the first files' names."""
    names: dict[str, list[str]] = {}
    for file in passed_over:
        names.setdefault(file.reason, []).append(file.url.rpartition("/")[2])
    for reason, found in sorted(names.items()):
        more = f" and {len(found) - _MAX_NAMES:,} more" if len(found) > _MAX_NAMES else ""
        yield f"passed over: {', '.join(found[:_MAX_NAMES])}{more}: {reason}"


def _conversion_json(conversion: Conversion) -> dict[str, Any]:
    return asdict(conversion) | {"totals": conversion.totals.model_dump()}


def format_bytes(count: int) -> str:
    """Write a number of bytes for people, in powers of 1000."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - the step between units
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def print_tour(tour: Tour, *, as_json: bool) -> None:
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


def print_inspections(inspections: Sequence[Inspection], *, as_json: bool) -> None:
    """Print what was found in shards, one block a shard."""
    if as_json:
        found = [asdict(inspection) for inspection in inspections]
        click.echo(json.dumps(found, indent=1, default=str))
        return
    click.echo("\n\n".join(_inspection_text(inspection) for inspection in inspections))


def _inspection_text(inspection: Inspection) -> str:
    compression = inspection.compression or "uncompressed"
    lines = [
        f"{inspection.url}",
        f"  {format_bytes(inspection.bytes)}, {compression}",
        f"  records    {inspection.records:,}",
        f"  windows    {inspection.windows:,}",
        f"  checksums  {'bad: ' + inspection.damage if inspection.damage else 'good'}",
        "  features",
    ]
    width = max((len(feature.name) for feature in inspection.features), default=0)
    for feature in inspection.features:
        shapes = " ".join(str(list(shape)) for shape in feature.shapes[:_MAX_SHAPES])
        varies = f", varies: {len(feature.shapes)} shapes" if len(feature.shapes) > 1 else ""
        lines.append(
            f"    {feature.name:{width}}  {feature.kind:10}  {feature.dtype:8}  {shapes}{varies}"
        )
    if inspection.first:
        lines += _first_record_lines(inspection.first)
    return "\n".join(lines)


def _first_record_lines(first: FirstRecord) -> list[str]:
    told = first.recording or {"": f"not of the form {EXPECTED}"}
    return [
        "  first record",
        f"    filename     {first.filename}",
        *(f"      {name:28} {value}" for name, value in told.items() if value is not None),
        f"    timestamp_s  {first.timestamp_s}",
        f"    embedding    {' '.join(f'{value:.6g}' for value in first.values)} …",
    ]
