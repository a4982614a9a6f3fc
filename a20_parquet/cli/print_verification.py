"""What a check of a dataset found."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from a20_parquet.cli.notes import note
from a20_parquet.cli.results import show
from a20_parquet.dataset.taken import EVERYTHING, taken_lines
from a20_parquet.formatting import format_bytes, format_count

if TYPE_CHECKING:
    from a20_parquet.conversion.repair import Repair
    from a20_parquet.verification.verify import Verification


def print_verification(verification: "Verification", *, as_json: bool) -> None:
    """Print what is wrong, a line each, and a summary."""
    if as_json:
        found = {"good": verification.is_good, **asdict(verification)}
        click.echo(json.dumps(found, indent=1, default=str))
        return
    for text in verification.notes:
        note(f"note: {text}")
    show(*map(str, verification.problems))
    if further := verification.problem_count - len(verification.problems):
        show(f"… and {format_count(further, 'more problem')}")
    for which, selected, left_out in taken_lines(verification.conversions):
        if selected != EVERYTHING:
            show(f"selected of {which}: {selected}{left_out and f', {left_out}'}")
    source = verification.source
    total = verification.bytes + (source.bytes if source else 0)
    rate = total / max(verification.seconds, 1e-9) / 1e6
    if source:
        show(
            f"{format_count(source.shards, 'shard')}, {format_count(source.records, 'record')}, "
            f"{format_count(source.windows, 'window')}, {format_bytes(source.bytes)}",
            f"in quarantine: {format_count(source.quarantined, 'record')}, "
            f"{format_count(source.damaged, 'damaged place')}",
        )
    show(
        f"{format_count(verification.files, 'file')}, "
        f"{format_count(verification.windows, 'window')}, {format_bytes(verification.bytes)}",
        f"{verification.seconds:.1f} s, {rate:.0f} MB/s",
        "all good" if verification.is_good else _wrong(verification.problem_count),
    )


def _wrong(count: int) -> str:
    return f"{format_count(count, 'problem')} found"


def print_repair(repair: "Repair", *, as_json: bool) -> None:
    """Print what was mended, and a line for each file that is damaged."""
    if as_json:
        click.echo(json.dumps(asdict(repair), indent=1, default=str))
        return
    show(*map(str, repair.problems))
    if further := repair.problem_count - len(repair.problems):
        show(f"… and {format_count(further, 'more problem')}")
    show(
        f"{format_count(repair.files, 'file')}, {repair.mended:,} mended",
        f"{repair.seconds:.1f} s",
        _wrong(repair.problem_count) if repair.problem_count else "nothing left to mend",
    )
