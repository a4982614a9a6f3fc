"""A slow reading of filenames with Python's own ``re``, ``datetime`` and ``zoneinfo``."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from a20_parquet.windows.filenames.parse import FilenameRules, Recordings, parse_filenames
from a20_parquet.windows.filenames.site_table import SCHEMA, SiteTable
from a20_parquet.windows.filenames.site_token import chosen_token, name_tokens

Row = Mapping[str, Any]
"""A recorder: ``name``, ``site_id`` and ``time_zone``."""
_AUDIO = [
    *("flac", "wav", "wave", "mp3", "mpga", "ogg", "oga", "opus", "webm", "webma", "m4a", "aac"),
    *("aif", "aiff", "asf", "caf", "wma", "wv", "w4v", "wac"),
]
_TEXT = re.ASCII | re.DOTALL


@dataclass
class Reading:
    """What one filename tells, in the columns' names, and whether it can be taken."""

    columns: dict[str, Any]
    site: str | None
    taken: bool


def read_filename(
    name: str,
    pattern: str | None = None,
    recorders: Sequence[Row] = (),
    unknown_site: str | None = None,
) -> Reading:
    """Read a filename; ``pattern`` has the same meaning for RE2 and, with ASCII, for ``re``."""
    *folders, last = name.split("/")
    match = None if pattern is None else re.search(pattern, name, re.ASCII)
    parts = _a2o(last) if match is None else {k: v for k, v in match.groupdict().items() if v}
    matched = match is not None or parts is not None
    if parts is None:
        parts = _start_only(last) if unknown_site is not None else {}
    numbers = {"site_id": _number(parts.get("site_id"), 9)}
    numbers["file_seq_id"] = _number(parts.get("file_seq_id"), 18)
    good = all(number is not None or not parts.get(key) for key, number in numbers.items())
    if not parts.get("site_id"):
        found = [re.fullmatch(r"site_(\d{1,9})", folder, re.ASCII) for folder in folders]
        numbers["site_id"] = next((int(hit[1]) for hit in found if hit), None)
    place, rest = parts.get("site_name"), parts.get("subsite_name")
    full = f"{place}-{rest}" if rest else place
    site_id, zone, clock = _look_up(
        recorders, numbers["site_id"], None if place is None else full, place
    )
    times = _times(parts, zone, clock)
    [token] = name_tokens(pa.array([None if place is None else full], pa.string())).to_pylist()
    site = f"site_{site_id:04d}" if site_id is not None else token
    if unknown_site is not None and site is None:
        site = chosen_token(unknown_site)
    columns = {
        "site_id": site_id,
        "site_name": place,
        "subsite_name": rest,
        "file_seq_id": numbers["file_seq_id"],
        "file_timestamp": times[0],
        "utc_offset_minutes": times[1],
        "file_seconds_since_midnight": times[2],
    }
    taken = matched and good and site is not None and times[0] is not None
    return Reading(columns, site, taken or unknown_site is not None)


def _a2o(last: str) -> dict[str, Any] | None:
    head = re.fullmatch(
        rf"(\d{{8}})T(\d{{6}})([+-]\d{{4}}|Z)_(.*)\.(?:{'|'.join(_AUDIO)})",
        last,
        _TEXT | re.IGNORECASE,
    )
    # Case does not count in the extension only.
    if head is None or last[8] != "T" or head[3] == "z":
        return None
    day, time, offset, rest = head.groups()
    start = {"date": day, "time": time, "offset": offset}
    if hit := re.fullmatch(r"(.*?)-((?:Wet|Dry)-[AB])_(\d{1,18})(?:_\d+)*", rest, _TEXT):
        return {**start, "site_name": hit[1], "subsite_name": hit[2], "file_seq_id": hit[3]}
    if hit := re.fullmatch(r"(.+?)_(\d{1,18})(?:_\d{4,}_\d{4,})?", rest, _TEXT):
        return {**start, "site_name": hit[1], "file_seq_id": hit[2]}
    return None


def _start_only(last: str) -> dict[str, Any]:
    hit = re.match(r"(?P<date>\d{8})T(?P<time>\d{6})(?P<offset>[+-]\d{4}|Z)(?![^_.])", last, _TEXT)
    return {} if hit is None else hit.groupdict()


def _number(text: str | None, most_digits: int) -> int | None:
    if not text or not (text.isascii() and text.isdigit() and len(text) <= most_digits):
        return None
    return int(text)


