"""What was made of shards: a dataset, the notebook's files, the demo."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from a20_parquet.amounts import format_bytes, format_count
from a20_parquet.console.notes import note
from a20_parquet.console.paths import shown
from a20_parquet.console.results import show
from a20_parquet.table.name_parts import EXPECTED
from a20_parquet.table.rejection import Reason

if TYPE_CHECKING:
    from a20_parquet.conversion import Conversion
    from a20_parquet.demo.tour import Tour
    from a20_parquet.npy_json import NotebookFiles
    from a20_parquet.source.discover import PassedOver

_MAX_NAMES = 3
_MENDED_BY = {
    Reason.BAD_FILENAME: "--unknown-site or --filename-pattern",
    Reason.NO_SAMPLE_RATE: "--sample-rate",
}


def print_conversion(conversion: "Conversion", *, as_json: bool) -> None:
    """Print the closing summary of a conversion."""
    if as_json:
        click.echo(json.dumps(_conversion_json(conversion), indent=1, default=str))
        return
    for line in (*_passed_over_lines(conversion.passed_over), *_remarks(conversion)):
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
    held = f"{format_count(conversion.held_shards, 'shard')} held already"
    if not done:
        yield f"nothing left to do: {held}"
    elif conversion.held_shards or totals.windows > conversion.new_windows:
        windows = format_count(conversion.new_windows, "window")
        more = f"; {held}" if conversion.held_shards else ""
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
    yield shown(conversion.dataset)
    if conversion.npy_json:
        yield shown(conversion.npy_json)


def _remarks(conversion: "Conversion") -> Iterator[str]:
    """What a user should know besides the totals."""
    yield from map(str, conversion.assumptions)
    if conversion.hop_remark:
        yield conversion.hop_remark
    yield from conversion.other_options
    yield from _selection_lines(conversion)
    if conversion.other_features:
        names = ", ".join(conversion.other_features)
        yield f"left out: features {names}; --feature NAME carries one along"
    yield from _width_lines(conversion)
    if conversion.shape_disagreements:
        records = format_count(conversion.shape_disagreements, "record")
        yield f"{records} with an embedding_shape that is not the tensor's: the tensor's counts"
    if conversion.retries:
        yield f"{format_count(conversion.retries, 'request')} to stores repeated after a failure"
    yield from _duplicate_lines(conversion)
    if conversion.hint:
        yield f"hint: {conversion.hint}"
    if conversion.quarantine:
        place = f"{shown(conversion.dataset)}/quarantine"
        yield f"what could not be converted is in {place}, each with its reason in a .jsonl file"
        for reason, options in _MENDED_BY.items():
            if reason in conversion.quarantine:
                yield (
                    f"{reason}: mended by converting {place} into the same dataset with {options}"
                )


def _width_lines(conversion: "Conversion") -> Iterator[str]:
    if conversion.widths:
        (own, taken), *others = conversion.widths
        left = ", ".join(f"{format_count(n, 'record')} of {dims}" for dims, n in others)
        options = " or ".join(f"--dims {dims}" for dims, _ in others)
        yield (
            f"widths: {format_count(taken, 'record')} with embeddings of {own} floats, and in "
            f"quarantine {left}; {options} takes these, into a dataset of their own"
        )


def _selection_lines(conversion: "Conversion") -> Iterator[str]:
    if conversion.left_out:
        left_out = format_count(conversion.left_out, "window")
        yield f"left out: {left_out} of other sites, dates or channels"
    if conversion.missing_sites:
        yield f"not found: no recording is of --site {', '.join(conversion.missing_sites)}"


def _duplicate_lines(conversion: "Conversion") -> Iterator[str]:
    for urls in conversion.copies[:_MAX_NAMES]:
        yield f"copies: {_first_names(urls)} hold the same records"
    if (further := len(conversion.copies) - _MAX_NAMES) > 0:
        yield f"copies: and {further:,} more such groups of shards"
    counts = conversion.duplicates
    if counts.identical:
        done = "dropped" if conversion.dropped_duplicates else "kept; --drop-duplicates drops them"
        windows = format_count(counts.identical, "window")
        yield f"duplicates: {windows} equal to others of the same recording and time: {done}"
    if counts.different:
        windows = format_count(counts.different, "window")
        yield f"duplicates: {windows} of the same recording and time as others differ: all kept"
    if counts.names:
        yield f"duplicates: such as {', '.join(counts.names[:_MAX_NAMES])}"


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
        show("", f"# {query.title}", f">>> {query.setup}")
        show(*f">>> {code}\n{query.answer.rstrip()}".split("\n"))


def print_notebook_files(files: "NotebookFiles", *, as_json: bool) -> None:
    """Print what was written in the notebook's form."""
    if as_json:
        click.echo(json.dumps(asdict(files), indent=1, default=str))
        return
    for line in _passed_over_lines(files.passed_over):
        note(line)
    if files.left_out:
        names = ", ".join(files.left_out_names)
        more = ", …" if files.left_out > len(files.left_out_names) else ""
        note(
            f"left out: {format_count(files.left_out, 'record')} of recordings whose names can't "
            f"be read ({names}{more}), expected {EXPECTED}"
        )
    rate = files.source_bytes / files.seconds / 1e6
    show(
        f"{format_count(files.shards, 'shard')}, {format_count(files.records, 'record')}, "
        f"{format_count(files.windows, 'window')}",
        f"{files.seconds:.1f} s, {rate:.0f} MB/s",
        shown(files.folder),
    )


def _first_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES:,} more" if len(names) > _MAX_NAMES else ""
    return f"{', '.join(names[:_MAX_NAMES])}{more}"


def _passed_over_lines(passed_over: Sequence["PassedOver"]) -> Iterator[str]:
    """One line a reason, with the first files' names."""
    names: dict[str, list[str]] = {}
    for file in passed_over:
        names.setdefault(file.reason, []).append(file.url.rpartition("/")[2])
    for reason, found in sorted(names.items()):
        yield f"passed over: {_first_names(found)}: {reason}"


def _conversion_json(conversion: "Conversion") -> dict[str, Any]:
    return asdict(conversion) | {
        "totals": conversion.totals.model_dump(),
        "duplicates": conversion.duplicates.model_dump(),
        "assumptions": [assumption.model_dump() for assumption in conversion.assumptions],
    }
