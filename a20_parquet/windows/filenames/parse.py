"""Reads from filenames where, when and by which recorder recordings were made.

It works on whole arrays. Patterns are run by RE2, whose time is linear in a name's length.
"""

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.clock import (
    LOCAL,
    UTC,
    Flags,
    Integers,
    days_of,
    minutes_of,
    seconds_of,
)
from a20_parquet.windows.filenames.patterns import (
    EXPECTED,
    GROUPS,
    NameParts,
    check_pattern,
    flags,
    read_parts,
    tidy,
)
from a20_parquet.windows.filenames.site_token import DISTINCT_TOKENS, chosen_token, recording_sites

if TYPE_CHECKING:
    from a20_parquet.windows.filenames.site_table import SiteTable

_US: Final = 1_000_000
# Arrays and scalars of Python objects import pandas.
_NULL: Final = pa.nulls(1, pa.string())[0]
_NOT_COLUMNS: Final = ("valid", "taken_for_utc", "problems", "site")


@dataclass(frozen=True, slots=True)
class FilenameRules:
    """How filenames are read.

    Raises:
        UsageError: the pattern is not an RE2 expression or has other groups than ``GROUPS``, or the
            unknown site's name has no letter and no digit.
    """

    pattern: str | None = None
    """An RE2 expression with groups of ``GROUPS``, searched in the whole filename; other names are
    read as the A2O's."""
    sites: "SiteTable | None" = None
    """Adds site ids, and local times if the name has its time in UTC or no offset."""
    unknown_site: str | None = None
    """Site of recordings whose name has none, see ``chosen_token``; if given, all recordings are
    valid."""
    site_tokens: int = DISTINCT_TOKENS
    """The rule for tokens, see ``name_tokens``."""

    def __post_init__(self) -> None:
        """Check pattern and name."""
        if self.pattern is not None:
            check_pattern(self.pattern)
        if self.unknown_site is not None and not any(
            char.isascii() and char.isalnum() for char in self.unknown_site
        ):
            raise UsageError(
                f"the unknown site's name is {self.unknown_site!r}, expected one with letters or "
                "digits (A-Z, a-z, 0-9), such as unknown."
            )


A2O_RULES: Final = FilenameRules()
"""Only the A2O's names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recordings:
    """The content of filenames: Arrow arrays with one item per filename, null if it is not known.

    An impossible date, time or offset makes all three time columns null.
    """

    valid: Flags
    """Whether the name has a known form with site and start, or an unknown site is given."""
    taken_for_utc: Flags
    """Whether the time counts as UTC because its offset is unknown."""
    problems: tuple[str | None, ...]
    """For a name that is not ``valid``, what was found and expected; else None."""
    site: Any
    """string: the Hive value of ``site``; null only if not ``valid``."""
    site_id: Any
    """int32: from the name, else from the sites table."""
    site_name: Any
    """string"""
    subsite_name: Any
    """string; null also if the recorder's name does not end in ``-Wet-A`` or similar."""
    file_seq_id: Any
    """int64"""
    file_timestamp: Any
    """timestamp[us, UTC]: start of the recording."""
    utc_offset_minutes: Any
    """int16; null also if the name has ``Z`` or no offset, and no time zone is known."""
    file_seconds_since_midnight: Any
    """int32: seconds, local; UTC if ``utc_offset_minutes`` is null."""

    @classmethod
    def columns(cls) -> list[str]:
        """Names of the columns that come from filenames."""
        return [field.name for field in fields(cls) if field.name not in _NOT_COLUMNS]


def parse_filenames(filenames: Any, rules: FilenameRules = A2O_RULES) -> Recordings:
    """Parse an Arrow string array of filenames; invalid ones are marked and raise nothing.

    A time without offset is UTC if no time zone is known, else local in that zone: the earlier one
    of an ambiguous time, and with the offset before the change for a skipped one. An offset in the
    name overrides a time zone, unless the table has a ``clock``; ``Z`` gives only the instant.
    """
    parts = read_parts(filenames, rules.pattern, partly=rules.unknown_site is not None)
    tidied, malformed = (parts, {}) if rules.pattern is None else tidy(parts, filenames)
    site_id = tidied.site_id.cast(pa.int32())
    zones = None
    if rules.sites is not None:
        site_id, zones, clocks = rules.sites.look_up(site_id, parts.site_name, parts.subsite_name)
        tidied = replace(tidied, offset=_by_clock(tidied.offset, clocks))
    starts = _starts(tidied, malformed, zones)
    site = recording_sites(site_id, parts.site_name, parts.subsite_name, rules.site_tokens)
    if rules.unknown_site is None:
        valid = parts.matched & starts.known & flags(site.is_valid())
        for where in malformed.values():
            valid &= ~where
    else:
        valid = np.ones(len(filenames), np.bool_)
        site = pc.fill_null(site, chosen_token(rules.unknown_site, rules.site_tokens))
    problems: list[str | None] = [None] * len(filenames)
    for index in np.flatnonzero(~valid).tolist():
        found = _problem(index, rules, parts, starts, malformed)
        problems[index] = f"the filename {filenames[index].as_py()!r} {found}"
    return Recordings(
        valid=valid,
        taken_for_utc=starts.taken_for_utc,
        problems=tuple(problems),
        site=site,
        site_id=site_id,
        site_name=parts.site_name,
        subsite_name=parts.subsite_name,
        file_seq_id=tidied.file_seq_id.cast(pa.int64()),
        file_timestamp=starts.file_timestamp,
        utc_offset_minutes=starts.utc_offset_minutes,
        file_seconds_since_midnight=starts.file_seconds_since_midnight,
    )


