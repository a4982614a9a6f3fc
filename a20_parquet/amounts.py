"""Amounts as people write and read them."""

import re
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


def parse_size(text: str) -> int:
    """Read a size such as ``500MB``, ``64MiB`` or a number of bytes.

    Raises:
        ValueError: it is none, or not above zero.
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
