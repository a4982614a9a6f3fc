"""Formats amounts, and escapes text from outside for terminals."""

import io
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_STEP = 1000
_MINUTE = 60
_HOURS = 24
_PRECISE = 10
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)
_UNITS: Final = {
    "": 1,
    "b": 1,
    **{f"{unit}{b}": 1000**n for n, unit in enumerate("kmgtpe", 1) for b in ("", "b")},
    **{f"{unit}ib": 1024**n for n, unit in enumerate("kmgtpe", 1)},
}
_UNSHOWN: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # control characters: C0, DEL, C1
    r"\u2028\u2029"  # line and paragraph separators
    r"\u202a-\u202e\u2066-\u2069"  # changes of the writing direction
    r"\ud800-\udfff]"  # bytes of a path that are not UTF-8, as Python stores them
)
_NO_UNICODE: Final = re.compile("[\ud800-\udfff]")
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_FIRST_BYTE, _LAST_BYTE, _BYTE = 0xDC80, 0xDCFF, 0xDC00


def parse_size(text: str) -> int:
    """Read a size such as ``500MB``, ``64MiB`` or a number of bytes.

    Raises:
        ValueError: the text is not a size, or not above zero.
    """
    found = _SIZE.fullmatch(text)
    unit = None if found is None else _UNITS.get(found[2].lower())
    if found is None or unit is None:
        raise ValueError("expected a size such as 500MB, 64MiB or a number of bytes")
    size = int(found[1]) * unit if found[1].isdecimal() else int(float(found[1]) * unit)
    if size < 1:
        raise ValueError("expected a size greater than 0")
    return size


def format_bytes(count: float) -> str:
    """Write a number of bytes in powers of 1000, such as ``3.4 MB``."""
    size = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < _STEP:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= _STEP
    return f"{size:,.1f} TB"


def first_names(names: Sequence[str], most: int) -> str:
    """Join the first ``most`` names, and say how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"


def format_count(number: int, noun: str) -> str:
    """Write a number with its noun, such as ``1 site`` or ``1,340 sites``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def format_seconds(seconds: float) -> str:
    """Write a time in its two largest units, such as ``8 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < _MINUTE:
        return f"{seconds:,.1f} s" if seconds < _PRECISE else f"{seconds:,.0f} s"
    minutes = round(seconds / _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    if not hours:
        return f"{minutes} min"
    days, hours_left = divmod(hours, _HOURS)
    if days:
        return f"{format_count(days, 'day')} {hours_left} h"
    return f"{hours} h {minutes} min"


def escape(text: str) -> str:
    r"""Replace characters that control a terminal, newlines too, by escapes such as ``\x1b``."""
    return _UNSHOWN.sub(_escape, text)


def write_line(line: str) -> None:
    """Write a line to the present stderr, above any bars, with control characters escaped."""
    # If there is no stderr, or its reader has gone, the work goes on.
    with suppress(OSError, ValueError):
        print(escape(line), file=sys.stderr or io.StringIO(), flush=True)


def is_unicode(text: str) -> bool:
    """Return whether a text has no bytes that are not UTF-8."""
    return _NO_UNICODE.search(text) is None


def as_unicode(path: str) -> str:
    r"""Return a path with bytes that are not UTF-8 as escapes such as ``\xff``."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    number = ord(character)
    if _FIRST_BYTE <= number <= _LAST_BYTE:
        number -= _BYTE
    return _SHORT.get(character) or (f"\\x{number:02x}" if number < 1 << 8 else f"\\u{number:04x}")