def _by_clock(offset: Any, clocks: Any) -> Any:
    """Replace the offsets in names where the sites table has a ``clock``."""
    offset = pc.if_else(pc.fill_null(pc.equal(clocks, LOCAL), False), _NULL, offset)
    return pc.if_else(pc.fill_null(pc.equal(clocks, UTC), False), "Z", offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Starts:
    """The time columns of recordings, null if not ``known``."""

    known: Flags
    impossible: dict[str, Flags]
    """For each group of a time, whether that date, time or offset does not exist."""
    taken_for_utc: Flags
    file_timestamp: Any
    utc_offset_minutes: Any
    file_seconds_since_midnight: Any


def _starts(parts: NameParts, malformed: dict[str, Flags], zones: Any) -> _Starts:
    """When recordings start, and their local time; ``zones`` are names of time zones, or None."""
    is_utc = pc.equal(parts.offset, "Z")
    fraction_us = 0 if parts.fraction is None else _integers(parts.fraction, "0")
    days, day_ok = days_of(_integers(parts.date, "19700101"))
    seconds, time_ok = seconds_of(_integers(parts.time, "000000"))
    minutes, offset_ok = minutes_of(
        _integers(pc.ascii_ltrim(pc.if_else(is_utc, "0", parts.offset), "+"), "0")
    )
    is_utc = flags(is_utc)
    known = flags(pc.and_(parts.date.is_valid(), parts.time.is_valid()))
    known &= day_ok & time_ok & offset_ok
    if "offset" in malformed:
        known &= ~malformed["offset"]
    start_s = days * 86_400 + seconds - minutes * 60
    has_offset = flags(parts.offset.is_valid()) & ~is_utc
    if zones is not None:
        from a20_parquet.windows.filenames.time_zones import offsets_at

        asked = np.flatnonzero(known & ~has_offset & flags(zones.is_valid()))
        is_local = ~is_utc[asked]
        minutes[asked] = offsets_at(start_s[asked], zones.take(pa.array(asked)), is_local=is_local)
        has_offset[asked] = True
        start_s[asked[is_local]] -= minutes[asked[is_local]] * 60
        seconds[asked] = (start_s[asked] + minutes[asked] * 60) % 86_400
    return _Starts(
        known=known,
        impossible={"date": ~day_ok, "time": ~time_ok, "offset": ~offset_ok},
        taken_for_utc=known & ~has_offset & ~is_utc,
        file_timestamp=_where(known, start_s * _US + fraction_us, pa.timestamp("us", tz="UTC")),
        utc_offset_minutes=_where(known & has_offset, minutes, pa.int16()),
        file_seconds_since_midnight=_where(known, seconds, pa.int32()),
    )


def _problem(
    index: int, rules: FilenameRules, parts: NameParts, starts: _Starts, malformed: dict[str, Flags]
) -> str:
    """Why a recording is not valid, and what was expected."""
    if not parts.matched[index]:
        pattern = "" if rules.pattern is None else f", or what {rules.pattern!r} matches"
        return f"can't be read, expected {EXPECTED}{pattern}"
    for group, where in (*malformed.items(), *starts.impossible.items()):
        if where[index] and group == "end":
            return f"has its end taken for its start by {rules.pattern!r}, expected the start"
        if where[index]:
            text = getattr(parts, group)[index].as_py()
            return f"has the {group} {text!r}, expected one that exists: {GROUPS[group]}"
    if not starts.known[index]:
        return "tells no date and time of the start, expected both"
    return "tells no site, expected a site_id or site_name, or a folder site_NNNN/"


def _where(keep: Flags, values: Integers, kind: Any) -> Any:
    return pa.array(values, mask=~keep).cast(kind)


def _integers(digits: Any, default: str) -> Integers:
    values: Integers = pc.fill_null(digits, default).cast(pa.int64()).to_numpy()
    return values
