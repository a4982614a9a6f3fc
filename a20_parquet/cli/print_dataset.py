"""Results about a dataset: its contents, checks, and what was made from it."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from a20_parquet.cli.console import note, short_path, show, show_json
from a20_parquet.dataset.taken import EVERYTHING, taken_lines
from a20_parquet.formatting import format_bytes, format_count

if TYPE_CHECKING:
    from a20_parquet.conversion.repair import Repair
    from a20_parquet.exporting.export import Export
    from a20_parquet.query.duckdb_file import DuckDBFile
    from a20_parquet.query.info import DatasetInfo, Partition
    from a20_parquet.verification.verify import Verification


def print_info(info: "DatasetInfo", *, as_json: bool) -> None:
    """Print what a dataset contains."""
    if as_json:
        models = {"assumptions": info.assumptions, "origins": info.origins}
        values = asdict(info) | {
            name: [each.model_dump() for each in several] for name, several in models.items()
        }
        show_json(values)
        return
    if info.hint:
        note(f"hint: {info.hint}")
    show(info.dataset if "://" in info.dataset else short_path(Path(info.dataset)))
    for name, text in _lines(info):
        show(f"  {name:11} {text}")


def _lines(info: "DatasetInfo") -> Iterator[tuple[str, str]]:
    made_of = f"{format_count(info.records, 'record')} in {format_count(info.shards, 'shard')}"
    if info.origins:
        made_of = f"{format_count(info.origins[0].total_windows, 'window')} of the whole"
    each = f"{info.window_seconds:g} s, {info.dims:,} floats each"
    about = info.description
    yield "windows", f"{info.windows:,} of {each}, from {made_of}"
    for origin in info.origins:
        yield "part of", f"{origin.dataset}: {origin}"
    yield "model", f"{about.model or 'unknown'}{_audio(about.window_seconds)}"
    yield "sites", _span(info.sites, info.first_site, info.last_site)
    if info.periods:
        periods = info.periods
        without = f", {periods.windows_without:,} windows without" * bool(periods.windows_without)
        span = _span(periods.count, periods.first, periods.last)
        yield f"{periods.key}s", f"{span}{without}"
    if info.first_window_start and info.last_window_start:
        first, last = (
            f"{at:%Y-%m-%d %H:%M}" for at in (info.first_window_start, info.last_window_start)
        )
        yield "time", f"{first} to {last} UTC"
    median = info.median_file_bytes
    half = "" if median is None else f", half under {format_bytes(median)}"
    yield "files", f"{info.files:,}, {format_bytes(info.bytes)}{half}, {_compressed(info)}"
    yield from _rounding(info)
    yield "Hive keys", info.partition_by
    if info.largest and info.smallest:
        yield "largest", _partition(info.largest)
        yield "smallest", _partition(info.smallest)
    by = f", written by version {' and '.join(about.versions)}" if about.versions else ""
    yield "id", f"{about.id}{by}"
    if not info.origins:
        yield "shards", f"{info.shards:,}, {format_bytes(info.shard_bytes)}"
    for which, selected, left_out in taken_lines(info.conversions):
        yield "selected", f"{which}: {selected}{left_out and f', {left_out}'}"
    for assumption in info.assumptions:
        yield "assumed", f"{assumption.about}: {assumption.text}"
    for remark in info.hop_remarks:
        yield "remark", remark
    yield "quarantine", ", ".join(f"{n:,} {why}" for why, n in info.quarantine.items()) or "empty"


def _rounding(info: "DatasetInfo") -> Iterator[tuple[str, str]]:
    if info.rounding is not None:
        yield "rounding", str(info.rounding)


def _audio(window_s: float | None) -> str:
    return "" if window_s is None else f", {window_s:g} s of audio a window"


def _span(count: int, first: str | None, last: str | None) -> str:
    if first is None or first == last:
        return f"{count:,}" if first is None else f"{count:,}: {first}"
    return f"{count:,}: {first} to {last}"


def _compressed(info: "DatasetInfo") -> str:
    store = "" if info.store == "float32" else f"{info.store}, "
    how = "uncompressed" if info.compression == "none" else f"compressed with {info.compression}"
    return f"{store}{how}"


def _partition(partition: "Partition") -> str:
    keys = "/".join(f"{key}={value}" for key, value in partition.keys.items())
    windows = format_count(partition.windows, "window")
    files = f" in {partition.files} files" if partition.files > 1 else ""
    return f"{keys}: {windows}, {format_bytes(partition.bytes)}{files}"


def print_report(path: Path, *, as_json: bool) -> None:
    """Print the path of a report."""
    show(json.dumps({"report": str(path)}) if as_json else short_path(path))


def print_database(made: "DuckDBFile", *, as_json: bool) -> None:
    """Print what a DuckDB database contains, and its path."""
    if as_json:
        values = {name.rstrip("_"): value for name, value in asdict(made).items()}
        show_json(values)
        return
    windows, files = format_count(made.windows, "window"), format_count(made.files, "file")
    show(f"{made.as_} windows: {windows} of {files}, {format_bytes(made.bytes)}")
    show(short_path(made.file))


def print_export(made: "Export", *, as_json: bool) -> None:
    """Print what was exported, and where it is."""
    if as_json:
        show_json(asdict(made), str)
        return
    for line in made.remarks:
        note(line)
    show(
        f"{made.windows:,} of {format_count(made.total_windows, 'window')}",
        f"{format_count(made.files, 'file')}, {format_bytes(made.bytes)}",
        f"{made.seconds:.1f} s",
        short_path(made.out),
    )


def print_verification(verification: "Verification", *, as_json: bool) -> None:
    """Print what is wrong, a line each, and a summary."""
    if as_json:
        show_json({"good": verification.is_good, **asdict(verification)})
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
        show_json(asdict(repair))
        return
    show(*map(str, repair.problems))
    if further := repair.problem_count - len(repair.problems):
        show(f"… and {format_count(further, 'more problem')}")
    show(
        f"{format_count(repair.files, 'file')}, {repair.mended:,} mended",
        f"{repair.seconds:.1f} s",
        _wrong(repair.problem_count) if repair.problem_count else "nothing left to mend",
    )
