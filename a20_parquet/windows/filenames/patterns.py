"""Splits filenames into parts, with patterns."""

import re
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from a20_parquet.errors import UsageError
from a20_parquet.windows.filenames.clock import Flags

GROUPS: Final = {
    "site_id": "number of the site, up to 9 digits",
    "site_name": "the recorder's place, or all of its name",
    "subsite_name": "the rest of the recorder's name",
    "file_seq_id": "number of the recording, up to 18 digits",
    "date": "day on which it starts, YYYYMMDD, with anything between the digits",
    "time": "time of day at which it starts, HHMMSS with anything between these pairs, and where "
    "it is known a fraction of the second, such as .982 or 982 (below a microsecond it is cut)",
    "offset": "of that time from UTC: +1000, +10:00, +10 or Z",
}
"""The groups of a filename pattern and their meaning; an empty match counts as none."""

AUDIO: Final = (
    *("aac", "aif", "aiff", "asf", "caf", "flac", "m4a", "mp3", "mpga", "oga", "ogg", "opus"),
    *("w4v", "wac", "wav", "wave", "webm", "webma", "wma", "wv"),
)
"""Extensions of recordings in archives and from recorders; case does not matter."""

EXPECTED: Final = (
    "[site_NNNN/]YYYYMMDDTHHMMSS followed by Z or an offset such as +1000, _RECORDER_ID and the "
    "extension of a recording such as .flac or .wav"
)
"""The form of the A2O's filenames, in words for messages."""

