"""Writes the parts of the page that need no script: tables, bars and lists; escapes all text."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise, zip_longest

import numpy as np
import numpy.typing as npt

from a20_parquet.formatting import format_bytes, format_count
from a20_parquet.reporting.coverage import Coverage
from a20_parquet.reporting.heat_map import FULL_DAY_MINUTES, STEPS, format_minutes
from a20_parquet.reporting.quarantine_examples import Held
from a20_parquet.reporting.site_names import SiteName

NONE = "&ndash;"
"""Stands for what there is none of, or what is unknown."""

_BINS_A_DECADE = (1, 2, 5)
_MANY_HOURS = 1000
_FEW_HOURS = 10
_LEAST_BAR = 0.6


def iso_day(day: int) -> str:
    """Format days since 1970 as a date."""
    return str(np.datetime64(day, "D"))


def format_hours(hours: float) -> str:
    """Format hours, with a decimal below 1,000 and two below 10."""
    if hours >= _MANY_HOURS:
        return f"{hours:,.0f}"
    return f"{hours:.1f}" if hours >= _FEW_HOURS else f"{hours:.2f}"


def totals(tiles: Iterable[tuple[str, str, str]]) -> str:
    """Write the tiles at the top from name, number and remark of each."""
    return "\n".join(
        f'<div class="tile"><dt>{escape(name)}</dt><dd><strong>{escape(amount)}</strong>'
        f"<span>{escape(more)}</span></dd></div>"
        for name, amount, more in tiles
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Write a list of names and values."""
    return "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs
    )


def paragraphs(texts: Iterable[str], css_class: str) -> str:
    """Write each text as a paragraph."""
    return "\n".join(f'<p class="{css_class}">{escape(text)}</p>' for text in texts)


def legend(top: int) -> str:
    """Write the legend of the heat map, whose colours end at ``top`` minutes of audio a day."""
    is_full = top == FULL_DAY_MINUTES
    end = (
        "24 h of audio: a full day" if is_full else f"{format_minutes(top)} of audio a day or more"
    )
    return (
        '<span class="key"><i class="gap"></i>no recording</span>'
        '<span class="key"><i class="none"></i>before a site&rsquo;s first day or after its last'
        f"</span>{colour_scale('0', end)}"
    )


def colour_scale(start: str, end: str) -> str:
    """Write all colours of a scale between its ends."""
    colours = "".join(f'<i class="c{number}"></i>' for number in range(STEPS))
    return (
        f'<span class="key scale"><span>{start}</span><span class="ramp">{colours}</span>'
        f"<span>{end}</span></span>"
    )


def size_bars(sizes: npt.NDArray[np.int64]) -> str:
    """Write a histogram of files by size, three bins per decade; the median's bin has a note."""
    if not len(sizes):
        return bars([])
    edges = _edges(int(sizes.min()), int(sizes.max()))
    counts, _ = np.histogram(sizes, edges)
    median = float(np.median(sizes))
    rows = []
    for (first, last), count in zip(pairwise(edges), counts.tolist(), strict=True):
        is_median = first <= median < last
        note = f"median {format_bytes(median)}" if is_median else ""
        rows.append((f"{_edge(first)} to {_edge(last)}", count, note))
    return bars(rows)


def _edges(least: int, most: int) -> list[int]:
    """Return the bounds of the bins, the first at most ``least``, the last above ``most``."""
    steps = [digit * 10**power for power in range(19) for digit in _BINS_A_DECADE]
    first = max((edge for edge in steps if edge <= least), default=0)
    last = min(edge for edge in steps if edge > most)
    return [edge for edge in [0, *steps] if first <= edge <= last]


def _edge(size: int) -> str:
    return format_bytes(size).replace(".0 ", " ")


def bars(rows: Sequence[tuple[str, int, str]]) -> str:
    """Write a row per label, amount and note, each amount with a bar."""
    most = max((amount for _, amount, _ in rows), default=0)
    return "\n".join(
        f'<tr><th scope="row">{escape(label)}</th>'
        f'<td class="bar"><svg aria-hidden="true"><rect width="{_length(amount, most):.2f}%" '
        f'height="100%"></rect></svg></td><td>{amount:,}</td>'
        f'<td class="note">{escape(note)}</td></tr>'
        for label, amount, note in rows
    )