def _key(name: str | None) -> str | None:
    return None if name is None else name.lower().replace("-&-", "-")


def _look_up(
    recorders: Sequence[Row], site_id: int | None, full: str | None, place: str | None
) -> tuple[int | None, str | None, str | None]:
    rows = {_key(row["name"]): row for row in recorders}
    hits = [rows[key] for key in (_key(full), _key(place)) if key is not None and key in rows]
    if site_id is None:
        site_id = next((row["site_id"] for row in hits if row["site_id"] is not None), None)
    zones = [row["time_zone"] for row in hits if row["time_zone"] is not None]
    if not zones and site_id is not None:
        same = {row["time_zone"] for row in recorders if row["site_id"] == site_id} - {None}
        zones = list(same) if len(same) == 1 else []
    clocks = [row.get("clock") for row in hits if row.get("clock") is not None]
    if not clocks and site_id is not None:
        same = {row.get("clock") for row in recorders if row["site_id"] == site_id}
        clocks = list(same) if len(same) == 1 else []
    return site_id, zones[0] if zones else None, clocks[0] if clocks else None


def _times(
    parts: Mapping[str, Any], zone: str | None, clock: str | None
) -> tuple[datetime | None, int | None, int | None]:
    """Start in UTC, offset in minutes, local seconds since midnight."""
    nothing = (None, None, None)
    digits = "".join(re.findall(r"[0-9]", parts.get("date") or ""))
    pair = "[^0-9]*([0-9][0-9])"
    hands = re.fullmatch(rf"{pair * 3}(?:[.,]?([0-9]+))?[^0-9]*", parts.get("time") or "")
    if len(digits) != 8 or hands is None:
        return nothing
    offset = parts.get("offset")
    if offset and not re.fullmatch(r"Z|[+-]\d\d(:?\d\d)?", offset, re.ASCII):
        return nothing
    offset = {"UTC": "Z", "local": None}.get(str(clock), offset)
    try:
        start = datetime.strptime(f"{digits} {''.join(hands.groups()[:3])}", "%Y%m%d %H%M%S")  # noqa: DTZ007
    except ValueError:
        return nothing
    start += timedelta(microseconds=int((hands[4] or "").ljust(6, "0")[:6]))
    minutes = None
    if offset not in {"Z", None, ""}:
        hit = re.fullmatch(r"([+-])(\d\d)(?::?(\d\d))?", str(offset), re.ASCII)
        if hit is None or int(hit[2]) > 23 or int(hit[3] or 0) > 59:
            return nothing
        minutes = (int(hit[2]) * 60 + int(hit[3] or 0)) * (-1 if hit[1] == "-" else 1)
    elif zone is not None:
        known = start.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)) if offset == "Z" else None
        known = known or start.replace(tzinfo=ZoneInfo(zone))
        minutes = (known.utcoffset() or timedelta()) // timedelta(minutes=1)
    shift = timedelta(minutes=minutes or 0)
    if offset == "Z":
        instant, local = start.replace(tzinfo=UTC), start + shift
    else:
        instant, local = start.replace(tzinfo=timezone(shift)).astimezone(UTC), start
    return instant, minutes, local.hour * 3600 + local.minute * 60 + local.second


def parse(*names: str, **rules: Any) -> Recordings:
    """Parse names; ``rules`` are the fields of ``FilenameRules``."""
    return parse_filenames(pa.array(names, pa.string()), FilenameRules(**rules))


def reading(recordings: Recordings, index: int = 0) -> Reading:
    """One name's columns as Python values."""
    columns = {name: getattr(recordings, name)[index].as_py() for name in Recordings.columns()}
    if columns["file_timestamp"] is not None:
        columns["file_timestamp"] = columns["file_timestamp"].astimezone(UTC)
    return Reading(columns, recordings.site[index].as_py(), bool(recordings.valid[index]))


def facts(name: str) -> dict[str, Any] | None:
    """What the name tells, as Python values; None if it is not valid."""
    found = reading(parse(name))
    return found.columns if found.taken else None


def site_table(*rows: tuple[Any, ...]) -> SiteTable:
    """A sites table of rows that may leave out their last columns."""
    full = [(*row, *[None] * (len(SCHEMA) - len(row))) for row in rows]
    return SiteTable(pl.DataFrame(full, schema=SCHEMA, orient="row"))
