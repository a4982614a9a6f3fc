"""Renders the report: one self-contained HTML page."""

import base64
import hashlib
from html import escape
from importlib.resources import files
from string import Template

import numpy as np
import numpy.typing as npt

from a20_parquet.dataset.taken import taken_lines
from a20_parquet.formatting import format_bytes, format_count
from a20_parquet.query.info import DatasetInfo
from a20_parquet.reporting import html_parts
from a20_parquet.reporting.coverage import Coverage
from a20_parquet.reporting.heat_map import heat_map_json, top_minutes, window_minutes

GENERATOR = '<meta name="generator" content="a20_parquet report">'
"""The line that identifies a report."""


def render(
    name: str, info: DatasetInfo, coverage: Coverage, file_bytes: npt.NDArray[np.int64]
) -> str:
    """Write the page.

    Args:
        name: of the dataset, for the title.
        info: of the dataset.
        coverage: of its windows.
        file_bytes: size of each data file, shape (files,).
    """
    style, script = _resource("report.css"), _resource("report.js")
    minutes = window_minutes(info.window_seconds, coverage.channels)
    hint = info.hint
    return Template(_resource("report.html")).substitute(
        generator=GENERATOR,
        policy=(
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        title=escape(name),
        lede=escape(_lede(info, coverage)),
        totals=html_parts.totals(_tiles(info, coverage, minutes)),
        heat_map="" if len(coverage.days) else "hidden",
        legend=html_parts.legend(top_minutes(coverage, minutes)),
        notes=html_parts.paragraphs(_notes(coverage), "note"),
        data=heat_map_json(coverage, minutes),
        site_heads=html_parts.site_heads(coverage),
        sites=html_parts.site_rows(coverage, minutes),
        hours=html_parts.hours_table(coverage.by_hour),
        hours_legend=html_parts.hours_legend(coverage.by_hour),
        sizes=html_parts.size_bars(file_bytes),
        hint=html_parts.paragraphs([f"{hint[0].upper()}{hint[1:]}."] if hint else [], "hint"),
        quarantine=html_parts.quarantine(info.quarantine),
        selection=html_parts.selection(taken_lines(info.conversions)),
        facts=html_parts.facts(_facts(info, coverage)),
    )


def _resource(name: str) -> str:
    return (files("a20_parquet.reporting") / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _lede(info: DatasetInfo, coverage: Coverage) -> str:
    sites = format_count(len(coverage.sites), "site")
    if not len(coverage.days):
        return f"{info.windows:,} windows from {sites}, none with a date."
    first, last = (html_parts.iso_day(int(coverage.days[end])) for end in (0, -1))
    when = f"on {first}" if first == last else f"from {first} to {last}"
    return f"What was recorded at {sites} {when}, in windows of {info.window_seconds:g} s."


def _tiles(info: DatasetInfo, coverage: Coverage, minutes: float) -> list[tuple[str, str, str]]:
    site_days = int(np.count_nonzero(coverage.windows))
    span = int(coverage.days[-1] - coverage.days[0]) + 1 if len(coverage.days) else 0
    return [
        ("Windows", f"{info.windows:,}", f"{info.dims:,} floats each"),
        (
            "Audio",
            f"{html_parts.format_hours(info.windows * minutes / 60)} h",
            "a part of a dataset" if info.origins else f"{info.records:,} records",
        ),
        ("Sites", f"{len(coverage.sites):,}", format_count(site_days, "site day")),
        ("Days", f"{len(coverage.days):,}", f"of {span:,} on the calendar"),
        ("Files", f"{info.files:,}", format_bytes(info.bytes)),
        (
            "Quarantine",
            f"{sum(info.quarantine.values()):,}",
            format_count(len(info.quarantine), "reason")
            if info.quarantine
            else "nothing held back",
        ),
    ]


def _notes(coverage: Coverage) -> list[str]:
    notes = []
    undated = int(coverage.undated.sum())
    if undated:
        notes.append(
            f"{undated:,} windows are without date, because their recordings' names tell none: "
            "they are in the totals and in the table of sites, not in the charts."
        )
    if coverage.local_unknown:
        notes.append(
            f"For {coverage.local_unknown:,} windows the local time is unknown, because the "
            "recording's name gives its time in UTC: they count by UTC's day and hour."
        )
    return notes


def _facts(info: DatasetInfo, coverage: Coverage) -> list[tuple[str, str]]:
    found = [
        ("Hive keys", info.partition_by.replace(",", ", ")),
        ("Compression", info.compression),
        ("Channels", f"{coverage.channels:,}"),
        *(
            []
            if info.origins
            else [("Shards", f"{info.shards:,}, {format_bytes(info.shard_bytes)}")]
        ),
        *(("Part of", f"{origin.dataset}: {origin}") for origin in info.origins),
    ]
    for label, partition in (("Largest", info.largest), ("Smallest", info.smallest)):
        if partition:
            keys = " / ".join(partition.keys.values())
            size = f"{format_count(partition.windows, 'window')}, {format_bytes(partition.bytes)}"
            found.append((f"{label} partition", f"{keys}: {size}"))
    return found
