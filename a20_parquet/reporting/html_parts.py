"""Writes the parts of the page that need no script: tables, bars and lists; escapes all text."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import pairwise, zip_longest

import numpy as np
import numpy.typing as npt

from a20_parquet.formatting import format_bytes
from a20_parquet.reporting.coverage import HOURS, Coverage
from a20_parquet.reporting.heat_map import FULL_DAY_MINUTES, STEPS, format_minutes, step

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BINS_A_DECADE = (1, 2, 5)
_NO_DATE = "&ndash;"
_LABELLED_HOURS = 3
_MANY_HOURS = 1000
_LEAST_BAR = 0.6


def iso_day(day: int) -> str:
    """Format days since 1970 as a date."""
    return str(np.datetime64(day, "D"))


def format_hours(hours: float) -> str:
    """Format hours, with a decimal below 1,000."""
    return f"{hours:,.0f}" if hours >= _MANY_HOURS else f"{hours:,.1f}"


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
        f"</span>{_scale('0', end)}"
    )


def hours_table(by_hour: npt.NDArray[np.int64]) -> str:
    """Write a table of windows with a row per month, a column per local hour, and sums."""
    most = int(by_hour.max(initial=0))
    head = "".join(
        f'<th scope="col">{f"{hour:02d}" if hour % _LABELLED_HOURS == 0 else ""}</th>'
        for hour in range(HOURS)
    )
    rows = []
    for month, counts in zip(_MONTHS, by_hour.tolist(), strict=True):
        cells = "".join(
            f'<td class="{f"c{step(count, most)}" if count else "none"}" '
            f'data-tip="{month}, {hour:02d}:00 to {hour:02d}:59|{count:,} windows">'
            f"<span>{count:,}</span></td>"
            for hour, count in enumerate(counts)
        )
        total = sum(counts)
        rows.append(
            f'<tr><th scope="row">{month}</th>{cells}'
            f'<td class="sum">{f"{total:,}" if total else _NO_DATE}</td></tr>'
        )
    return (
        f'<thead><tr><td></td>{head}<th scope="col" class="sum">windows</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody>"
    )


def hours_legend(by_hour: npt.NDArray[np.int64]) -> str:
    """Write the legend of ``hours_table``."""
    scale = _scale("1", f"{int(by_hour.max(initial=0)):,} windows")
    return f'<span class="key"><i class="none"></i>none</span>{scale}'


def _scale(start: str, end: str) -> str:
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


def quarantine(reasons: Mapping[str, int]) -> str:
    """Write a table of what is in quarantine, by reason."""
    if not reasons:
        return '<p class="note">Nothing is in quarantine.</p>'
    rows = bars([(reason, count, "") for reason, count in reasons.items()])
    return f'<table class="bars">{rows}</table>'


def selection(rows: Iterable[tuple[str, str, str]]) -> str:
    """Write a row per conversion: its shards, its selection, and what it left out."""
    return "\n".join(
        f'<tr><th scope="row">{escape(which)}</th><td><code>{escape(selected)}</code></td>'
        f"<td>{escape(left_out)}</td></tr>"
        for which, selected, left_out in rows
    )


def site_heads(coverage: Coverage) -> str:
    """Write the headings of ``site_rows``, each a button that sorts by its column."""
    names = ["Site", "Windows", "Hours of audio", "First day", "Last day", "Days recorded"]
    names += ["Share of days", "Longest gap, days"]
    if coverage.undated.any():
        names.append("Windows without date")
    return "\n".join(
        f'<th scope="col"{sorted_by}><button type="button">{name}</button></th>'
        for name, sorted_by in zip_longest(names, [' aria-sort="ascending"'], fillvalue="")
    )


def site_rows(coverage: Coverage, minutes_a_window: float) -> str:
    """Write a row per site; columns are sorted by ``data-value``."""
    has_undated = coverage.undated.any()
    rows = []
    for number, site in enumerate(coverage.by_site()):
        hours = site.windows * minutes_a_window / 60
        share, days = site.share, (site.first_day, site.last_day)
        cells = (
            (site.windows, f"{site.windows:,}"),
            (hours, format_hours(hours)),
            *((day, _NO_DATE if day is None else iso_day(day)) for day in days),
            (site.days, f"{site.days:,}"),
            (share, _NO_DATE if share is None else _percent(share)),
            (site.longest_gap, f"{site.longest_gap:,}" if site.days else _NO_DATE),
            *([(site.undated, f"{site.undated:,}")] if has_undated else []),
        )
        rows.append(
            f'<tr data-site="{number}"><th scope="row">{escape(site.site)}</th>'
            + "".join(f'<td data-value="{_value(value)}">{text}</td>' for value, text in cells)
            + "</tr>"
        )
    return "\n".join(rows)


def _percent(share: float) -> str:
    """Format a fraction; only 1 becomes 100 %."""
    return "100 %" if share == 1 else f"{min(100 * share, 99.9):.1f} %"


def _value(value: float | None) -> str:
    return "" if value is None else repr(round(value, 6))