def _length(amount: int, most: int) -> float:
    """Return a bar's length in percent; a small amount is still visible."""
    return max(100 * amount / most, _LEAST_BAR) if amount else 0.0


def quarantine(held: Iterable[Held]) -> str:
    """Write what is in quarantine: a part per reason, with its meaning and an example."""
    parts = []
    for each in held:
        records = format_count(each.count, "damaged range" if each.reason.is_damage else "record")
        example = ""
        if found := each.example:
            where = f"record {found.record:,} of <code>{escape(found.shard)}</code>"
            example = (
                f"<p><b>Example:</b> {where}, at byte {found.offset:,}: {escape(found.message)}</p>"
            )
        parts.append(
            f"<article><h3>{records} of {format_count(each.shards, 'shard')}: "
            f"<code>{escape(each.reason)}</code></h3><p>{escape(_sentence(each.reason.meaning))} "
            f"{escape(each.reason.fix)}</p>{example}</article>"
        )
    return "\n".join(parts) or '<p class="note">Nothing is in quarantine.</p>'


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def decisions(rows: Iterable[tuple[str, str]]) -> str:
    """Write a row per decision of the conversions: its kind and what was decided."""
    return "\n".join(
        f'<tr><th scope="row">{escape(kind)}</th><td>{escape(text)}</td></tr>'
        for kind, text in rows
    )


def shows_positions(names: Sequence[SiteName]) -> bool:
    """Whether the position of a site is known."""
    return any(name.position for name in names)


def site_heads(coverage: Coverage, sites: Sequence[SiteName]) -> str:
    """Write the headings of ``site_rows``, each a button that sorts by its column."""
    names = ["Site", "Windows", "Hours of audio", "First day", "Last day", "Days recorded"]
    names += ["Share of days", "Longest gap, days"]
    if coverage.undated.any():
        names.append("Windows without date")
    names += ["Latitude", "Longitude"] * shows_positions(sites)
    return "\n".join(
        f'<th scope="col"{sorted_by}><button type="button">{name}</button></th>'
        for name, sorted_by in zip_longest(names, [' aria-sort="ascending"'], fillvalue="")
    )


def site_rows(coverage: Coverage, sites: Sequence[SiteName], minutes_a_window: float) -> str:
    """Write a row per site; columns are sorted by ``data-value``."""
    has_undated = coverage.undated.any()
    has_positions = shows_positions(sites)
    rows = []
    for number, (site, name) in enumerate(zip(coverage.by_site(), sites, strict=True)):
        hours = site.windows * minutes_a_window / 60
        share, days = site.share, (site.first_day, site.last_day)
        cells = (
            (site.windows, f"{site.windows:,}"),
            (hours, format_hours(hours)),
            *((day, NONE if day is None else iso_day(day)) for day in days),
            (site.days, f"{site.days:,}"),
            (share, NONE if share is None else _percent(share)),
            (site.longest_gap, f"{site.longest_gap:,}" if site.days else NONE),
            *([(site.undated, f"{site.undated:,}")] if has_undated else []),
            *(_degrees(name.position) if has_positions else []),
        )
        rows.append(
            f'<tr data-site="{number}"><th scope="row">{escape(site.site)}{_recorder(name)}</th>'
            + "".join(f'<td data-value="{_value(value)}">{text}</td>' for value, text in cells)
            + "</tr>"
        )
    return "\n".join(rows)


def _percent(share: float) -> str:
    """Format a fraction; only 1 becomes 100 %."""
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"


def _recorder(site: SiteName) -> str:
    return f" <span>{escape(site.recorder or '')}</span>" if site.has_recorder else ""


def _degrees(position: tuple[float, float] | None) -> list[tuple[float | None, str]]:
    return [(degrees, f"{degrees:.3f}") for degrees in position] if position else [(None, NONE)] * 2


def _value(value: float | None) -> str:
    return "" if value is None else repr(round(value, 6))
