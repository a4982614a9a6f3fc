"""Renders the report: one self-contained HTML page."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

import numpy as np

from a20_parquet.formatting import format_bytes, format_count
from a20_parquet.query.info import DatasetInfo
from a20_parquet.reporting import html_parts
from a20_parquet.reporting.contents import Contents
from a20_parquet.reporting.coverage import Coverage
from a20_parquet.reporting.day_night import day_night_legend, day_night_table, is_by_day
from a20_parquet.reporting.heat_map import heat_map_json, is_sparse, top_minutes, window_minutes
from a20_parquet.reporting.picture import Picture, picture_json
from a20_parquet.reporting.site_map import MapSite, shows_coast, site_map

GENERATOR = '<meta name="generator" content="a20_parquet report">'
"""The line that identifies a report."""


_SCRIPTS = ("page", "heat_map", "sites", "site_map", "picture", "begin")


def render(contents: Contents) -> str:
    """Write the page."""
    info, coverage, sites = contents.info, contents.coverage, contents.sites
    style = _resource("report.css") + _resource("charts.css")
    script = "\n".join(_resource(f"{name}.js") for name in _SCRIPTS)
    minutes = window_minutes(info.window_seconds, coverage.channels)
    hint, picture = info.hint, contents.picture
    placed = _placed(contents, minutes)
    return Template(_resource("report.html")).substitute(
        generator=GENERATOR,
        policy=(
            f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        title=escape(contents.name),
        lede=escape(_lede(info, coverage)),
        totals=html_parts.totals(_tiles(info, coverage, minutes)),
        sparse="sparse" if is_sparse(coverage) else "",
        heat_map="" if len(coverage.days) else "hidden",
        legend=html_parts.legend(top_minutes(coverage, minutes)),
        notes=html_parts.paragraphs(_notes(coverage), "note"),
        data=heat_map_json(coverage, minutes, [site.recorder for site in sites]),
        site_heads=html_parts.site_heads(coverage, sites),
        sites=html_parts.site_rows(coverage, sites, minutes),
        map_shown="" if placed else "hidden",
        map=site_map(placed) if placed else "",
        map_note=escape(_map_note(placed, len(sites))),
        hours=day_night_table(coverage, minutes),
        hours_legend=day_night_legend(coverage, minutes),
        hours_means=_hours_means(coverage),
        hours_rows="days" if is_by_day(coverage) else "months",
        picture_shown="" if picture else "hidden",
        picture=picture_json(picture, coverage.sites) if picture else "null",
        picture_note=escape(_picture_note(picture, info.windows)) if picture else "",
        sizes=html_parts.size_bars(contents.file_bytes),
        hint=html_parts.paragraphs([f"{hint[0].upper()}{hint[1:]}."] if hint else [], "hint"),
        quarantine=html_parts.quarantine(contents.held),
        decisions=html_parts.decisions(contents.decisions),
        facts=html_parts.facts(_facts(info, coverage)),
    )


def _placed(contents: Contents, minutes: float) -> list[MapSite]:
    """Return the sites that have a position."""
    windows = contents.coverage.windows.sum(axis=1) + contents.coverage.undated
    return [
        MapSite(
            number=number,
            name=site.site
            if site.recorder in {None, site.site}
            else f"{site.site} {site.recorder}",
            latitude=site.position[0],
            longitude=site.position[1],
            hours=count * minutes / 60,
        )
        for number, (site, count) in enumerate(zip(contents.sites, windows.tolist(), strict=True))
        if site.position
    ]


def _map_note(placed: Sequence[MapSite], sites: int) -> str:
    coast = "The coastline is coarse: straight lines between capes and towns. "
    lacking = f"The position of {format_count(sites - len(placed), 'site')} is unknown. "
    return (
        f"{coast if shows_coast(placed) else ''}{lacking if len(placed) < sites else ''}"
        "The area of a circle grows with the hours of audio; near sites share one. Click a circle "
        "to choose its sites."
    )


def _hours_means(coverage: Coverage) -> str:
    row = "day" if is_by_day(coverage) else "calendar month, all years together"
    return (
        f"One row is a {row}, on the clocks of the recorders. The colour is the sum over all sites."
    )


def _picture_note(picture: Picture, windows: int) -> str:
    shown = len(picture.windows)
    which = f"All {shown:,}" if shown == windows else f"A reproducible sample of {shown:,}"
    broken = (
        f" {format_count(picture.broken, 'window')} of the sample with NaN or infinite values "
        "left out."
        if picture.broken
        else ""
    )
    return (
        f"{which} windows. The axes are the first two principal components of embeddings of unit "
        f"length. They show {picture.explained:.0%} of the differences, so that points which look "
        f"near may still differ.{broken} Point at one to see which window it is."
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
        *([] if info.rounding is None else [("Embeddings stored as", info.store)]),
        ("Channels", f"{coverage.channels:,}"),
        *(
            []
            if info.origins
            else [("Shards", f"{info.shards:,}, {format_bytes(info.shard_bytes)}")]
        ),
    ]
    for label, partition in (("Largest", info.largest), ("Smallest", info.smallest)):
        if partition:
            keys = " / ".join(partition.keys.values())
            size = f"{format_count(partition.windows, 'window')}, {format_bytes(partition.bytes)}"
            found.append((f"{label} partition", f"{keys}: {size}"))
    return found
