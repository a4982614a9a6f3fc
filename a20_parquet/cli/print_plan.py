"""Results of ``plan``, on one screen."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from a20_parquet.cli.console import show, show_json
from a20_parquet.formatting import format_bytes, format_count, format_seconds

if TYPE_CHECKING:
    from a20_parquet.planning.advice import Advice
    from a20_parquet.planning.forecast import Forecast
    from a20_parquet.planning.partitions import KeyForecast
    from a20_parquet.planning.plan import ConversionPlan
    from a20_parquet.planning.ways import WayForecast

_COLUMNS = ("partitions", "", "files", "median", "mean", "all")
_WAY_COLUMNS = ("read", "written", "scratch", "buffers", "units", "runs", "ranges", "time")


def print_plan(plan: "ConversionPlan", *, as_json: bool) -> None:
    """Print the plan of a conversion."""
    if as_json:
        show_json(asdict(plan))
        return
    found = plan.forecast
    part = min(1.0, found.sampled_records / max(found.records, 1))
    show(
        f"{format_count(found.shards, 'shard')}, {format_bytes(found.shard_bytes)}; the rest is "
        f"estimated from {found.sampled_records:,} records of "
        f"{format_count(found.sampled_shards, 'shard')} ({part:.2g} of all)"
    )
    _print_lines(_input_lines(found))
    _print_lines(("assumed", text) for text in plan.assumptions)
    show("", f"with {_options(found)}")
    _print_lines(_conversion_lines(found))
    _print_table("--embeddings", _WAY_COLUMNS, {w.embeddings: _way_cells(w) for w in found.ways})
    _print_table("--partition-by", _COLUMNS, {k.partition_by: _cells(k) for k in found.keys})
    show("", "recommended")
    width = max(len(_given(advice)) for advice in plan.advice)
    for advice in plan.advice:
        show(f"  {_given(advice):{width}}  {advice.reason}")


def _print_table(option: str, columns: Sequence[str], rows: Mapping[str, tuple[str, ...]]) -> None:
    show("", f"  {option:14}" + "".join(f"{name:>11}" for name in columns))
    for value, cells in rows.items():
        show(f"  {value:14}" + "".join(f"{cell:>11}" for cell in cells))


def _print_lines(lines: Iterator[tuple[str, str]]) -> None:
    for name, text in lines:
        show(f"  {name:11} {text}")


def _input_lines(found: "Forecast") -> Iterator[tuple[str, str]]:
    yield "records", f"{_about(found.records)}, up to {format_count(found.channels, 'channel')}"
    yield "windows", f"{_about(found.windows)} of {found.dims:,} floats"
    dates = f", {found.first_date} to {found.last_date}" if found.first_date else ""
    sites = found.sites
    yield "sites", f"{_about(sites.number) if sites.error else f'{sites.number:,}'}{dates}"


def _conversion_lines(found: "Forecast") -> Iterator[tuple[str, str]]:
    yield "embeddings", f"{found.embeddings}: {found.embeddings_reason}"
    way, key = found.way, found.key
    sort, merge, requests = way.sort, way.merge, way.requests
    if sort.runs:
        each = format_bytes(sort.bytes / sort.runs)
        yield (
            "first pass",
            f"{format_count(sort.units, 'unit')}: {format_count(sort.runs, 'run')} of {each}",
        )
    else:
        stays = (
            "all but the embeddings stays" if found.embeddings == "located" else "all windows stay"
        )
        yield "first pass", f"{format_count(sort.units, 'unit')}, {stays} in memory"
    slices = ""
    if sort.runs:
        slices = (
            f", {format_count(merge.slices, 'slice')} of {format_bytes(way.slice_bytes)}, "
            f"read up to {format_bytes(way.block_bytes)} at a time"
        )
    yield "second pass", f"{format_count(merge.ranges, 'range')} of partitions{slices}"
    yield "output", f"{format_count(key.files, 'file')}, {format_bytes(key.bytes)}"
    counts = f"{requests.lists:,} to list, {requests.reads:,} to read, {requests.writes:,} to write"
    where = "runs and dataset are" if found.embeddings == "located" else "everything is"
    yield "requests", f"{counts}, if {where} in a store"
    rate = f"{found.rate / 1e6:,.0f} MB/s a worker"
    how = "as given" if found.rate_is_given else f"measured here with --decoder {found.decoder}"
    yield "time", f"{format_seconds(found.seconds)}, {rate} ({how})"


def _way_cells(way: "WayForecast") -> tuple[str, ...]:
    return (
        format_bytes(way.read_bytes),
        format_bytes(way.written_bytes),
        format_bytes(way.scratch_bytes) if way.scratch_bytes else "none",
        format_bytes(way.buffer_bytes),
        f"{way.sort.units:,}",
        f"{way.sort.runs:,}",
        f"{way.merge.ranges:,}",
        format_seconds(way.seconds),
    )


def _cells(key: "KeyForecast") -> tuple[str, ...]:
    return (
        f"{key.partitions:,}",
        f"± {key.error:.0%}",
        f"{key.files:,}",
        format_bytes(key.median_file_bytes),
        format_bytes(key.mean_file_bytes),
        format_bytes(key.bytes),
    )


def _options(found: "Forecast") -> str:
    workers = f"--workers {found.workers}"
    memory = f"--memory {format_bytes(found.memory).replace(' ', '')}"
    cluster = ", on a cluster with the memory for each" if found.cluster else ""
    return f"--partition-by {found.partition_by} {memory} {workers}{cluster}"


def _given(advice: "Advice") -> str:
    return f"{advice.option} {advice.value}"


def _about(number: int) -> str:
    return f"about {number:,}"
