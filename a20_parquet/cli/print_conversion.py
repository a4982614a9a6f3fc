"""Results of conversions: a dataset, the notebook's files, the demo."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from a20_parquet.cli.console import note, short_path, show, show_json
from a20_parquet.conversion.result import conversion_remarks, passed_over_remarks
from a20_parquet.formatting import format_bytes, format_count
from a20_parquet.windows.filenames.patterns import EXPECTED

if TYPE_CHECKING:
    from a20_parquet.conversion.result import Conversion
    from a20_parquet.demo.tour import Tour
    from a20_parquet.notebook.npy_json import NotebookFiles


def print_conversion(conversion: "Conversion", *, as_json: bool) -> None:
    """Print the closing summary of a conversion."""
    if as_json:
        show_json(_conversion_json(conversion))
        return
    for line in conversion_remarks(conversion, short_path(conversion.dataset)):
        note(line)
    show(*_summary_lines(conversion))


def _summary_lines(conversion: "Conversion") -> Iterator[str]:
    totals = conversion.totals
    done = []
    if conversion.new_shards:
        done.append(format_count(conversion.new_shards, "new shard"))
    if conversion.retried_shards:
        again = format_count(conversion.retried_shards, "shard")
        done.append(f"{again} in quarantine tried again")
    existing = f"{format_count(conversion.held_shards, 'shard')} already converted"
    if not done:
        yield f"nothing left to do: {existing}"
    elif conversion.held_shards or totals.windows > conversion.new_windows:
        windows = format_count(conversion.new_windows, "window")
        more = f"; {existing}" if conversion.held_shards else ""
        yield f"{', '.join(done)}: {windows}{more}"
    dates = f", {format_count(totals.dates, 'date')}" if totals.dates else ""
    yield (
        f"{format_count(totals.shards, 'shard')}, {format_count(totals.records, 'record')}, "
        f"{format_count(totals.windows, 'window')}"
    )
    yield (
        f"{format_count(totals.sites, 'site')}{dates}, {format_count(totals.files, 'file')}, "
        f"{format_bytes(totals.bytes)}"
    )
    if conversion.quarantine:
        reasons = ", ".join(f"{count:,} {why}" for why, count in conversion.quarantine.items())
        damaged = f" and {format_count(totals.damaged, 'damaged place')}" if totals.damaged else ""
        yield f"{format_count(totals.quarantined, 'record')}{damaged} in quarantine: {reasons}"
    if done:
        rate = conversion.source_bytes / conversion.seconds / 1e6
        runs = format_count(conversion.runs_on_disk, "run")
        yield f"{conversion.seconds:.1f} s, {rate:.0f} MB/s, {runs} on scratch disk"
    yield short_path(conversion.dataset)
    if conversion.npy_json:
        yield short_path(conversion.npy_json)


def print_tour(tour: "Tour", *, as_json: bool) -> None:
    """Print what the demo did, each query with the code that a user would type."""
    if as_json:
        queries = [asdict(query) for query in tour.queries]
        show_json({"conversion": _conversion_json(tour.conversion), "queries": queries})
        return
    print_conversion(tour.conversion, as_json=False)
    for query in tour.queries:
        code = query.code.replace("\n", "\n... ")
        show("", f"# {query.title}", f">>> {query.setup}")
        show(*f">>> {code}\n{query.answer.rstrip()}".split("\n"))


def print_notebook_files(files: "NotebookFiles", *, as_json: bool) -> None:
    """Print how many of the notebook's files were written, and where."""
    if as_json:
        show_json(asdict(files))
        return
    for line in passed_over_remarks(files.passed_over):
        note(line)
    if files.left_out:
        names = ", ".join(files.left_out_names)
        more = ", …" if files.left_out > len(files.left_out_names) else ""
        note(
            f"left out: {format_count(files.left_out, 'record')} of recordings whose names "
            f"cannot be read ({names}{more}), expected {EXPECTED}"
        )
    rate = files.source_bytes / files.seconds / 1e6
    show(
        f"{format_count(files.shards, 'shard')}, {format_count(files.records, 'record')}, "
        f"{format_count(files.windows, 'window')}",
        f"{files.seconds:.1f} s, {rate:.0f} MB/s",
        short_path(files.folder),
    )


def _conversion_json(conversion: "Conversion") -> dict[str, Any]:
    return asdict(conversion) | {
        "totals": conversion.totals.model_dump(),
        "duplicates": conversion.duplicates.model_dump(),
        "excluded": conversion.excluded and conversion.excluded.model_dump(),
        "exclude": conversion.exclude and conversion.exclude.model_dump(),
        "rounding": conversion.rounding and asdict(conversion.rounding),
        "assumptions": [assumption.model_dump() for assumption in conversion.assumptions],
    }