_FOLDER: Final = r"(?:^|/)site_(?P<site_id>\d{1,9})/(?:[^/]*/)*[^/]*$"
_START: Final = r"(?P<date>\d{8})T(?P<time>\d{6})(?P<offset>[+-]\d{4}|Z)"
# The first of the two alternatives wins if both match.
_A2O: Final = (
    r"(?:^|/)(?:site_(?P<site_id>\d{1,9})/(?:[^/]*/)*)?" + _START + r"_(?:"
    r"(?P<site_name>[^/]*?)-(?P<subsite_name>(?:Wet|Dry)-[AB])_(?P<file_seq_id>\d{1,18})(?:_\d+)*|"
    r"(?P<whole_name>[^/]+?)_(?P<its_id>\d{1,18})(?:_\d{4,}_\d{4,})?"
    r")\.(?i:" + "|".join(AUDIO) + ")$"
)
_ONLY_START: Final = r"(?:^|/)" + _START + r"(?:[_.][^/]*)?$"
_START_AND_END: Final = r"(?:^|/)S(?P<start>\d{8}T\d{6})[^/_]*_E(?P<end>\d{8}T\d{6})[^/]*$"
"""Frontier Labs' names, in which a greedy pattern finds the end first."""
_FORMS: Final = {
    "site_id": r"^\d{1,9}$",
    "file_seq_id": r"^\d{1,18}$",
    "date": r"^\d{8}$",
    "time": r"^\d{6}$",
    "offset": r"^(?:Z|[+-]\d\d(?:\d\d)?)$",
}
_CLOCK: Final = r"^\D*(?P<h>\d\d)\D*(?P<m>\d\d)\D*(?P<s>\d\d)(?:[.,]?(?P<f>\d+))?\D*$"
_DATE: Final = (
    rb"(?:19|20)\d\d(?:(?:0[1-9]|1[0-2])(?:0[1-9]|1\d|2[0-8])"
    rb"|(?:0[13-9]|1[0-2])(?:29|30)|(?:0[13578]|1[02])31)"
)
PLAIN: Final = re.compile(
    rb"(?:site_\d{1,9}/)?" + _DATE + rb"T(?:[01]\d|2[0-3])[0-5]\d[0-5]\d"
    rb"(?:[+-](?:0\d|1[0-4])[0-5]\d|Z)"
    rb"_[A-Za-z0-9-]+_\d{1,18}(?:_\d{4}_\d{4})?\.(?i:" + "|".join(AUDIO).encode() + rb")"
)
"""Matches almost all of the A2O's filenames, and none without site or start.

For a few names this takes a thousandth of the time of ``parse_filenames``.
"""
# RE2's \C matches a single byte, also within a character.
_BYTE: Final = r"(?:^|[^\\])(?:\\\\)*\\C"
# Arrays and scalars of Python objects import pandas.
_NULL: Final = pa.nulls(1, pa.string())[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class NameParts:
    """Parts of filenames, Arrow string arrays with one item a filename, null if it has none."""

    matched: Flags
    """Whether the name matches the A2O's form or the pattern."""
    site_id: Any
    site_name: Any
    subsite_name: Any
    file_seq_id: Any
    date: Any
    time: Any
    offset: Any
    fraction: Any = None
    """Microseconds after ``time``, six digits; None if no name has any."""


def check_pattern(pattern: str) -> None:
    """Check a filename pattern.

    Raises:
        UsageError: it is not an RE2 expression, or its groups are not some of ``GROUPS``.
    """
    try:
        found = pc.extract_regex(pa.array([], pa.string()), pattern).type
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise _bad_pattern(pattern, str(error)) from error
    names = [field.name for field in found]
    if unknown := [name for name in names if name not in GROUPS]:
        raise _bad_pattern(pattern, f"it names the group {unknown[0]}")
    if not names:
        raise _bad_pattern(pattern, "it names no group")
    if len(names) > len(set(names)):
        raise _bad_pattern(pattern, "it names a group twice")
    if pc.match_substring_regex(pa.array([pattern]), _BYTE)[0].as_py():
        raise _bad_pattern(pattern, r"it holds \C, which cuts characters")


def read_parts(filenames: Any, pattern: str | None, *, partly: bool) -> NameParts:
    """Split filenames into parts.

    Args:
        filenames: Arrow string array.
        pattern: one that ``check_pattern`` accepts; all parts of names that it matches come from
            it, except a site id that it lacks.
        partly: whether to read the time at the start of a name of another form.
    """
    if pattern is None:
        matched, parts = _read_a2o(filenames, partly=partly)
    else:
        found = pc.extract_regex(filenames, pattern)
        matched, known = found.is_valid(), {field.name for field in found.type}
        nothing = pa.nulls(len(filenames), pa.string())
        parts = {
            name: _without_empty(_part(found, name)) if name in known else nothing
            for name in GROUPS
        }
        if not pc.all(matched).as_py():
            is_a2o, others = _read_a2o(filenames, partly=partly)
            parts = {name: pc.if_else(matched, parts[name], others[name]) for name in GROUPS}
            matched = pc.or_(matched, is_a2o)
    if pattern is not None or not pc.all(matched).as_py():
        folder = pc.extract_regex(filenames, _FOLDER)
        parts["site_id"] = pc.coalesce(parts["site_id"], _part(folder, "site_id"))
    return NameParts(matched=matched.to_numpy(zero_copy_only=False), **parts)


def _read_a2o(filenames: Any, *, partly: bool) -> tuple[Any, dict[str, Any]]:
    """Split names of the A2O's form; return also which have it."""
    found = pc.extract_regex(filenames, _A2O)
    matched = found.is_valid()
    has_subsite = pc.greater(pc.binary_length(_part(found, "subsite_name")), 0)
    parts = {name: _part(found, name) for name in ("date", "time", "offset")}
    parts["site_id"] = _without_empty(_part(found, "site_id"))
    parts["subsite_name"] = pc.if_else(has_subsite, _part(found, "subsite_name"), _NULL)
    for name, other in (("site_name", "whole_name"), ("file_seq_id", "its_id")):
        parts[name] = pc.if_else(has_subsite, _part(found, name), _part(found, other))
    if partly and not pc.all(matched).as_py():
        start = pc.extract_regex(filenames, _ONLY_START)
        for name in ("date", "time", "offset"):
            parts[name] = pc.coalesce(parts[name], _part(start, name))
    return matched, parts


def tidy(parts: NameParts, filenames: Any) -> tuple[NameParts, dict[str, Flags]]:
    """Convert parts that a pattern found to the forms of the A2O's names.

    Returns:
        The parts, null if that is impossible, and for each group whether it is. If the pattern took
        the end of a recording for its start, there is no date, and ``end`` is true.
    """
    clock = pc.extract_regex(parts.time, _CLOCK)
    texts = {
        "site_id": parts.site_id,
        "file_seq_id": parts.file_seq_id,
        "date": pc.replace_substring_regex(parts.date, "[^0-9]", ""),
        # An invalid time must not become null.
        "time": pc.if_else(
            clock.is_valid(),
            pc.binary_join_element_wise(*(_part(clock, name) for name in "hms"), ""),
            parts.time,
        ),
        "offset": pc.replace_substring_regex(parts.offset, r"^([+-]\d\d):?(\d\d)?$", r"\1\2"),
    }
    tidied, malformed = {}, {}
    for name, form in _FORMS.items():
        good = pc.match_substring_regex(texts[name], form)
        tidied[name] = pc.if_else(good, texts[name], _NULL)
        malformed[name] = flags(pc.invert(good))
    tidied["offset"] = pc.if_else(
        pc.equal(tidied["offset"], "Z"), "Z", pc.utf8_rpad(tidied["offset"], 5, "0")
    )
    tidied["fraction"] = pc.utf8_slice_codeunits(pc.utf8_rpad(_part(clock, "f"), 6, "0"), 0, 6)
    both = pc.extract_regex(filenames, _START_AND_END)
    found = pc.binary_join_element_wise(tidied["date"], tidied["time"], "T")
    is_end = pc.and_(pc.equal(found, _part(both, "end")), pc.not_equal(found, _part(both, "start")))
    malformed["end"] = flags(is_end)
    tidied["date"] = pc.if_else(pc.fill_null(is_end, False), _NULL, tidied["date"])
    return replace(parts, **tidied), malformed


def flags(values: Any) -> Flags:
    """A boolean array for NumPy; null is false."""
    found: Flags = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return found


def _part(found: Any, name: str) -> Any:
    return pc.struct_field(found, name)


def _without_empty(texts: Any) -> Any:
    return pc.if_else(pc.equal(texts, ""), _NULL, texts)


def _bad_pattern(pattern: str, reason: str) -> UsageError:
    return UsageError(
        f"the filename pattern {pattern!r} cannot be used: {reason}. Expected an RE2 expression "
        f"with named groups such as (?P<date>...), of {', '.join(GROUPS)}; write other groups as "
        "(?:...)."
    )
